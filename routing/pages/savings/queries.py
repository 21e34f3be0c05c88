"""Savings: what was paid, what the baseline would have cost, and the quality of answers.

Each answered request that has a price and a baseline counts. The interval is a bootstrap over days (Efron &
Tibshirani, 1993): days differ in what is sent on them, so a day's requests are one observation, not many.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from django.db.models import Avg, Count

from accounts.models import Account
from billing.ledger.windows import spans
from billing.models import Request
from billing.reports.measures import Sums, usd
from billing.reports.queries import Sources
from core.numbers.formats import sum_places
from routing.learning.models import Outcome

FEWEST_DAYS = 5  # with traffic; below that no interval is shown
RESAMPLES = 1000
_FAILED = (Request.Status.FAILED, Request.Status.PARTIAL, Request.Status.EXPIRED)


@dataclass(frozen=True)
class Quality:
    """Signs of answer quality. Without evidence a share is empty (None)."""

    answered: float | None
    feedback: float | None
    feedback_count: int
    form: float | None  # of answers that had to match a JSON schema, the share that did
    form_count: int


@dataclass(frozen=True)
class Savings:
    """USD over the period. `low`, `high`: 95 % interval of what is saved, None for too few days."""

    days: int
    since: datetime
    until: datetime
    requests: int  # all
    compared: int  # those with a price and a baseline
    paid: Decimal
    baseline: Decimal
    by_forecast: int  # of `compared`, those by the baseline's forecast tokens; the others have the older rule
    saved_low: Decimal  # 90 % interval of the forecasts, all erring the same way
    saved_high: Decimal
    low: Decimal | None
    high: Decimal | None
    quality: Quality
    starts: Sequence[datetime]  # of the parts that have begun: days, or hours of a single day
    parts: Sequence[Sums]

    @property
    def saved(self) -> Decimal:
        return self.baseline - self.paid

    @property
    def places(self) -> int:
        """Decimals at which what was paid and saved add up to the baseline's cost."""
        return sum_places(self.baseline, self.paid, self.saved)

    @property
    def days_compared(self) -> int:
        """Days with a request that counts; a single day's parts are its hours."""
        compared = sum(part.compared > 0 for part in self.parts)
        return min(compared, self.days)

    @property
    def per(self) -> str:
        return "hour" if self.days == 1 else "day"

    @property
    def label(self) -> str:
        return "Paid more" if self.saved < 0 else "Saved"

    @property
    def by_older_rule(self) -> int:
        return self.compared - self.by_forecast

    @property
    def share(self) -> float | None:
        return float(self.saved / self.baseline) if self.baseline else None


def savings(account: Account, days: int, now: datetime) -> Savings:
    """The last `days` days of the account's zone, today included."""
    zone = ZoneInfo(account.time_zone)
    first = (now.astimezone(zone) - timedelta(days=days - 1)).replace(hour=12)
    midnights = [spans(first + timedelta(days=n), account.time_zone)[0].starts_at for n in range(days)]
    since = midnights[0]
    starts = list(_hours(since, now)) if days == 1 else [start for start in midnights if start < now]
    sources = Sources.now(account.pk, since, now)
    parts = [sum(sources.sums(start, end).values(), Sums()) for start, end in pairwise([*starts, now])]
    total = sum(parts, Sums())
    known = total.baseline_nano - total.forecast_nano - total.compared_nano  # in both ends of the interval
    daily = [day.baseline_nano - day.compared_nano for day in parts if day.compared] if days > 1 else []
    low, high = _interval(daily)
    return Savings(
        days=days,
        since=since,
        until=now,
        requests=total.requests,
        compared=total.compared,
        paid=usd(total.compared_nano),
        baseline=usd(total.baseline_nano),
        by_forecast=total.forecast_compared,
        saved_low=usd(known + total.forecast_low_nano),
        saved_high=usd(known + total.forecast_high_nano),
        low=low,
        high=high,
        starts=[start.astimezone(zone) for start in starts],
        parts=parts,
        quality=_quality(account, sources, since, now, total.requests),
    )


def _hours(since: datetime, until: datetime) -> Iterator[datetime]:
    while since < until:
        yield since
        since += timedelta(hours=1)


def _interval(daily: Sequence[int]) -> tuple[Decimal | None, Decimal | None]:
    if len(daily) < FEWEST_DAYS:
        return None, None
    drawn = np.random.default_rng(0).choice(np.array(daily, float), (RESAMPLES, len(daily)))
    low, high = np.percentile(drawn.sum(axis=1), (2.5, 97.5))
    return usd(round(low)), usd(round(high))


def _quality(account: Account, sources: Sources, since: datetime, until: datetime, requests: int) -> Quality:
    by_status = sources.sums(since, until, "status")
    failed = sum(sums.requests for (status,), sums in by_status.items() if status in _FAILED)
    settled = requests - sum(
        sums.requests
        for (status,), sums in by_status.items()
        if status in (Request.Status.OPEN, Request.Status.ABORTED)
    )
    signs = Outcome.objects.filter(account=account, at__gte=since, at__lt=until).order_by()
    means = {
        source: (mean, count)
        for source, mean, count in signs.values_list("source").annotate(m=Avg("score"), n=Count("pk"))
    }
    feedback, feedback_count = means.get(Outcome.Source.FEEDBACK, (None, 0))
    form, form_count = means.get(Outcome.Source.FORM, (None, 0))
    return Quality(1 - failed / settled if settled else None, feedback, feedback_count, form, form_count)
