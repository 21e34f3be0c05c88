"""Home's figures: how a period went against the one before it, from one account's rows of that time.

Every query is bounded by account and time, which the index (account, -created_at, -id) answers, and uses
only what both databases have. Percentiles come from counts by rounded latency, because SQLite has no
percentile function.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, When

from accounts.models import Account
from billing.models import Request, Window
from billing.windows import current
from routing.pages.filters import TOKENS

LISTED = 5  # slowest and dearest requests shown


@dataclass(frozen=True)
class Period:
    """A time and the equally long one it is compared with: today until now with yesterday until this hour."""

    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime


@dataclass(frozen=True)
class Totals:
    """One period's sums. USD are exact; latencies in ms, None without a success; `rate`s are shares of 1."""

    requests: int = 0
    succeeded: int = 0
    ended: int = 0  # neither open nor left by the caller: what the success rate is of
    fell_back: int = 0
    unpriced: int = 0
    tokens: int = 0
    spend_usd: Decimal = Decimal(0)
    saved_usd: Decimal | None = None  # against the baseline, over the requests that have one; may be negative
    baseline_usd: Decimal | None = None
    p50_ms: int | None = None
    p95_ms: int | None = None

    @property
    def success_rate(self) -> float | None:
        return self.succeeded / self.ended if self.ended else None

    @property
    def saved_share(self) -> float | None:
        """Saved as a share of what the baseline would have cost."""
        if self.saved_usd is None or not self.baseline_usd:
            return None
        return float(self.saved_usd / self.baseline_usd)


@dataclass(frozen=True)
class Share:
    """How much of the traffic one model answered."""

    model: str
    provider: str
    requests: int
    share: float
    spend_usd: Decimal


def rows_between(account: Account, start: datetime, end: datetime) -> QuerySet[Request]:
    return Request.objects.filter(account=account, created_at__gte=start, created_at__lt=end)


def totals(rows: QuerySet[Request]) -> Totals:
    succeeded = Q(status=Request.Status.SUCCEEDED)
    compared = Q(baseline_usd__isnull=False, cost_usd__isnull=False)
    sums = rows.aggregate(
        requests=Count("id"),
        succeeded=Count("id", filter=succeeded),
        ended=Count("id", filter=~Q(status__in=[Request.Status.OPEN, Request.Status.ABORTED])),
        fell_back=Count("id", filter=Q(fallback_used=True)),
        unpriced_rows=Count("id", filter=Q(unpriced=True)),
        tokens=Sum(TOKENS),
        spend=Sum("cost_usd"),
        baseline=Sum("baseline_usd", filter=compared),
        compared=Sum("cost_usd", filter=compared),
    )
    p50_ms, p95_ms = _percentiles(rows.filter(succeeded), (0.5, 0.95))
    return Totals(
        requests=sums["requests"],
        succeeded=sums["succeeded"],
        ended=sums["ended"],
        fell_back=sums["fell_back"],
        unpriced=sums["unpriced_rows"],
        tokens=sums["tokens"] or 0,
        spend_usd=sums["spend"] or Decimal(0),
        saved_usd=None if sums["baseline"] is None else sums["baseline"] - sums["compared"],
        baseline_usd=sums["baseline"],
        p50_ms=p50_ms,
        p95_ms=p95_ms,
    )


def distribution(rows: QuerySet[Request]) -> list[Share]:
    """Which model answered how many, most first."""
    groups = list(
        rows.exclude(served_model="")
        .values("served_model", "provider")
        .annotate(requests=Count("id"), spend=Sum("cost_usd"))
        .order_by("-requests", "served_model")
    )
    total = sum(group["requests"] for group in groups)
    return [
        Share(
            model=group["served_model"],
            provider=group["provider"],
            requests=group["requests"],
            share=group["requests"] / total,
            spend_usd=group["spend"] or Decimal(0),
        )
        for group in groups
    ]


def slowest(rows: QuerySet[Request]) -> Sequence[Request]:
    return _listed(rows.filter(latency_ms__isnull=False).order_by("-latency_ms", "-created_at"))


def dearest(rows: QuerySet[Request]) -> Sequence[Request]:
    return _listed(rows.filter(cost_usd__gt=0).order_by("-cost_usd", "-created_at"))


def has_requests(account: Account) -> bool:
    return Request.objects.filter(account=account).exists()


@dataclass(frozen=True)
class Budget:
    """A day's ceiling in USD, as admission counts it: what of it is spent, set aside and left."""

    ceiling_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        return max(self.ceiling_usd - self.spent_usd - self.held_usd, Decimal(0))

    @property
    def used_share(self) -> Decimal:
        return (self.spent_usd + self.held_usd) / self.ceiling_usd if self.ceiling_usd else Decimal(1)


def budget_today(account: Account, now: datetime) -> Budget | None:
    """None where neither the account nor its plan sets a daily ceiling."""
    ceiling = account.daily_usd if account.daily_usd is not None else account.plan.daily_usd
    if ceiling is None:
        return None
    day = current("account", account.pk, Window.Period.DAY, now, account.time_zone)
    return Budget(ceiling, day.spent_usd, day.held_usd)


def change(now: float | Decimal | None, before: float | Decimal | None) -> float | None:
    """Relative change, 0.1 for 10 % more; None where there is nothing to compare with."""
    if now is None or not before:
        return None
    return float(now) / float(before) - 1


def period_named(name: str, now: datetime) -> Period:
    """The period up to `now`, which is in the viewer's zone. "today" begins at the viewer's midnight."""
    if name == "today":
        start, length = now.replace(hour=0, minute=0, second=0, microsecond=0), timedelta(days=1)
    else:
        length = timedelta(days=30 if name == "30d" else 7)
        start = now - length
    return Period(start=start, end=now, before_start=start - length, before_end=now - length)


def _listed(rows: QuerySet[Request]) -> Sequence[Request]:
    return list(
        rows.only(
            "id", "created_at", "status", "served_model", "served_effort", "routed_model", "routed_effort",
            "query_type", "cost_usd", "latency_ms", "unpriced",
        )[:LISTED]
    )  # fmt: skip


def _percentiles(rows: QuerySet[Request], shares: Sequence[float]) -> list[int | None]:
    """Latencies in ms below which those shares of the rows lie, by nearest rank, true to 1 %."""
    latency = F("latency_ms")
    rounded = Case(
        When(latency_ms__lt=1_000, then=latency),
        When(latency_ms__lt=10_000, then=latency - latency % 10),
        default=latency - latency % 100,
        output_field=IntegerField(),
    )
    counts = list(
        rows.filter(latency_ms__isnull=False)
        .annotate(rounded=rounded)
        .values_list("rounded")
        .annotate(count=Count("id"))
        .order_by("rounded")
    )
    total = sum(count for _, count in counts)
    return [_at_rank(counts, math.ceil(share * total)) if total else None for share in shares]


def _at_rank(counts: Sequence[tuple[int, int]], rank: int) -> int:
    passed = 0
    for value, count in counts:
        passed += count
        if passed >= rank:
            return int(value)
    return int(counts[-1][0])
