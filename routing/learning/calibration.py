"""Calibration: predicted success of answers against the feedback people gave on them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Avg, Count, F
from django.db.models.functions import Floor, Least

from routing.learning.models import Outcome

SPAN = timedelta(days=30)
BINS = 20  # of P(success), each a twentieth wide
FEWEST = 5  # outcomes from which a bin is shown
_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True)
class Bin:
    """Outcomes with similar predictions: mean prediction, mean score and its 95 % Wilson interval."""

    outcomes: int
    expected: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Calibration:
    """`error`: the mean distance of prediction and score over bins, weighted by their outcomes."""

    outcomes: int
    bins: Sequence[Bin]
    error: float | None


def calibration(now: datetime) -> Calibration:
    """Return the calibration on all feedback of the last 30 days. Predictions are without learning."""
    judged = Outcome.objects.filter(source=Outcome.Source.FEEDBACK, at__gte=now - SPAN)
    rows = (
        judged.annotate(bin_=Least(Floor(F("expected") * BINS), BINS - 1.0))
        .values_list("bin_")
        .annotate(n=Count("pk"), expected_=Avg("expected"), observed_=Avg("score"))
        .order_by("bin_")
    )
    bins = [
        Bin(n, expected, observed, *_wilson(observed, n)) for _, n, expected, observed in rows if n >= FEWEST
    ]
    total = sum(bin_.outcomes for bin_ in bins)
    error = (
        sum(bin_.outcomes * abs(bin_.expected - bin_.observed) for bin_ in bins) / total if total else None
    )
    return Calibration(total, bins, error)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson, E. B. (1927): Probable inference, the law of succession, and statistical inference."""
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    reach = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return max(0.0, centre - reach), min(1.0, centre + reach)
