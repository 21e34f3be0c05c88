"""The decision: from a question and a snapshot to a chain of arms and the trace that explains it.

Features → skill mix and difficulty → P(success), E[tokens], E[cost], E[latency] per arm → filters → strategy
→ chain. No database, clock, network or chance inside: time and the random draw come in (spec/routing.md).
"""

from collections.abc import Mapping

import msgspec

from routing.catalog.snapshot import Snapshot
from routing.decide import chain
from routing.decide import preferences as prefer
from routing.decide import trace_builder as record
from routing.decide.arm_table import nearest_effort
from routing.decide.filters import Reason, Removal
from routing.decide.forecast import Conversation
from routing.decide.inputs import Question
from routing.decide.prediction import artefact
from routing.decide.scores import View, look
from routing.decide.strategies import near_ties, rank, value_usd
from routing.decide.trace import Forecast, Trace
from routing.decide.trace_builder import Choice
from routing.language.arms import Arm
from routing.language.chat import Mode, Strategy

__all__ = ["Conversation", "Decision", "NoCandidate", "Question", "decide", "load"]

load = artefact.load


class Decision(msgspec.Struct, frozen=True):
    chain: tuple[Arm, ...]  # 1 to 3
    trace: Trace
    forecast: tuple[Forecast, ...]  # one per arm of the chain


class NoCandidate(Exception):
    """Nobody can answer: `code` is one of those in spec/api.md, `removed` the reason by arm name."""

    def __init__(self, code: str, message: str, removed: Mapping[str, Removal]) -> None:
        super().__init__(message)
        self.code, self.message, self.removed = code, message, dict(removed)


def decide(
    question: Question,
    snapshot: Snapshot,
    *,
    draw: float = 0.0,
    learning: Mapping[str, float] | None = None,
) -> Decision:
    """The chain for one request. Raises NoCandidate.

    `draw`: uniform in [0, 1), for exploration; 0 never explores. `learning`: the account's bounded shift of
    P(success) by "arm name|skill".
    """
    if not snapshot.models:
        raise NoCandidate("no_capable_model", "No model is configured.", {})
    view = look(question, snapshot, learning or {})
    choice = _manual(view) if question.mode is Mode.MANUAL else _smart(view, draw)
    facts = [view.board.facts[row] for row in choice.order]
    places = chain.chain([(one.id, one.provider) for one in facts], fallback=question.fallback)
    rows = [choice.order[place] for place in places]
    return Decision(
        chain=tuple(view.board.arms[row] for row in rows),
        trace=record.trace(view, choice, rows),
        forecast=record.forecasts(view, rows),
    )


def _smart(view: View, draw: float) -> Choice:
    rows = _standing(view)
    if not rows:
        raise _refused(view)
    seen = view.candidates(rows)
    made = rank(view.question.strategy, seen, stream=view.question.stream)
    order = [rows[int(i)] for i in made.order]
    choice = Choice(rows=rows, seen=seen, made=made, order=order)
    return choice if view.question.strategy is not Strategy.AUTO else _explore(choice, draw)


def _manual(view: View) -> Choice:
    """The pinned arm, then the smart ranking of the others, who stand in when the pinned model is paused."""
    pinned, board = _pinned_row(view), view.board
    rows = list(dict.fromkeys([pinned, *_standing(view)]))
    seen = view.candidates(rows)
    made = rank(view.question.strategy, seen, stream=view.question.stream)
    others = [rows[int(i)] for i in made.order if board.arms[rows[int(i)]].model != board.arms[pinned].model]
    if view.removed[pinned] is None:
        return Choice(rows=rows, seen=seen, made=made, order=[pinned, *others], pinned=pinned)
    if not others or not view.question.fallback:
        raise _refused(view)
    return Choice(rows=rows, seen=seen, made=made, order=others, pinned=pinned)


def _standing(view: View) -> list[int]:
    return [row for row, removal in enumerate(view.removed) if removal is None]


def _explore(choice: Choice, draw: float) -> Choice:
    """Now and then a near tie goes to another arm, so that outcomes of all are seen (spec/routing.md §8)."""
    near = near_ties(choice.made, value_usd(choice.seen))
    if not near:
        return choice
    if draw < 1 - prefer.EXPLORE_SHARE:
        return msgspec.structs.replace(choice, probability=1 - prefer.EXPLORE_SHARE)
    place = near[
        min(int((draw - 1 + prefer.EXPLORE_SHARE) / prefer.EXPLORE_SHARE * len(near)), len(near) - 1)
    ]
    row = choice.rows[place]
    return msgspec.structs.replace(
        choice,
        order=[row, *(other for other in choice.order if other != row)],
        probability=prefer.EXPLORE_SHARE / len(near),
        explored=True,
    )


def _pinned_row(view: View) -> int:
    question, board = view.question, view.board
    facts = board.snapshot.models.get(question.pinned or "")
    if facts is None:
        raise NoCandidate("invalid_model", f"There is no model {question.pinned!r} here.", {})
    wanted = question.request.effort
    row = board.rows[Arm(facts.id, None if wanted is None else nearest_effort(facts, wanted))]
    removal = view.removed[row]
    if removal is not None and removal.code is not Reason.UNAVAILABLE:
        raise _refusal_of([removal], f"{facts.name} {removal.words}.", {board.names[row]: removal})
    return row


def _refused(view: View) -> NoCandidate:
    removed = {
        view.board.names[row]: removal
        for row, removal in enumerate(view.removed)
        if removal is not None and removal.code is not Reason.PIN_ONLY
    }
    return _refusal_of(list(removed.values()), None, removed)


_REFUSALS = (  # the furthest a candidate came decides what the caller can do about it
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


def _refusal_of(removals: list[Removal], message: str | None, removed: dict[str, Removal]) -> NoCandidate:
    codes = {removal.code for removal in removals}
    for reasons, code, words in _REFUSALS:
        if codes & reasons:
            return NoCandidate(code, message or words, removed)
    named = sorted({removal.words for removal in removals if removal.code is Reason.CAPABILITY})
    words = "No model this request may use is available to it."
    if named:
        words = f"No available model can do what this request needs: each {' or '.join(named)}."
    return NoCandidate("no_capable_model", message or words, removed)
