"""Turns a catalog row into the facts that adapters and the decision read.

Providers call reasoning effort by different names (effort levels, thinking levels, thinking budgets); here
they become one vocabulary. The quirks are passed on for the adapters.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from routing.catalog.models import Model
from routing.language.arms import ApiFacts, Capability, Effort, ModelFacts


def _no_facts(dialect: str) -> ApiFacts:
    return ApiFacts()


_api_facts: Callable[[str], ApiFacts] = _no_facts
_ALL_EFFORTS = tuple(Effort)
# "…; 2.5-pro min 128, cannot be 0": models with a thinking budget that cannot turn thinking off
_NEVER_ZERO = re.compile(r"([\w.-]+) min \d+, cannot be 0")


def read_api_facts_from(api_facts: Callable[[str], ApiFacts]) -> None:
    """Set where the facts of a provider's API come from, by its dialect.

    The catalog does not import the providers; `routing.apps` connects the two when Django starts.
    """
    global _api_facts
    _api_facts = api_facts


def facts_of(row: Model, dialect: str) -> ModelFacts:
    """`dialect` names the API of the row's provider."""
    api = _api_facts(dialect)
    efforts = efforts_of(row.id, row.quirks)
    facts = ModelFacts(
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
        capabilities=_capabilities(row, api),
        efforts=efforts,
        opt_in_efforts=() if efforts else _opt_in_efforts(row.quirks),
        default_effort=_default_effort(row.quirks, efforts),
        quirks=row.quirks,
        released=row.released,
        shutdown=row.shutdown,
        aliases=tuple(row.match.get("equals", ())),
        tokenizer=api.tokenizer,
    )
    if api.second_api is None:
        return facts
    second = api.second_api(facts)
    has = facts.capabilities - {Capability.N} if second.always else facts.capabilities
    return msgspec.structs.replace(facts, second_api=second, capabilities=has)


def default_effort_of(row: Model) -> Effort | None:
    """Return the effort a model runs at when a request sets none; None: it takes no effort."""
    return _default_effort(row.quirks, efforts_of(row.id, row.quirks))


def efforts_of(model: str, quirks: Mapping[str, Any]) -> tuple[Effort, ...]:
    """Return the efforts a model accepts, ascending; empty when it takes none."""
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


def _opt_in_efforts(quirks: Mapping[str, Any]) -> tuple[Effort, ...]:
    """Efforts of models that take a thinking budget instead of an effort, and think only when given one.

    They are not arms the router may choose: published scores describe these models without thinking.
    """
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
    # Anthropic's and Google's models think at a high level when the request sets none.
    return Effort.HIGH if Effort.HIGH in efforts else efforts[-1]


def _capabilities(row: Model, api: ApiFacts) -> frozenset[Capability]:
    has = {Capability(name) for name in row.capabilities} | api.capabilities
    if Capability.TOOLS in has and row.quirks.get("forced_tool_choice", True):
        has.add(Capability.FORCED_TOOLS)
    # Sampling that is accepted under a condition ("only at effort none") does not count as accepted.
    if row.quirks.get("sampling_params", "accepted") == "accepted":
        has |= {Capability.SAMPLING} | api.with_sampling
    return frozenset(has)
