"""The months of statements: they follow each other without a gap, even if the account's time zone changes.

A month ends by the account's time zone when its statement is generated. After a change of zone one month is
up to a day longer or shorter, so that no moment is in two statements or in none.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from billing.ledger.windows import spans
from billing.models import Window

# Added to a month's start, which may be a day off in another zone, it always gives a time within that month.
_WELL_WITHIN = timedelta(days=15)


class Month(msgspec.Struct, frozen=True):
    """From `starts_at` until before `ends_at`; `label` is "2026-10"."""

    starts_at: datetime
    ends_at: datetime
    label: str


def months(first: datetime, time_zone: str, until: datetime) -> Iterator[Month]:
    """The months that ended by `until`. `first`: start of the first one, in whatever zone it was computed."""
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
