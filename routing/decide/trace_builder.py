"""From a choice to its trace: every candidate's numbers or reason of removal, in ranked order."""

from math import isfinite
from typing import Any

import msgspec
import numpy as np

from routing.decide import explanation as explain
from routing.decide.prediction import skills
from routing.decide.prediction.artefact import fitted
from routing.decide.scores import View
from routing.decide.strategies import Candidates, Ranking
from routing.decide.trace import Baseline, Entry, Forecast, Trace
from routing.language.arms import Arm


class Choice(msgspec.Struct, frozen=True):
    """`rows`: the board's rows that were compared, as `seen` and `made` have them; `order`: best first."""

    rows: list[int]
    seen: Candidates
    made: Ranking
    order: list[int]
    pinned: int | None = None
    probability: float = 1.0
    explored: bool = False


def trace(view: View, choice: Choice, chain_rows: list[int]) -> Trace:
    """`chain_rows`: the board's rows of the chain; the first is the one chosen."""
    question, first = view.question, chain_rows[0]
    entries = _entries(view, choice)
    ranked, ordered = [entries[row] for row in choice.order], set(choice.order)
    baseline = _baseline(view)
    cost = entries[first].cost_usd
    return Trace(
        snapshot=view.snapshot,
        artefact=fitted().version,
        mode=question.mode,
        strategy=question.strategy,
        stream=question.stream,
        features=view.summary,
        query_type=view.skill,
        complexity=_complexity(view, choice),
        difficulty=round(view.difficulty, 3),
        skills={
            str(skill): round(share, 3)
            for skill, share in zip(skills.SKILLS, view.mix.tolist(), strict=True)
            if share >= 0.01
        },
        candidates=(*ranked, *(entry for row, entry in entries.items() if row not in ordered)),
        chain=tuple(view.board.names[row] for row in chain_rows),
        reason=_reason(view, choice, entries, ranked),
        flip=_flip(view, choice, entries),
        input_tokens=int(view.tokens[first]),
        output_tokens=int(view.output[first]),
        baseline=baseline,
        saved_usd=None
        if baseline is None or baseline.cost_usd is None or cost is None
        else round(baseline.cost_usd - cost, 9),
        selection_probability=choice.probability,
        explored=choice.explored,
        notes=view.notes,
        pinned=None if choice.pinned is None else view.board.names[choice.pinned],
        fallback=question.fallback,
    )


def forecasts(view: View, rows: list[int]) -> tuple[Forecast, ...]:
    return tuple(
        Forecast(
            arm=view.board.arms[row],
            cost_usd=_known(float(view.cost_usd[row])),
            input_tokens=int(view.tokens[row]),
            output_tokens=int(view.output[row]),
            latency_ms=float(view.latency_ms[row]),
            ttft_ms=float(view.ttft_ms[row]),
        )
        for row in rows
    )


def _entries(view: View, choice: Choice) -> dict[int, Entry]:
    """By row; a model's pin-only row is left out unless it was compared."""
    board = view.board
    utilities = [_known(utility) for utility in choice.made.utility.tolist()]
    made = zip(utilities, choice.made.competent.tolist(), strict=True)
    compared = dict(zip(choice.rows, made, strict=True))
    columns = list(zip(
        view.p_success.tolist(), view.low.tolist(), view.high.tolist(), map(_known, view.cost_usd.tolist()),
        view.latency_ms.tolist(), view.ttft_ms.tolist(), board.p_up.tolist(),
        view.output.astype(int).tolist(), board.scored.tolist(), strict=True,
    ))  # fmt: skip
    learned = view.learned.tolist()
    entries: dict[int, Entry] = {}
    for row, removal in enumerate(view.removed):
        if row in compared:
            known: tuple[Any, ...] = (
                *board.labels[row],
                *columns[row],
                *compared[row],
                learned[row],
                removal,
            )
        elif removal is None or row in board.shadowed:
            continue
        else:
            known = (*board.labels[row], *columns[row], None, True, learned[row], removal)
        entries[row] = Entry(*known)
    return entries


def _known(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else number


def _complexity(view: View, choice: Choice) -> float:
    return round(1 - float(np.median(choice.seen.p_success)), 3)


def _reason(view: View, choice: Choice, entries: dict[int, Entry], ranked: list[Entry]) -> str:
    question = view.question
    if choice.pinned is None:
        return explain.reason(question.strategy, view.skill, view.difficulty, ranked, stream=question.stream)
    asked = entries[choice.pinned]
    if choice.order[0] == choice.pinned:
        return explain.pinned_reason(asked)
    why = asked.removed.words if asked.removed else "is unavailable"
    return explain.unavailable_reason(explain.title(asked), why, ranked[0])


def _flip(view: View, choice: Choice, entries: dict[int, Entry]) -> str:
    if choice.pinned is not None:
        return "Nothing: the model was asked for by name."
    if choice.explored:
        return "Chance: a near tie was tried on purpose, to learn from its outcome."
    compared = [entries[row] for row in choice.rows]
    question = view.question
    return explain.flip(question.strategy, choice.seen, compared, choice.made, stream=question.stream)


def _baseline(view: View) -> Baseline | None:
    """The account's baseline model at its default effort, else the best fixed one."""
    board, wanted = view.board, view.question.baseline
    rows = [row for row, arm in enumerate(board.arms) if arm.model == wanted]
    row = next(
        (row for row in rows if board.arms[row] == Arm(wanted or "")), rows[0] if rows else board.best_fixed
    )
    return None if row is None else Baseline(board.arms[row].model, _known(float(view.cost_usd[row])))
