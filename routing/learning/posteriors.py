"""What an account's outcomes say of each arm and skill: a bounded shift of P(success), from plain values.

An outcome is a score less the P(success) that was predicted of the arm, without any learning, for that very
request. At one skill of one account an arm's mean difference is taken as

    c + d(arm) + noise,   c ~ N(0, s²/COMMON_COUNT), d ~ N(0, s²/PSEUDO_COUNT), noise ~ N(0, s²/w)

where w sums the weights of the outcomes, each 2^(−age / HALF_LIFE) of its sign's. `c` is what makes this
account's prompts harder or easier than predicted for every arm; without it the arm in use is blamed for what
all would suffer, and rivals that were never tried look better than they are (docs/routing.md). What moves
decisions is the posterior mean of `d`, gated by how many outcomes the account has for the model, and bounded
(spec/routing.md §8). Earlier learning is no part of what was predicted: it does not feed on itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

PSEUDO_COUNT, COMMON_COUNT = 60.0, 5.0  # outcomes; docs/routing.md has what others give
HALF_LIFE = timedelta(days=30)
BOUND = 0.15  # of P(success), whatever the evidence
# Said feedback weighs more than signs: an answer without the form asked for failed, one with it may still be
# wrong; who asks the same again at once may only have lost the line.
WEIGHTS: Mapping[str, float] = {"feedback": 1.0, "form": 0.5, "repeat": 0.3}
# From so many outcomes of a model on, this share of the shift counts: the product's published gates.
GATES = ((100, 0.8), (50, 0.5), (10, 0.2))


@dataclass(frozen=True, slots=True)
class Sign:
    """One outcome, as posteriors need it."""

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
    expected: float  # weighed mean of what was predicted
    observed: float  # weighed mean of what was seen
    common: float  # how much better than predicted all arms do at the skill; part of no shift
    influence: float  # share of the posterior's move that counts, by the gates
    shift: float


def posteriors(signs: Iterable[Sign], now: datetime) -> list[Posterior]:
    """One for each arm and skill with outcomes, most evidence first."""
    cells: dict[str, dict[tuple[str, str], list[Sign]]] = defaultdict(lambda: defaultdict(list))
    of_model: dict[str, int] = defaultdict(int)
    for sign in signs:
        cells[sign.skill][sign.arm, sign.model].append(sign)
        of_model[sign.model] += 1
    found: list[Posterior] = []
    for skill, arms in cells.items():
        seen = {arm: _seen(cell, now) for arm, cell in arms.items()}
        common = _common(seen.values())
        found += [
            _posterior(arm, skill, len(arms[arm, model]), one, common, influence(of_model[model]))
            for (arm, model), one in seen.items()
        ]
    return sorted(found, key=lambda one: (-one.evidence, one.arm, one.skill))


def shifts(found: Iterable[Posterior]) -> dict[str, float]:
    """As `decide` takes them: "arm|skill" → shift; those that move nothing are left out."""
    return {f"{one.arm}|{one.skill}": one.shift for one in found if one.shift}


def influence(outcomes: int) -> float:
    """Share of a posterior's move that counts, by an account's number of outcomes for the model."""
    return next((share for least, share in GATES if outcomes >= least), 0.0)


@dataclass(frozen=True, slots=True)
class _Seen:
    evidence: float
    expected: float
    observed: float


def _seen(cell: list[Sign], now: datetime) -> _Seen:
    weights = [WEIGHTS[sign.source] * 0.5 ** (max(now - sign.at, timedelta(0)) / HALF_LIFE) for sign in cell]
    evidence = sum(weights)
    expected, observed = (
        sum(weight * value for weight, value in zip(weights, values, strict=True)) / evidence
        for values in ([sign.expected for sign in cell], [sign.score for sign in cell])
    )
    return _Seen(evidence, expected, observed)


def _common(arms: Iterable[_Seen]) -> float:
    """Posterior mean of `c`; each arm is as certain as its evidence and its own `d` let it be."""
    total = precision = 0.0
    for one in arms:
        certain = 1 / (1 / one.evidence + 1 / PSEUDO_COUNT)
        total += certain * (one.observed - one.expected)
        precision += certain
    return total / (COMMON_COUNT + precision)


def _posterior(arm: str, skill: str, outcomes: int, seen: _Seen, common: float, counts: float) -> Posterior:
    own = (seen.observed - seen.expected - common) * seen.evidence / (PSEUDO_COUNT + seen.evidence)
    return Posterior(
        arm=arm,
        skill=skill,
        outcomes=outcomes,
        evidence=seen.evidence,
        expected=seen.expected,
        observed=seen.observed,
        common=common,
        influence=counts,
        shift=round(max(-BOUND, min(BOUND, counts * own)), 4),
    )
