"""The decision: from a request and a snapshot to a chain of arms and the trace that explains it.

Features → skill mix and difficulty → P(success), E[tokens], E[cost], E[latency] per arm → filters → strategy
→ chain. There is no database, clock, network or randomness inside: time and the random draw are arguments.
"""

from collections.abc import Mapping
from functools import cached_property

import msgspec
import numpy as np

from routing.catalog.snapshot import Snapshot
from routing.decide import strategy_weights, trace_builder
from routing.decide.arm_table import nearest_effort
from routing.decide.chain import fallback_chain
from routing.decide.forecast import Conversation
from routing.decide.inputs import DecisionInput
from routing.decide.prediction import artefact, request_model
from routing.decide.scores import Scores, score
from routing.decide.strategies import near_ties, rank, recovering
from routing.decide.trace import Forecast, Reason, Record, Removal, Trace
from routing.decide.trace_builder import Choice
from routing.language.arms import Arm
from routing.language.chat import Mode, Strategy

__all__ = ["Conversation", "Decision", "DecisionInput", "NoCandidate", "decide", "load"]


def load() -> None:
    """Read all files at start-up, so that the first request does not wait for them."""
    artefact.load()
    request_model.shipped()


class Decision(msgspec.Struct, frozen=True, dict=True):
    chain: tuple[Arm, ...]  # 1 to 3
    record: Record
    forecast: tuple[Forecast, ...]  # one per arm of the chain
    considered: int  # candidates that could answer

    @cached_property
    def trace(self) -> Trace:
        """The record as it is read later. Making it takes longer than deciding."""
        return self.record.trace


class NoCandidate(Exception):
    """No model can answer. `code` is an error code of the API, `removed` has the reason for each arm name."""

    def __init__(self, code: str, message: str, removed: Mapping[str, Removal]) -> None:
        super().__init__(message)
        self.code, self.message, self.removed = code, message, dict(removed)


def decide(
    decision_input: DecisionInput,
    snapshot: Snapshot,
    *,
    draw: float = 0.0,
    learning: Mapping[str, float] | None = None,
) -> Decision:
    """Return the chain for one request. Raises NoCandidate.

    `draw`: uniform in [0, 1), for exploration; 0 never explores. `learning`: the account's bounded shift of
    P(success) by "arm name|skill".
    """
    if not snapshot.models:
        raise NoCandidate("no_capable_model", "No model is configured.", {})
    scores = score(decision_input, snapshot, learning or {})
    choice = _manual(scores) if decision_input.mode is Mode.MANUAL else _smart(scores, draw)
    upstreams = map(scores.arm_table.upstreams.__getitem__, choice.order)
    rows = [choice.order.item(place) for place in fallback_chain(upstreams, fallback=decision_input.fallback)]
    return Decision(
        chain=tuple(scores.arm_table.arms[row] for row in rows),
        record=trace_builder.record(scores, choice, rows),
        forecast=trace_builder.forecasts(scores, rows),
        considered=len(scores.removed.eligible) if choice.pinned is None else _considered(scores, choice),
    )


def _considered(scores: Scores, choice: Choice) -> int:
    return len(choice.field.rows) - int(np.count_nonzero(scores.removed.places.take(choice.field.rows)))


def _smart(scores: Scores, draw: float) -> Choice:
    field = scores.field()
    if not len(field.rows):
        raise _refused(scores)
    candidates = scores.candidates(field)
    ranking = rank(scores.decision_input.strategy, candidates, stream=scores.decision_input.stream)
    order = field.rows.take(ranking.order)
    choice = Choice(field=field, candidates=candidates, ranking=ranking, order=order)
    return choice if scores.decision_input.strategy is not Strategy.AUTO else _explore(scores, choice, draw)


def _manual(scores: Scores) -> Choice:
    """The pinned arm, then the smart ranking of all other models.

    The others are the fallbacks. The best of them comes first when the pinned model is paused; with fallback
    off, a paused model refuses the request.
    """
    pinned, arm_table = _pinned_row(scores), scores.arm_table
    field = scores.field(pinned)
    candidates = scores.candidates(field)
    ranking = rank(scores.decision_input.strategy, candidates, stream=scores.decision_input.stream)
    order = field.rows.take(ranking.order)
    models = arm_table.model_numbers
    others = order[models.take(order) != models[pinned]]
    if scores.removed[pinned] is None:
        first = np.concatenate([[pinned], others])
        return Choice(field=field, candidates=candidates, ranking=ranking, order=first, pinned=pinned)
    if not len(others) or not scores.decision_input.fallback:
        raise _refused(scores)
    return Choice(field=field, candidates=candidates, ranking=ranking, order=others, pinned=pinned)


def _explore(scores: Scores, choice: Choice, draw: float) -> Choice:
    """Send a small share of near ties to another arm, so that outcomes become known for all of them.

    An arm that lost only because its model failed lately counts as a near tie: its recovery is noticed.

    `draw` decides: below 1 − EXPLORE_SHARE the winner stays, and the rest of the unit interval is divided
    evenly among the near ties. The probability of the choice goes into the trace, because what-if estimates
    divide by it.
    """
    near = near_ties(choice.ranking, choice.candidates.value_usd)
    strategy, stream = scores.decision_input.strategy, scores.decision_input.stream
    back = recovering(strategy, choice.candidates, choice.ranking, stream=stream)
    if back is not None and back not in near:
        near.append(back)
    if not near:
        return choice
    if draw < 1 - strategy_weights.EXPLORE_SHARE:
        return msgspec.structs.replace(choice, probability=1 - strategy_weights.EXPLORE_SHARE)
    share = strategy_weights.EXPLORE_SHARE
    place = near[min(int((draw - 1 + share) / share * len(near)), len(near) - 1)]
    row = choice.field.rows[place]
    return msgspec.structs.replace(
        choice,
        order=np.concatenate([[row], choice.order[choice.order != row]]),
        probability=strategy_weights.EXPLORE_SHARE / len(near),
        explored=True,
    )


def _pinned_row(scores: Scores) -> int:
    decision_input, arm_table = scores.decision_input, scores.arm_table
    facts = arm_table.snapshot.models.get(decision_input.pinned or "")
    if facts is None:
        raise NoCandidate("invalid_model", f"There is no model {decision_input.pinned!r} here.", {})
    wanted = decision_input.request.effort
    row = arm_table.rows[Arm(facts.id, None if wanted is None else nearest_effort(facts, wanted))]
    removal = scores.removed[row]
    if removal is not None and removal.code is not Reason.UNAVAILABLE:
        raise _refusal_of([removal], f"{facts.name} {removal.words}.", {arm_table.names[row]: removal})
    return row


def _refused(scores: Scores) -> NoCandidate:
    removed = {
        scores.arm_table.names[row]: removal
        for row in range(len(scores.arm_table.arms))
        if (removal := scores.removed[row]) is not None and removal.code is not Reason.PIN_ONLY
    }
    return _refusal_of(list(removed.values()), None, removed)


# In this order: a candidate removed only by its cost could have answered, so a limit is what to change first.
_REFUSALS = (
    (
        {Reason.MAX_COST},
        "budget_too_low",
        "Every model that could answer costs more than max_cost_usd allows.",
    ),
    (
        {Reason.BUDGET},
        "budget_too_low",
        "Every model that could answer costs more than the budget that is left.",
    ),
    ({Reason.CONTEXT}, "context_length_exceeded", "The input is longer than any available model can take."),
)


_EXCLUSIONS = {
    "account": "Models in the account's settings",
    "key": "the key's models",
    "request": "`models` of the request",
}


def _refusal_of(removals: list[Removal], message: str | None, removed: dict[str, Removal]) -> NoCandidate:
    codes = {removal.code for removal in removals}
    for reasons, code, words in _REFUSALS:
        if codes & reasons:
            return NoCandidate(code, message or words, removed)
    named = sorted({removal.words for removal in removals if removal.code is Reason.CAPABILITY})
    words = "No model this request may use is available to it."
    if named:
        words = f"No available model can do what this request needs: each {' or '.join(named)}."
    excluders = sorted({removal.words for removal in removals if removal.code is Reason.EXCLUDED})
    if excluders:
        places = [_EXCLUSIONS[words.rpartition(" ")[2]] for words in excluders]
        only = codes <= {Reason.EXCLUDED, Reason.NOT_ALLOWED}
        words = "No model is left." if only else words
        words += f" {'Models' if only else 'Other models'} are excluded: change {' or '.join(places)}."
    return NoCandidate("no_capable_model", message or words, removed)
