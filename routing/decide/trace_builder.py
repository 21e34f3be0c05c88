"""Builds the record of a choice: the ranked candidates with their numbers, and why others were removed."""

from math import isfinite
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from core.packed_json import Choices, Column, Decimals, Same, Table
from routing.decide import explanation, forecast
from routing.decide.prediction import skills
from routing.decide.prediction.artefact import fitted
from routing.decide.scores import Field, Scores
from routing.decide.strategies import Candidates, Ranking
from routing.decide.trace import Baseline, Forecast, Record
from routing.language.choices import upstream_calls

Row = npt.NDArray[np.float64]

_SKILLS = tuple(map(str, skills.SKILLS))


class Choice(msgspec.Struct, frozen=True):
    """The outcome of a strategy. `candidates` and `ranking` are by place in the rows of `field`."""

    field: Field  # what was compared
    candidates: Candidates
    ranking: Ranking
    order: npt.NDArray[np.intp]  # rows of the arm table, best first
    pinned: int | None = None
    probability: float = 1.0
    explored: bool = False


def record(scores: Scores, choice: Choice, chain_rows: list[int]) -> Record:
    """Return the record. `chain_rows`: rows of the arm table in the chain; the first is the chosen one."""
    decision_input, first = scores.decision_input, chain_rows[0]
    compared, utility = _compared(scores, choice)
    baseline = _baseline(scores, first)
    cost = _known(float(scores.cost_usd[first]))
    return Record(
        snapshot=scores.snapshot,
        artefact=fitted().version,
        mode=decision_input.mode,
        strategy=decision_input.strategy,
        stream=decision_input.stream,
        features=scores.summary,
        query_type=scores.skill,
        complexity=scores.complexity,
        difficulty=round(scores.difficulty, 3),
        skills={
            skill: round(share, 3)
            for skill, share in zip(_SKILLS, scores.mix.tolist(), strict=True)
            if share >= 0.01
        },
        candidates=_table(scores, choice, compared.competent, utility),
        chain=tuple(scores.arm_table.names[row] for row in chain_rows),
        reason=_reason(scores, choice, compared),
        flip=_flip(scores, choice, compared),
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
        tolerance=choice.candidates.tolerance,
        level=round(scores.judgement.level, 2),
        everyday=round(scores.judgement.everyday, 2),
        answer_tokens=round(scores.answer_tokens),
        refined=scores.judgement.refined,
    )


def forecasts(scores: Scores, rows: list[int]) -> tuple[Forecast, ...]:
    """Return the forecast of each of the arm table's `rows`."""
    return tuple(
        Forecast(
            arm=scores.arm_table.arms[row],
            cost_usd=_known(scores.cost_usd.item(row)),
            input_tokens=int(scores.tokens.item(row)),
            output_tokens=int(scores.output.item(row)),
            latency_ms=scores.latency_ms.item(row),
            ttft_ms=scores.arm_table.ttft_ms_rounded.item(row),
            starting_visible_tokens=round(scores.starting_visible.item(row)),
            starting_reasoning_tokens=round(scores.starting_reasoning.item(row)),
            reasoning_tokens=round(scores.reasoning.item(row)),
            reasoning_allowance=int(scores.allowance.item(row)),
        )
        for row in rows
    )


def _compared(scores: Scores, choice: Choice) -> "tuple[explanation.Compared, Row]":
    """The compared candidates, and each row's utility: infinite where it was not compared."""
    arm_table, ranking, n = scores.arm_table, choice.ranking, len(scores.arm_table.arms)
    utility, competent = np.full(n, np.inf), np.ones(n, bool)
    rows = choice.field.rows
    utility[rows], competent[rows] = ranking.utility, ranking.competent

    def entry(row: int) -> _Entry:
        return _Entry(scores, utility, competent, row)

    compared = explanation.Compared(
        rows,
        choice.order,
        arm_table.model_numbers,
        scores.believed,
        scores.cost_usd,
        competent,
        None if scores.retiring is None else scores.retiring.rows,
        entry,
    )
    return compared, utility


class _Entry:
    """A compared candidate, of which only what the words are about is read."""

    __slots__ = ("_competent", "_row", "_scores", "_utility")

    def __init__(self, scores: Scores, utility: Row, competent: npt.NDArray[np.bool_], row: int) -> None:
        self._scores, self._utility, self._competent, self._row = scores, utility, competent, row

    @property
    def arm(self) -> str:
        return self._scores.arm_table.names[self._row]

    @property
    def name(self) -> str:
        return self._scores.arm_table.labels[self._row][3]

    @property
    def effort(self) -> str | None:
        return self._scores.arm_table.labels[self._row][2]

    @property
    def cost_usd(self) -> float | None:
        return _known(self._scores.cost_usd.item(self._row))

    @property
    def latency_ms(self) -> float:
        return self._scores.latency_ms.item(self._row)

    @property
    def ttft_ms(self) -> float:
        return self._scores.arm_table.ttft_ms_rounded.item(self._row)

    @property
    def utility(self) -> float | None:
        return _known(self._utility.item(self._row))

    @property
    def scored(self) -> bool:
        return self._scores.arm_table.scored.item(self._row)

    @property
    def competent(self) -> bool:
        return self._competent.item(self._row)

    @property
    def believed(self) -> float:
        return self._scores.believed.item(self._row)

    @property
    def retires(self) -> str | None:
        retiring = self._scores.retiring
        return None if retiring is None else retiring.days[retiring.places.item(self._row)]


def _table(scores: Scores, choice: Choice, competent: npt.NDArray[np.bool_], utility: Row) -> Table:
    """The candidates as columns, the ranked ones first."""
    arm_table, places, field, n = scores.arm_table, scores.removed.places, choice.field, choice.field.n
    rows = np.concatenate([choice.order.astype(np.uint16), field.others])
    kind = np.uint8 if len(scores.removed.values) <= 256 else np.uint16
    retiring = scores.retiring
    shares = np.rint(scores.rates * 10**4).astype(np.uint16)
    return Table(
        arm_table.candidate_columns[n],
        {
            "p_success": Decimals(shares[0, :n], 4),
            "low": Decimals(shares[1, :n], 4),
            "high": Decimals(shares[2, :n], 4),
            "cost_usd": scores.cost_usd[:n],
            "latency_ms": _scaled(scores.latency_ms[:n], 1, np.uint32),
            "output_tokens": scores.output[:n].astype(np.uint32),
            "utility": utility[:n],
            "competent": competent[:n],
            "learned": _learned(scores, n),
            "removed": Choices(places[:n].astype(kind), scores.removed.values),
            "retires": Same(None) if retiring is None else Choices(retiring.places[:n], retiring.days),
        },
        rows,
    )


def _learned(scores: Scores, n: int) -> Column:
    learned = scores.learned
    if learned is scores.arm_table.zeros or not learned.any():
        return Same(0.0)
    return _scaled(learned[:n], 4, np.int16)


def _scaled(numbers: Row, decimals: int, kind: type[np.integer[Any]]) -> Column:
    return Decimals(np.rint(numbers * 10**decimals).astype(kind), decimals)


def _known(number: float | None) -> float | None:
    return None if number is None or not isfinite(number) else number


def _reason(scores: Scores, choice: Choice, compared: explanation.Compared) -> str:
    decision_input = scores.decision_input
    if choice.pinned is None:
        return explanation.reason(
            decision_input.strategy, scores.skill, scores.difficulty, compared, stream=decision_input.stream
        )
    pinned, removed = compared.entry(choice.pinned), scores.removed[choice.pinned]
    if choice.order[0] == choice.pinned:
        return explanation.pinned_reason(pinned)
    why = removed.words if removed else "is unavailable"
    return explanation.unavailable_reason(
        explanation.title(pinned), why, compared.entry(choice.order.item(0))
    )


def _flip(scores: Scores, choice: Choice, compared: explanation.Compared) -> str:
    if choice.pinned is not None:
        return "Nothing: the request named this model."
    if choice.explored:
        return (
            "Chance: two candidates were nearly tied, or this one's model failed lately, "
            "and it was tried to learn from the outcome."
        )
    decision_input = scores.decision_input
    return explanation.flip(decision_input.strategy, choice.ranking, compared, stream=decision_input.stream)


def _baseline(scores: Scores, chosen: int) -> Baseline | None:
    """The account's baseline model at its default effort, else the best fixed one.

    `chosen`: the row whose forecast of the visible answer the settlement compares with the answer.
    """
    arm_table, wanted = scores.arm_table, scores.decision_input.baseline
    row = arm_table.defaults.get(wanted or "", arm_table.best_fixed)
    if row is None:
        return None
    request, arm = scores.decision_input.request, arm_table.arms[row]
    visible, output = round(scores.visible.item(row)), int(scores.output.item(row))
    most = int(scores.most_output.item(row))
    cost = _known(scores.cost_usd.item(row))
    per_token = scores.prices.output.item(row)
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
        answer_tokens=round(scores.visible.item(chosen)) * request.n,
        spread=forecast.SPREAD,
    )
