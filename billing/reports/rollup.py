"""Rolling up closed hours, so that a report reads a few thousand rows instead of a million.

An hour is noted when it is closed and rolled up when none of its requests is open; from then on only a
re-pricing can change them, and that marks the hour stale in its own transaction (`mark_stale`). Opening a
request takes seconds at most; the last noted hours are counted again all the same, for one that took longer.
Every step takes a lock before it reads, so two runs at once do the work once.
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
GRACE = timedelta(minutes=10)  # after its end an hour is closed: far longer than an opening may take
_RECOUNTED = 2 * HOUR
_STRIDE = 24 * HOUR  # noted in one transaction


def roll_up(now: datetime, seconds: float = 240.0) -> int:
    """Note what closed and roll up what can be, for so long at most; returns how many hours were rolled."""
    until = time.monotonic() + seconds
    while _note_closed(now) and time.monotonic() < until:
        pass
    noted = rolled_until()
    if noted is None:
        return 0
    rolled = 0
    stale = AccountHour.objects.filter(stale=True, hour__lt=noted).order_by("hour", "pk")
    for pk in list(stale.values_list("pk", flat=True)):
        if time.monotonic() > until:
            break
        rolled += _roll(pk, now)
    return rolled


def rolled_until() -> datetime | None:
    return RolledUntil.objects.values_list("until", flat=True).first()


def mark_stale(moments: Iterable[tuple[int, datetime]]) -> None:
    """Within a transaction that changes settled requests: (account, created_at) of each.

    An hour that is not noted yet is written too, so that a rollup under way waits for this transaction.
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
def _note_closed(now: datetime) -> bool:
    """Write down the hours that closed since the last time, a day's at most; whether there are more."""
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
    complete = {(one.account_id, one.hour): one.requests for one in known}
    mark_stale(place for place, count in counted.items() if complete.get(place) != count)
    mark.until = end
    mark.save(update_fields=["until"])
    return end < closed


def _first_mark(closed: datetime) -> RolledUntil | None:
    """At the first request there is, or now where that is of this hour; None: there is none."""
    first = Request.objects.aggregate(at=Min("created_at"))["at"]
    if first is None:
        return None
    RolledUntil.objects.get_or_create(pk=1, defaults={"until": min(floor_hour(first), closed)})
    return RolledUntil.objects.select_for_update().get(pk=1)


@transaction.atomic
def _roll(pk: int, now: datetime) -> bool:
    """False: another run has done it, or a request of the hour is still open."""
    one = AccountHour.objects.select_for_update().filter(pk=pk, stale=True).first()
    if one is None:
        return False
    rows = Request.objects.filter(
        account_id=one.account_id, created_at__gte=one.hour, created_at__lt=one.hour + HOUR
    )
    if rows.filter(status=Request.Status.OPEN).exists():
        return False
    groups = of_ledger(rows, *DIMENSIONS)
    one.usage.all().delete()
    HourUsage.objects.bulk_create(
        HourUsage(of=one, **_columns(place), **msgspec.structs.asdict(sums)) for place, sums in groups.items()
    )
    one.summary = msgspec.to_builtins(summarise(rows), str_keys=True)
    one.requests = sum(sums.requests for sums in groups.values())
    one.stale, one.rolled_at = False, now
    one.save()
    return True


def _columns(place: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(DIMENSIONS, place, strict=True))
