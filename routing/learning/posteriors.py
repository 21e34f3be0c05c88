"""Posteriors: an account's outcomes as a bounded shift of P(success) for each arm and skill. Plain values.

An outcome's difference is its score minus the P(success) predicted for the arm and that request, without
learning. For one account and one skill, an arm's mean difference is modelled as

    c + d(arm) + noise,   c ~ N(0, s²/COMMON_COUNT), d ~ N(0, s²/PSEUDO_COUNT), noise ~ N(0, s²/w)

where w is the sum of the outcomes' weights, each its source's times 2^(−age / HALF_LIFE). `c` is common to
all arms: this account's prompts are harder or easier than predicted. Without `c`, the arm in use would be
blamed for hard prompts, and arms that were never tried would look better than they are (docs/routing-lab.md).
Only the posterior mean of `d` moves decisions, gated by the number of outcomes the account has for the model,
and bounded. Predictions are taken without earlier learning, so that learning does not feed on itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

PSEUDO_COUNT, COMMON_COUNT = 60.0, 5.0  # outcomes; docs/routing-lab.md compares other values
HALF_LIFE = timedelta(days=30)
BOUND = 0.15  # largest shift of P(success), however much evidence there is
# Weights by source. Feedback counts fully. A matching JSON form does not make an answer right, and a repeated
# prompt may only follow a lost connection, so these count less.
WEIGHTS: Mapping[str, float] = {"feedback": 1.0, "form": 0.5, "repeat": 0.3}
# (outcomes of a model, share of the shift that counts from there on). Below the last gate a model does not
# move: a handful of opinions must not change where an account's requests go.
GATES = ((100, 0.8), (50, 0.5), (10, 0.2))


@dataclass(frozen=True, slots=True)
class Sign:
    """An outcome, as plain values."""

    arm: str
    model: str
    skill: str
    source: str
    expected: float
    score: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Posterior:
    """One arm at one skill: `evidence` is the summed weight, `shift` what the decision adds to P(success)."""

    arm: str
    skill: str
    outcomes: int
    evidence: float
    expected: float  # weighted mean of the predictions
    observed: float  # weighted mean of the scores
    common: float  # how much better than predicted all arms do at the skill; not part of the shift
    influence: float  # share of the posterior that counts, by the gates
    shift: float


def posteriors(signs: Iterable[Sign], now: datetime) -> list[Posterior]:
    """Return a posterior for each arm and skill with outcomes, most evidence first."""
    cells: dict[str, dict[tuple[str, str], list[Sign]]] = defaultdict(lambda: defaultdict(list))
    of_model: dict[str, int] = defaultdict(int)
    for sign in signs:
        cells[sign.skill][sign.arm, sign.model].append(sign)
        of_model[sign.model] += 1
    result: list[Posterior] = []
    for skill, arms in cells.items():
        means = {arm: _cell(cell, now) for arm, cell in arms.items()}
        common = _common(means.values())
        result += [
            _posterior(arm, skill, len(arms[arm, model]), cell, common, influence(of_model[model]))
            for (arm, model), cell in means.items()
        ]
    return sorted(result, key=lambda posterior: (-posterior.evidence, posterior.arm, posterior.skill))


def shifts(learnt: Iterable[Posterior]) -> dict[str, float]:
    """Return "arm|skill" → shift, as `decide` takes it, without shifts of 0."""
    return {f"{p.arm}|{p.skill}": p.shift for p in learnt if p.shift}


def influence(outcomes: int) -> float:
    """Return the share of a posterior that counts, for an account's number of outcomes of the model."""
    return next((share for least, share in GATES if outcomes >= least), 0.0)


@dataclass(frozen=True, slots=True)
class _Cell:
    evidence: float
    expected: float
    observed: float


def _cell(cell: list[Sign], now: datetime) -> _Cell:
    weights = [WEIGHTS[sign.source] * 0.5 ** (max(now - sign.at, timedelta(0)) / HALF_LIFE) for sign in cell]
    evidence = sum(weights)
    expected, observed = (
        sum(weight * value for weight, value in zip(weights, values, strict=True)) / evidence
        for values in ([sign.expected for sign in cell], [sign.score for sign in cell])
    )
    return _Cell(evidence, expected, observed)


def _common(arms: Iterable[_Cell]) -> float:
    """The posterior mean of `c`. An arm's precision is limited by its evidence and by the spread of `d`."""
    total = precision = 0.0
    for arm in arms:
        certain = 1 / (1 / arm.evidence + 1 / PSEUDO_COUNT)
        total += certain * (arm.observed - arm.expected)
        precision += certain
    return total / (COMMON_COUNT + precision)


def _posterior(arm: str, skill: str, outcomes: int, cell: _Cell, common: float, counts: float) -> Posterior:
    own = (cell.observed - cell.expected - common) * cell.evidence / (PSEUDO_COUNT + cell.evidence)
    return Posterior(
        arm=arm,
        skill=skill,
        outcomes=outcomes,
        evidence=cell.evidence,
        expected=cell.expected,
        observed=cell.observed,
        common=common,
        influence=counts,
        shift=round(max(-BOUND, min(BOUND, counts * own)), 4),
    )
