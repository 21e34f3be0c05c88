"""The parameters a model rejects, read from the catalog's data; no model is named here.

The phrases are those of catalog/data/catalog.json; a test holds every value there to these tables.
Operators' own models may carry the same keys.
"""

from enum import StrEnum
from typing import Any

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import ChatRequest

ORDER = tuple(Effort)


class SamplingRule(StrEnum):
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHOUT_REASONING = "without reasoning"
    OLD_VERSION_ONLY = "old API version only"


SAMPLING: dict[str, SamplingRule] = {
    "accepted": SamplingRule.ACCEPTED,
    "accepted and ignored": SamplingRule.REJECTED,  # no effect today; Google has announced a 400
    "unsupported per models.dev": SamplingRule.REJECTED,
    "rejected": SamplingRule.REJECTED,
    "rejected (400)": SamplingRule.REJECTED,
    "only when reasoning_effort=none": SamplingRule.WITHOUT_REASONING,
    "accepted with anthropic-version 2023-06-01 only": SamplingRule.OLD_VERSION_ONLY,
}

MID_SYSTEM_HONOURED = "honoured"


def effective_effort(model: ModelFacts, effort: Effort | None) -> Effort | None:
    """The effort the model will use: the requested one, else its provider's default."""
    if effort is not None:
        return effort
    if model.default_effort is not None:
        return model.default_effort
    default = model.quirks.get("reasoning_default")
    return Effort(default) if default in ORDER else None


def nearest(effort: Effort, accepted: tuple[Effort, ...]) -> Effort | None:
    """The accepted effort closest to the requested one, the cheaper of two; None: none is accepted."""
    if not accepted:
        return None
    wanted = ORDER.index(effort)
    return min(accepted, key=lambda each: (abs(ORDER.index(each) - wanted), ORDER.index(each)))


def accepted_efforts(model: ModelFacts, quirk: str) -> tuple[Effort, ...]:
    """The model's efforts, or those of the quirk where its facts list none."""
    if model.efforts:
        return model.efforts
    return tuple(Effort(name) for name in model.quirks.get(quirk, ()) if name in ORDER)


def sampling_rule(model: ModelFacts) -> SamplingRule:
    phrase = model.quirks.get("sampling_params")
    if phrase is not None:
        return SAMPLING.get(phrase, SamplingRule.REJECTED)
    return SamplingRule.ACCEPTED if Capability.SAMPLING in model.capabilities else SamplingRule.REJECTED


def takes_sampling(model: ModelFacts, effort: Effort | None) -> bool:
    rule = sampling_rule(model)
    if rule is SamplingRule.WITHOUT_REASONING:
        return effective_effort(model, effort) is Effort.NONE
    return rule is not SamplingRule.REJECTED


def takes(model: ModelFacts, capability: Capability) -> bool:
    """Return whether the model takes a parameter of this capability. Models with plain sampling take all."""
    return capability in model.capabilities or model.quirks.get("sampling_params") == "accepted"


def flag(model: ModelFacts, name: str, default: bool) -> bool:
    value: Any = model.quirks.get(name)
    return value if isinstance(value, bool) else default


def room_to_think(request: ChatRequest, limit: int) -> int:
    """Tokens of the output limit that a thinking budget may take: what the visible answer leaves, or half."""
    answer = request.max_answer_tokens
    return limit // 2 if answer is None else max(limit - answer, limit // 2)


def limited(model: ModelFacts, tokens: int | None) -> int | None:
    """The caller's output limit, never above the model's own (400 on every provider)."""
    if tokens is None or model.max_output_tokens <= 0:
        return tokens
    return min(tokens, model.max_output_tokens)
