"""Rolls up closed hours, so that a report reads a few thousand rows instead of a million.

An hour is registered when it is closed, and rolled up when none of its requests is open. After that only a
re-pricing can change them, and it marks the hour stale in its own transaction (`mark_stale`). Opening a
request takes seconds at most; the last registered hours are counted again in case one took longer. Every step
takes a lock before it reads, so concurrent runs do the work once.
"""

import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from django.db import transaction
from django.db.models import Count, Min
from django.db.models.functions import TruncHour

from billing.models import Request
from billing.reports.measures import DIMENSIONS, of_ledger
from billing.reports.models import AccountHour, HourUsage, RolledUntil
from billing.reports.summary import summarise

HOUR = timedelta(hours=1)
# An hour is closed that long after its end: far longer than opening a request takes.
GRACE = timedelta(minutes=10)
_RECOUNTED = 2 * HOUR
_STRIDE = 24 * HOUR  # registered per transaction


def roll_up(now: datetime, seconds: float = 240.0) -> int:
    """Register closed hours and roll up what can be, within `seconds`; returns how many were rolled up."""
    until = time.monotonic() + seconds
    while _register_closed(now) and time.monotonic() < until:
        pass
    registered = rolled_until()
    if registered is None:
        return 0
    rolled = 0
    stale = AccountHour.objects.filter(stale=True, hour__lt=registered).order_by("hour", "pk")
    for pk in list(stale.values_list("pk", flat=True)):
        if time.monotonic() > until:
            break
        rolled += _roll(pk, now)
    return rolled


def rolled_until() -> datetime | None:
    return RolledUntil.objects.values_list("until", flat=True).first()


def mark_stale(moments: Iterable[tuple[int, datetime]]) -> None:
    """Mark the hours of (account, created_at) stale; call it in the transaction that changes these requests.

    Hours that are not registered yet are written too, so that a concurrent rollup waits for the transaction.
    """
    hours = sorted({(account_id, floor_hour(at)) for account_id, at in moments})
    AccountHour.objects.bulk_create(
        [AccountHour(account_id=account_id, hour=hour) for account_id, hour in hours],
        update_conflicts=True,
        update_fields=["stale"],
        unique_fields=["account", "hour"],
    )


def floor_hour(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


@transaction.atomic
def _register_closed(now: datetime) -> bool:
    """Register the hours that closed since the last run, at most a day's. True: there are more."""
    closed = floor_hour(now - GRACE)
    mark = RolledUntil.objects.select_for_update().first() or _first_mark(closed)
    if mark is None or mark.until >= closed:
        return False
    end = min(closed, mark.until + _STRIDE)
    rows = Request.objects.filter(created_at__gte=mark.until - _RECOUNTED, created_at__lt=end)
    counted: dict[tuple[int, datetime], int] = {
        (account_id, hour): count
        for account_id, hour, count in rows.order_by()
        .annotate(hour_=TruncHour("created_at", tzinfo=UTC))
        .values_list("account_id", "hour_")
        .annotate(count_=Count("id"))
    }
    known = AccountHour.objects.filter(hour__gte=mark.until - _RECOUNTED, hour__lt=end, stale=False)
    complete = {(row.account_id, row.hour): row.requests for row in known}
    mark_stale(place for place, count in counted.items() if complete.get(place) != count)
    mark.until = end
    mark.save(update_fields=["until"])
    return end < closed


def _first_mark(closed: datetime) -> RolledUntil | None:
    """Start the mark at the first request, or at `closed` if that is earlier; None: there is no request."""
    first = Request.objects.aggregate(at=Min("created_at"))["at"]
    if first is None:
        return None
    RolledUntil.objects.get_or_create(pk=1, defaults={"until": min(floor_hour(first), closed)})
    return RolledUntil.objects.select_for_update().get(pk=1)


@transaction.atomic
def _roll(pk: int, now: datetime) -> bool:
    """Roll up an hour of an account.

    False: another run has done it, or a request of the hour is still open.
    """
    account_hour = AccountHour.objects.select_for_update().filter(pk=pk, stale=True).first()
    if account_hour is None:
        return False
    rows = Request.objects.filter(
        account_id=account_hour.account_id,
        created_at__gte=account_hour.hour,
        created_at__lt=account_hour.hour + HOUR,
    )
    if rows.filter(status=Request.Status.OPEN).exists():
        return False
    groups = of_ledger(rows, *DIMENSIONS)
    account_hour.usage.all().delete()
    HourUsage.objects.bulk_create(
        HourUsage(of=account_hour, **_columns(place), **msgspec.structs.asdict(sums))
        for place, sums in groups.items()
    )
    account_hour.summary = msgspec.to_builtins(summarise(rows), str_keys=True)
    account_hour.requests = sum(sums.requests for sums in groups.values())
    account_hour.stale, account_hour.rolled_at = False, now
    account_hour.save()
    return True


def _columns(place: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(DIMENSIONS, place, strict=True))
