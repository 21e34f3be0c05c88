"""Availability by hour: how many attempts at a model failed, counted in the ledger and kept for 90 days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from django.db import transaction
from django.db.models import Count, Max, Q, Sum
from django.db.models.functions import TruncHour

from billing.models import Attempt
from routing.catalog.measure import DEGRADED_BELOW, DOWN_BELOW, counted
from routing.catalog.models import AvailabilityHour, Model

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
KEEP = timedelta(days=90)
_FIRST_REACH = timedelta(days=30)  # of the first run, on a ledger that has attempts already
_LATE = 2 * HOUR  # an attempt is written when its request ends, so the hours before are counted again
_LATE_EVERY_MINUTES = 5  # in the minutes between, a run counts only the hour of the last one


@dataclass(frozen=True)
class Block:
    """An hour or a day of attempts. `share`: of those that did not fail; None without attempts."""

    start: datetime
    attempts: int = 0
    failed: int = 0

    @property
    def share(self) -> float | None:
        return 1 - self.failed / self.attempts if self.attempts else None

    @property
    def tone(self) -> str:
        if self.share is None:
            return "none"
        if self.share < DOWN_BELOW:
            return "down"
        return "degraded" if self.share < DEGRADED_BELOW else "healthy"


@dataclass(frozen=True)
class Uptime:
    """Blocks in order, the last one of now. `name`: a provider or a model."""

    name: str
    blocks: Sequence[Block]

    @property
    def total(self) -> Block:
        attempts = sum(block.attempts for block in self.blocks)
        return Block(self.blocks[0].start, attempts, sum(block.failed for block in self.blocks))


def roll_up(now: datetime) -> int:
    """Count the hours since the last run again, and delete those past their time; returns how many.

    Made for a run every minute, so that a first request is soon on Home.
    """
    last = AvailabilityHour.objects.aggregate(last=Max("hour"))["last"]
    late = timedelta() if now.minute % _LATE_EVERY_MINUTES else _LATE
    since = max(last - late, now - _FIRST_REACH) if last else now - _FIRST_REACH
    since = since.replace(minute=0, second=0, microsecond=0)
    rows = []
    for model in Model.objects.values_list("pk", flat=True):  # one range of the index by model each
        attempts = counted(Attempt.objects.filter(model=model, started_at__gte=since, started_at__lte=now))
        by_hour = attempts.order_by().annotate(hour_=TruncHour("started_at", tzinfo=UTC))
        counts = by_hour.values_list("hour_", "provider").annotate(
            attempts_=Count("pk"), failed_=Count("pk", filter=~Q(outcome=Attempt.Outcome.OK))
        )
        rows += [
            AvailabilityHour(hour=hour, provider=provider, model=model, attempts=total, failed=failed)
            for hour, provider, total, failed in counts
        ]
    with transaction.atomic():
        AvailabilityHour.objects.filter(Q(hour__gte=since) | Q(hour__lt=now - KEEP)).delete()
        AvailabilityHour.objects.bulk_create(rows)
    return len(rows)


def provider_hours(providers: Sequence[str], now: datetime, hours: int = 24 * 7) -> list[Uptime]:
    """The last hours of each provider, over all its models."""
    starts = _starts(now, HOUR, hours)
    rows = AvailabilityHour.objects.filter(hour__gte=starts[0]).values_list("provider", "hour")
    counts = {
        (provider, hour): (attempts, failed)
        for provider, hour, attempts, failed in rows.annotate(all_=Sum("attempts"), failed_=Sum("failed"))
    }
    return [
        Uptime(provider, [Block(start, *counts.get((provider, start), ())) for start in starts])
        for provider in providers
    ]


def last_day(uptime: Uptime) -> Uptime:
    return Uptime(uptime.name, uptime.blocks[-24:])


def by_day(uptime: Uptime) -> Uptime:
    """The same attempts in blocks of 24 hours, of which the last one ends with the last hour."""
    hours = list(uptime.blocks)
    days = [hours[at : at + 24] for at in range(len(hours) % 24, len(hours), 24)]
    return Uptime(uptime.name, [Uptime(uptime.name, part).total for part in days])


def model_days(model: str, now: datetime, days: int = 30) -> Uptime:
    """The last days of one model, by UTC dates."""
    starts = _starts(now, DAY, days)
    counts: dict[date, tuple[int, int]] = {}
    rows = AvailabilityHour.objects.filter(model=model, hour__gte=starts[0])
    for hour, attempts, failed in rows.values_list("hour", "attempts", "failed"):
        earlier = counts.get(hour.date(), (0, 0))
        counts[hour.date()] = (earlier[0] + attempts, earlier[1] + failed)
    return Uptime(model, [Block(start, *counts.get(start.date(), ())) for start in starts])


def _starts(now: datetime, step: timedelta, count: int) -> list[datetime]:
    last = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if step == DAY:
        last = last.replace(hour=0)
    return [last - step * back for back in reversed(range(count))]
