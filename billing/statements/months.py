"""The months statements are about: they follow each other without a gap, whatever the account's zone becomes.

A month ends where the account's zone says when it is made. An account that moves to another zone gets one
month that is up to a day longer or shorter: no moment is in two statements, and none in neither.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from billing.ledger.windows import spans
from billing.models import Window

# No month is that long, and every month that begins within a day of its first has this day.
_WELL_WITHIN = timedelta(days=15)


class Month(msgspec.Struct, frozen=True):
    """From `starts_at` until before `ends_at`; `label` is "2026-10"."""

    starts_at: datetime
    ends_at: datetime
    label: str


def months(first: datetime, time_zone: str, until: datetime) -> Iterator[Month]:
    """Those that ended by `until`, the first beginning at `first`: where a month began in some zone."""
    while True:
        within = first + _WELL_WITHIN
        ends_at = _month_of(within, time_zone)[1]
        if ends_at > until:
            return
        yield Month(first, ends_at, f"{within.astimezone(ZoneInfo(time_zone)):%Y-%m}")
        first = ends_at


def month_start(moment: datetime, time_zone: str) -> datetime:
    return _month_of(moment, time_zone)[0]


def _month_of(moment: datetime, time_zone: str) -> tuple[datetime, datetime]:
    month = next(span for span in spans(moment, time_zone) if span.period == Window.Period.MONTH)
    return month.starts_at, month.ends_at
