"""From a catalog row to the facts that adapters and the decision read.

What a provider's data calls by many names (effort levels, thinking levels, thinking budgets) becomes one
vocabulary here; the quirks themselves travel along for the adapters.
"""

import re
from collections.abc import Mapping
from typing import Any

from routing.catalog.models import Model
from routing.language.arms import Capability, Effort, ModelFacts

# By dialect: what every model of that wire format takes (spec/providers.md §1 to 4 and 6).
_DIALECT_CAPABILITIES: dict[str, frozenset[Capability]] = {
    "openai": frozenset({Capability.N}),
    "openai_chat": frozenset(
        {Capability.N, Capability.STOP, Capability.SEED, Capability.LOGPROBS, Capability.LOGIT_BIAS}
    ),
    "anthropic": frozenset({Capability.STOP}),
    "gemini": frozenset({Capability.STOP, Capability.SEED}),
}
# Sampling that is accepted without conditions brings its companions on OpenAI's wire.
_WITH_SAMPLING: dict[str, frozenset[Capability]] = {
    "openai": frozenset({Capability.STOP, Capability.SEED, Capability.LOGPROBS, Capability.LOGIT_BIAS}),
}
_ALL_EFFORTS = tuple(Effort)
# "…; 2.5-pro min 128, cannot be 0": the one of its kind that cannot stop thinking
_NEVER_ZERO = re.compile(r"([\w.-]+) min \d+, cannot be 0")


def facts_of(row: Model, dialect: str) -> ModelFacts:
    """`dialect` is the wire format of the row's provider."""
    efforts = efforts_of(row.id, row.quirks)
    return ModelFacts(
        id=row.id,
        provider=row.provider,
        dialect=dialect,
        upstream_id=row.quirks.get("upstream_id", row.id),
        name=row.name,
        status=row.status,
        tier=row.tier,
        context_window=row.context_window,
        max_input_tokens=row.max_input_tokens,
        max_output_tokens=row.max_output_tokens,
        capabilities=_capabilities(row, dialect),
        efforts=efforts,
        asked_efforts=() if efforts else _asked_efforts(row.quirks),
        default_effort=_default_effort(row.quirks, efforts),
        quirks=row.quirks,
        released=row.released,
        shutdown=row.shutdown,
        aliases=tuple(row.match.get("equals", ())),
    )


def efforts_of(model: str, quirks: Mapping[str, Any]) -> tuple[Effort, ...]:
    """The efforts a model accepts, ascending; empty when it takes none."""
    if "reasoning_efforts" in quirks:
        named = set(quirks["reasoning_efforts"])
    elif "effort_levels" in quirks:
        named = set(quirks["effort_levels"])
        if named and quirks.get("thinking_off") and not quirks.get("thinking_always_on"):
            named.add(Effort.NONE)
    elif "thinking_levels" in quirks:
        named = {level.lower() for level in quirks["thinking_levels"]}
    elif str(quirks.get("thinking", "")).startswith("thinkingBudget"):
        named = {Effort.LOW, Effort.MEDIUM, Effort.HIGH}
        if not any(model.endswith(name) for name in _NEVER_ZERO.findall(quirks["thinking"])):
            named.add(Effort.NONE)
    else:
        named = set()
    return tuple(effort for effort in _ALL_EFFORTS if effort in named)


def _asked_efforts(quirks: Mapping[str, Any]) -> tuple[Effort, ...]:
    """Thinking budgets of models that know no effort (spec/providers.md §6); nobody has scored them so."""
    if "enabled" not in quirks.get("thinking_types", ()):
        return ()
    return (Effort.LOW, Effort.MEDIUM, Effort.HIGH)


def _default_effort(quirks: Mapping[str, Any], efforts: tuple[Effort, ...]) -> Effort | None:
    if not efforts:
        return None
    stated = quirks.get("reasoning_default")
    if stated:
        return Effort(stated)
    if quirks.get("thinking_on_by_default") is False and Effort.NONE in efforts:
        return Effort.NONE
    # Anthropic's and Google's models think at a high level when nothing is said.
    return Effort.HIGH if Effort.HIGH in efforts else efforts[-1]


def _capabilities(row: Model, dialect: str) -> frozenset[Capability]:
    has = {Capability(name) for name in row.capabilities}
    has |= _DIALECT_CAPABILITIES.get(dialect, frozenset())
    if Capability.TOOLS in has and row.quirks.get("forced_tool_choice", True):
        has.add(Capability.FORCED_TOOLS)
    # Conditions ("only at effort none", "older API version only") do not count: the caller insists or not.
    if row.quirks.get("sampling_params", "accepted") == "accepted":
        has |= {Capability.SAMPLING} | _WITH_SAMPLING.get(dialect, frozenset())
    if str(row.quirks.get("endpoint", "")).startswith("responses"):
        has.discard(Capability.N)  # providers.md §2: the Responses API gives one answer
    return frozenset(has)
