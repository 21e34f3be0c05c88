"""Builds the trace of a choice: the ranked candidates with their numbers, and why others were removed."""

from math import isfinite
from typing import Any

import msgspec
import numpy as np

from routing.decide import explanation, forecast
from routing.decide.prediction import skills
from routing.decide.prediction.artefact import fitted
from routing.decide.scores import Scores
from routing.decide.strategies import Candidates, Ranking
from routing.decide.trace import Baseline, Candidate, Forecast, Trace
from routing.language.arms import Arm
from routing.language.choices import upstream_calls


class Choice(msgspec.Struct, frozen=True):
    """The outcome of a strategy. `candidates` and `ranking` are by place in `rows`."""

    rows: list[int]  # rows of the arm table that were compared
    candidates: Candidates
    ranking: Ranking
    order: list[int]  # rows of the arm table, best first
    pinned: int | None = None
    probability: float = 1.0
    explored: bool = False


def trace(scores: Scores, choice: Choice, chain_rows: list[int]) -> Trace:
    """Return the trace. `chain_rows`: rows of the arm table in the chain; the first is the chosen one."""
    decision_input, first = scores.decision_input, chain_rows[0]
    entries = _entries(scores, choice)
    ranked, ordered = [entries[row] for row in choice.order], set(choice.order)
    baseline = _baseline(scores, first)
    cost = entries[first].cost_usd
    return Trace(
        snapshot=scores.snapshot,
        artefact=fitted().version,
        mode=decision_input.mode,
        strategy=decision_input.strategy,
        stream=decision_input.stream,
        features=scores.summary,
        query_type=scores.skill,
        complexity=_complexity(scores, choice),
        difficulty=round(scores.difficulty, 3),
        skills={
            str(skill): round(share, 3)
            for skill, share in zip(skills.SKILLS, scores.mix.tolist(), strict=True)
            if share >= 0.01
        },
        candidates=(*ranked, *(entry for row, entry in entries.items() if row not in ordered)),
        chain=tuple(scores.arm_table.names[row] for row in chain_rows),
        reason=_reason(scores, choice, entries, ranked),
        flip=_flip(scores, choice, entries),
        input_tokens=int(scores.tokens[first]),
        output_tokens=int(scores.output[first]),
        baseline=baseline,
        saved_usd=None
        if baseline is None or baseline.cost_usd is None or cost is None
        else round(baseline.cost_usd - cost, 9),
        selection_probability=choice.probability,
        explored=choice.explored,
        notes=scores.notes,
        pinned=None if choice.pinned is None else scores.arm_table.names[choice.pinned],
        fallback=decision_input.fallback,
    )


def forecasts(scores: Scores, rows: list[int]) -> tuple[Forecast, ...]:
    """Return the forecast of each of the arm table's `rows`."""
    return tuple(
        Forecast(
            arm=scores.arm_table.arms[row],
            cost_usd=_known(float(scores.cost_usd[row])),
            input_tokens=int(scores.tokens[row]),
            output_tokens=int(scores.output[row]),
            latency_ms=float(scores.latency_ms[row]),
            ttft_ms=float(scores.ttft_ms[row]),
            starting_visible_tokens=int(scores.starting_visible[row]),
            starting_reasoning_tokens=int(scores.starting_reasoning[row]),
            reasoning_tokens=int(scores.reasoning[row]),
            reasoning_allowance=int(scores.allowance[row]),
        )
        for row in rows
    )


def _entries(scores: Scores, choice: Choice) -> dict[int, Candidate]:
    """The candidates by row of the arm table.

    A pin-only row of a model with choosable arms is left out unless it was compared. Arrays are converted a
    column at a time: reading 170 candidates' numbers one by one out of numpy would take longer than scoring.
    """
    arm_table = scores.arm_table
    utilities = [_known(utility) for utility in choice.ranking.utility.tolist()]
    ranked = zip(utilities, choice.ranking.competent.tolist(), strict=True)
    compared = dict(zip(choice.rows, ranked, strict=True))
    columns = list(zip(
        scores.p_success.tolist(), scores.low.tolist(), scores.high.tolist(),
        map(_known, scores.cost_usd.tolist()), scores.latency_ms.tolist(),
        scores.ttft_ms.tolist(), arm_table.p_up.tolist(),
        scores.output.astype(int).tolist(), arm_table.scored.tolist(), strict=True,
    ))  # fmt: skip
    learned = scores.learned.tolist()
    retires: dict[int, str] = {
        row: str(arm_table.facts[row].shutdown) for row in np.flatnonzero(scores.retiring).tolist()
    }
    entries: dict[int, Candidate] = {}
    for row, removal in enumerate(scores.removed):
        if row in compared:
            known: tuple[Any, ...] = (
                *arm_table.labels[row],
                *columns[row],
                *compared[row],
                learned[row],
                removal,
                retires.get(row),
            )
        elif removal is None or row in arm_table.shadowed:
            continue
        else:
            unranked = (None, True, learned[row], removal, retires.get(row))
            known = (*arm_table.labels[row], *columns[row], *unranked)
        entries[row] = Candidate(*known)
    return entries


def _known(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else number


def _complexity(scores: Scores, choice: Choice) -> float:
    return round(1 - float(np.median(choice.candidates.p_success)), 3)


def _reason(scores: Scores, choice: Choice, entries: dict[int, Candidate], ranked: list[Candidate]) -> str:
    decision_input = scores.decision_input
    if choice.pinned is None:
        return explanation.reason(
            decision_input.strategy, scores.skill, scores.difficulty, ranked, stream=decision_input.stream
        )
    pinned = entries[choice.pinned]
    if choice.order[0] == choice.pinned:
        return explanation.pinned_reason(pinned)
    why = pinned.removed.words if pinned.removed else "is unavailable"
    return explanation.unavailable_reason(explanation.title(pinned), why, ranked[0])


def _flip(scores: Scores, choice: Choice, entries: dict[int, Candidate]) -> str:
    if choice.pinned is not None:
        return "Nothing: the request named this model."
    if choice.explored:
        return "Chance: two candidates were nearly tied, and this one was tried to learn from its outcome."
    compared = [entries[row] for row in choice.rows]
    decision_input = scores.decision_input
    return explanation.flip(
        decision_input.strategy, choice.candidates, compared, choice.ranking, stream=decision_input.stream
    )


def _baseline(scores: Scores, chosen: int) -> Baseline | None:
    """The account's baseline model at its default effort, else the best fixed one.

    `chosen`: the row whose forecast of the visible answer the settlement compares with the answer.
    """
    arm_table, wanted = scores.arm_table, scores.decision_input.baseline
    rows = [row for row, arm in enumerate(arm_table.arms) if arm.model == wanted]
    row = next(
        (row for row in rows if arm_table.arms[row] == Arm(wanted or "")),
        rows[0] if rows else arm_table.best_fixed,
    )
    if row is None:
        return None
    request, arm = scores.decision_input.request, arm_table.arms[row]
    visible, output = int(scores.visible[row]), int(scores.output[row])
    most = int(scores.most_output[row])
    cost = _known(float(scores.cost_usd[row]))
    per_token = float(arm_table.prices(scores.tokens).output[row])
    low, high = forecast.interval(output, most)
    return Baseline(
        model=arm.model,
        cost_usd=cost,
        effort=arm_table.effort[row],
        low_usd=None if cost is None else round(cost - (output - low) * request.n * per_token, 9),
        high_usd=None if cost is None else round(cost + (high - output) * request.n * per_token, 9),
        input_tokens=int(scores.tokens[row]),
        calls=upstream_calls(request, arm_table.facts[row], arm.effort),
        visible_tokens=visible * request.n,
        reasoning_tokens=(output - visible) * request.n,
        max_output_tokens=most * request.n,
        answer_tokens=int(scores.visible[chosen]) * request.n,
        spread=forecast.SPREAD,
    )
