"""Home's figures: a period's totals compared with the period before it.

They come from a billing.reports Summary, which reads rollups of closed hours and the ledger for the rest, so
a month of a million requests is as fast as a day of a thousand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from accounts.models import Account
from billing.ledger.windows import current
from billing.models import Request, Window
from billing.reports.measures import usd
from billing.reports.summary import Extreme, Part, Summary, percentiles
from routing.pages.periods import DAYS

_NOT_ENDED = (Request.Status.OPEN, Request.Status.ABORTED)


@dataclass(frozen=True)
class Period:
    """A period and the equally long one before it: today until now is compared with yesterday until now."""

    start: datetime
    end: datetime
    before_start: datetime
    before_end: datetime


@dataclass(frozen=True)
class Totals:
    """One period's sums. USD are exact; latencies in ms, None without a success; `rate`s are shares of 1."""

    requests: int = 0
    succeeded: int = 0
    ended: int = 0  # neither open nor aborted by the caller: the base of the success rate
    fell_back: int = 0
    unpriced: int = 0
    tokens: int = 0
    spend_usd: Decimal = Decimal(0)
    saved_usd: Decimal | None = None  # against the baseline, over the requests that have one; may be negative
    baseline_usd: Decimal | None = None
    saved_by_older_rule: int = 0  # requests of saved_usd whose baseline has the answer's own tokens
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


def totals(of: Summary) -> Totals:
    p50_ms, p95_ms = percentiles(of.latencies, (0.5, 0.95))
    compared = [part for part in of.parts if part.with_baseline]
    baseline = usd(sum(part.baseline for part in compared))
    return Totals(
        requests=counted(of),
        succeeded=counted(of, Request.Status.SUCCEEDED),
        ended=sum(part.requests for part in of.parts if part.status not in _NOT_ENDED),
        fell_back=sum(part.fell_back for part in of.parts),
        unpriced=sum(part.unpriced for part in of.parts),
        tokens=sum(part.tokens for part in of.parts),
        spend_usd=of.spend_usd,
        saved_usd=baseline - usd(sum(part.compared for part in compared)) if compared else None,
        baseline_usd=baseline if compared else None,
        saved_by_older_rule=sum(part.with_baseline - part.by_forecast for part in compared),
        p50_ms=p50_ms,
        p95_ms=p95_ms,
    )


def counted(of: Summary, *statuses: str) -> int:
    """How many requests, of those statuses or in all."""
    return sum(part.requests for part in of.parts if not statuses or part.status in statuses)


def distribution(of: Summary) -> list[Share]:
    """Which model answered how many, most first."""
    groups: dict[tuple[str, str], list[Part]] = {}
    for part in of.parts:
        if part.model:
            groups.setdefault((part.model, part.provider), []).append(part)
    total = sum(part.requests for parts in groups.values() for part in parts)
    shares = [
        Share(
            model=model,
            provider=provider,
            requests=sum(part.requests for part in parts),
            share=sum(part.requests for part in parts) / total,
            spend_usd=usd(sum(part.cost for part in parts)),
        )
        for (model, provider), parts in groups.items()
    ]
    return sorted(shares, key=lambda share: (-share.requests, share.model))


def listed(account: Account, *lists: Sequence[Extreme]) -> list[list[Request]]:
    """The account's requests of each list in its order, read in one query.

    The query filters by id alone: with the account as a second filter, SQLite scans all of its rows.
    """
    ids = {extreme.id for extremes in lists for extreme in extremes}
    rows = Request.objects.only(
        "id", "account_id", "created_at", "status", "served_model", "served_effort", "routed_model",
        "routed_effort", "query_type", "cost_usd", "latency_ms", "unpriced",
    ).in_bulk(ids)  # fmt: skip
    own = {pk: row for pk, row in rows.items() if row.account_id == account.pk}
    return [[own[extreme.id] for extreme in extremes if extreme.id in own] for extremes in lists]


def has_requests(account: Account) -> bool:
    return Request.objects.filter(account=account).exists()


@dataclass(frozen=True)
class Budget:
    """Today's spending limit in USD as admission counts it: spent, held and left.

    `resets_at` is the next midnight of the account's time zone, in that zone.
    """

    ceiling_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    time_zone: str
    resets_at: datetime

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
    return Budget(
        ceiling_usd=ceiling,
        spent_usd=day.spent_usd,
        held_usd=day.held_usd,
        time_zone=account.time_zone,
        resets_at=day.ends_at.astimezone(ZoneInfo(account.time_zone)),
    )


def change(now: float | Decimal | None, before: float | Decimal | None) -> float | None:
    """Relative change, 0.1 for 10 % more; None where there is nothing to compare with."""
    if now is None or not before:
        return None
    return float(now) / float(before) - 1


def period_named(name: str, now: datetime) -> Period:
    """The days up to `now`, today included, as Usage and Savings count them.

    `now` is in the account's zone, in which days begin. The period before has as many days, and ends at the
    time of day of `now`.
    """
    length = timedelta(days=DAYS[name])
    start = now.replace(hour=0, minute=0, second=0, microsecond=0) - length + timedelta(days=1)
    return Period(start=start, end=now, before_start=start - length, before_end=now - length)
