"""What an account's outcomes say of each arm and skill: a bounded shift of P(success), from plain values.

Per account, arm and skill a Beta posterior over success. Its prior is what was predicted for the very
requests that gave the outcomes, worth PSEUDO_COUNT of them; the posterior mean less the prior mean is

    shift = Σ w (score − expected) / (PSEUDO_COUNT + Σ w),    w = weight of the sign × 2^(−age / HALF_LIFE)

Expectations leave earlier learning out, so learning does not feed on itself. The shift is then gated by how
many outcomes the account has for the model, and bounded (spec/routing.md §8).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

PSEUDO_COUNT = 20.0  # outcomes; bench/learning has what 10 and 40 give
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
    influence: float  # share of the posterior's move that counts, by the gates
    shift: float


def posteriors(signs: Iterable[Sign], now: datetime) -> list[Posterior]:
    """One for each arm and skill with outcomes, most evidence first."""
    cells: dict[tuple[str, str, str], list[Sign]] = defaultdict(list)
    of_model: dict[str, int] = defaultdict(int)
    for sign in signs:
        cells[sign.arm, sign.model, sign.skill].append(sign)
        of_model[sign.model] += 1
    found = [
        _posterior(arm, skill, cell, influence(of_model[model]), now)
        for (arm, model, skill), cell in cells.items()
    ]
    return sorted(found, key=lambda one: (-one.evidence, one.arm, one.skill))


def shifts(found: Iterable[Posterior]) -> dict[str, float]:
    """As `decide` takes them: "arm|skill" → shift; those that move nothing are left out."""
    return {f"{one.arm}|{one.skill}": one.shift for one in found if one.shift}


def influence(outcomes: int) -> float:
    """Share of a posterior's move that counts, by an account's number of outcomes for the model."""
    return next((share for least, share in GATES if outcomes >= least), 0.0)


def _posterior(arm: str, skill: str, cell: list[Sign], counts: float, now: datetime) -> Posterior:
    weights = [WEIGHTS[sign.source] * 0.5 ** (max(now - sign.at, timedelta(0)) / HALF_LIFE) for sign in cell]
    evidence = sum(weights)
    observed = sum(weight * sign.score for weight, sign in zip(weights, cell, strict=True))
    expected = sum(weight * sign.expected for weight, sign in zip(weights, cell, strict=True))
    moved = counts * (observed - expected) / (PSEUDO_COUNT + evidence)
    return Posterior(
        arm=arm,
        skill=skill,
        outcomes=len(cell),
        evidence=evidence,
        expected=expected / evidence if evidence else 0.0,
        observed=observed / evidence if evidence else 0.0,
        influence=counts,
        shift=round(max(-BOUND, min(BOUND, moved)), 4),
    )
