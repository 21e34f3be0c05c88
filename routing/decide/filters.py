"""Filters: remove the arms that cannot answer a request, each with a reason code and words.

The first filter that matches gives the reason. A strategy then ranks the arms that are left.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from core.numbers.figures import money_text
from routing.decide.arm_table import ArmTable
from routing.decide.trace import Reason, Removal
from routing.language.arms import Capability, ModelFacts
from routing.language.chat import Audio, ChatRequest, File, Image
from routing.language.choices import MOST_CALLS, MOST_TOOLS

Row = npt.NDArray[np.float64]

_MOST_REMOVALS = 256  # sets of rules whose removals an arm table remembers


class Rules(msgspec.Struct, frozen=True):
    """The limits and needs of one request, as the filters read them. USD and tokens."""

    needed: dict[Capability, str]  # with the words for a model that lacks it
    allowed: frozenset[str]
    excluded: Mapping[str, str]  # by model, who excludes it
    test_mode: bool
    max_cost_usd: float | None
    budget_left_usd: float | None
    today: date
    room_for_output: int
    pinned: str | None  # the model the caller named; it may use rows and models that only a pin can choose
    blocked: Mapping[str, str]  # by model, why its circuit breaker is open


_WORDS = {
    Capability.TOOLS: "does not take tools",
    Capability.FORCED_TOOLS: "cannot be made to call a tool",
    Capability.PARALLEL_TOOLS: "does not call tools in parallel",
    Capability.VISION: "does not see images",
    Capability.PDF: "does not read documents",
    Capability.AUDIO_IN: "does not hear audio",
    Capability.VIDEO_IN: "does not see video",
    Capability.STRUCTURED_OUTPUT: "does not support output to a JSON schema",
    Capability.N: f"returns at most {MOST_CALLS} choices",
    Capability.LOGPROBS: "does not return logprobs",
    Capability.STOP: "does not take stop sequences",
    Capability.LOGIT_BIAS: "does not take a logit bias",
    Capability.MANY_TOOLS: f"takes at most {MOST_TOOLS} tools",
}


def needed(request: ChatRequest) -> dict[Capability, str]:
    """Return the capabilities a request requires. Sampling options such as temperature are not among them:
    an adapter drops those that a model does not take."""
    kinds = {type(part) for message in request.messages for part in message.parts}
    choice = request.tool_choice
    needs = {
        Capability.TOOLS: bool(request.tools),
        Capability.FORCED_TOOLS: choice is not None and choice.mode in ("required", "named"),
        Capability.PARALLEL_TOOLS: bool(request.tools) and request.parallel_tool_calls is True,
        Capability.VISION: Image in kinds,
        Capability.PDF: File in kinds,
        Capability.AUDIO_IN: Audio in kinds,
        Capability.STRUCTURED_OUTPUT: (
            request.response_format is not None and request.response_format.kind == "json_schema"
        ),
        Capability.N: request.n > MOST_CALLS,  # up to so many, one call is made for each choice
        Capability.LOGPROBS: request.logprobs,
        Capability.LOGIT_BIAS: bool(request.sampling.logit_bias),
        Capability.MANY_TOOLS: len(request.tools) > MOST_TOOLS,
    }
    return {capability: _WORDS[capability] for capability, required in needs.items() if required}


def preferred(request: ChatRequest) -> dict[Capability, str]:
    """Return the capabilities that automatic choice requires and a pinned model may lack.

    Where a provider takes no stop sequence, RoutePlex cuts the answer itself, but the account pays for what
    the model writes after it.
    """
    return {Capability.STOP: _WORDS[Capability.STOP]} if request.stop else {}


class Removals:
    """Why rows of the arm table cannot answer. `places`: `(n,)`, into `values`; 0, for None: it can."""

    def __init__(self, places: npt.NDArray[np.uint16], values: Sequence[Removal | None]) -> None:
        self.places, self.values = places, values
        self.shared: dict[int | None, Any] = {}  # by `scores`: what the requests with these removals share

    def __getitem__(self, row: int) -> Removal | None:
        return self.values[int(self.places[row])]

    @cached_property
    def eligible(self) -> npt.NDArray[np.intp]:
        return np.flatnonzero(self.places == 0)


def removals(arm_table: ArmTable, rules: Rules, tokens: Row, cost_usd: Row) -> Removals:
    """Return for each row why it cannot answer. `tokens` and `cost_usd` are `(n,)`: each arm's input tokens
    and forecast cost; an unpriced arm (NaN) is over no limit."""
    lasting = _lasting(arm_table, rules)
    most_usd = min(_or_inf(rules.max_cost_usd), _or_inf(rules.budget_left_usd))
    over = cost_usd > most_usd
    if np.maximum.reduce(
        tokens, initial=0
    ) + rules.room_for_output <= arm_table.least_room and not np.logical_or.reduce(over):
        return lasting
    misfit = (tokens > arm_table.max_input) | (tokens + rules.room_for_output > arm_table.window)
    if not (misfit.any() or over.any()):
        return lasting
    places, values = lasting.places.copy(), list(lasting.values)
    eligible = places == 0
    for row in np.flatnonzero(eligible & (misfit | over)).tolist():
        places[row] = len(values)
        if misfit[row]:
            words = f"has a context that cannot hold {int(tokens[row]):,} input tokens"
            values.append(Removal(Reason.CONTEXT, words))
        else:
            values.append(_over_limit(rules, float(cost_usd[row])))
    return Removals(places, values)


def _lasting(arm_table: ArmTable, rules: Rules) -> Removals:
    """The removals that do not depend on the request's size; most requests have the same ones."""
    key = (
        *rules.needed,
        rules.allowed,
        frozenset(rules.excluded.items()),
        rules.test_mode,
        rules.today,
        rules.pinned,
        frozenset(rules.blocked.items()),
    )
    known = arm_table.removals.get(key)
    if known is None:
        if len(arm_table.removals) >= _MOST_REMOVALS:
            arm_table.removals.clear()
        known = arm_table.removals[key] = _removals_of(arm_table, rules)
    return known


def _removals_of(arm_table: ArmTable, rules: Rules) -> Removals:
    by_model = {
        name: _model_removal(arm_table, rules, facts) for name, facts in arm_table.snapshot.models.items()
    }
    result = [by_model[arm.model] for arm in arm_table.arms]
    for row in np.flatnonzero(arm_table.pin_only).tolist():
        if arm_table.arms[row].model != rules.pinned:
            result[row] = result[row] or _pin_only(arm_table, row)
    places = {value: place for place, value in enumerate(dict.fromkeys([None, *result]))}
    return Removals(np.array([places[value] for value in result], np.uint16), tuple(places))


def _or_inf(limit: float | None) -> float:
    return np.inf if limit is None else limit


def _model_removal(arm_table: ArmTable, rules: Rules, facts: ModelFacts) -> Removal | None:
    if facts.id in rules.excluded:
        return Removal(Reason.EXCLUDED, f"is excluded by the {rules.excluded[facts.id]}")
    if rules.allowed and facts.id not in rules.allowed:
        return Removal(Reason.NOT_ALLOWED, "is not among the models this request may use")
    if facts.shutdown is not None and facts.shutdown <= rules.today:
        return Removal(Reason.RETIRED, f"was retired on {facts.shutdown.isoformat()}")
    pinned = facts.id == rules.pinned
    if facts.status == "limited_access" and not pinned:
        return Removal(Reason.LIMITED_ACCESS, "is for invited users and used only when named in the request")
    if rules.test_mode and facts.tier != "default":
        return Removal(Reason.TEST_MODE, "is left out in test mode")
    for capability, words in rules.needed.items():
        if capability not in facts.capabilities:
            return Removal(Reason.CAPABILITY, words)
    if not arm_table.snapshot.prices.get(facts.id) and not pinned:
        return Removal(Reason.UNPRICED, "has no known price and is used only when named in the request")
    if facts.id in rules.blocked:
        return Removal(Reason.UNAVAILABLE, f"is paused: {rules.blocked[facts.id]}")
    return None


def _pin_only(arm_table: ArmTable, row: int) -> Removal:
    if arm_table.pinned_effort is not None and arm_table.effort[row] is not arm_table.pinned_effort:
        return Removal(Reason.EFFORT, f"does not take reasoning effort {arm_table.pinned_effort}")
    return Removal(Reason.PIN_ONLY, "is this model's default, used only when named in the request")


def _over_limit(rules: Rules, cost_usd: float) -> Removal:
    about = f"would cost about {money_text(cost_usd)}, over"
    if rules.max_cost_usd is not None and cost_usd > rules.max_cost_usd:
        return Removal(Reason.MAX_COST, f"{about} the request's {money_text(rules.max_cost_usd)}")
    return Removal(Reason.BUDGET, f"{about} the {money_text(rules.budget_left_usd)} left")
