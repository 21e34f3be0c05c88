"""Requests over time above the list, in SVG coordinates: a bar leads to its part of the time.

The sums come from reports, which know time, status and model. With another filter there is no picture.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from accounts.models import Account
from billing.models import Request
from billing.reports.queries import Sources
from billing.reports.summary import Part
from routing.pages.requests.filters import PERIODS, REFUSED, Filters

WIDTH, HEIGHT = 960.0, 64.0
_GAP = 2.0
_DAYS = 7  # shown without a period
_LEAST = timedelta(minutes=1)
_STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440, 4320, 10080, 43200)
)
_MOST_BARS = 60
_KNOWN = frozenset({"status", "model", "period", "since", "until"})
_FAILED = (Request.Status.FAILED, Request.Status.EXPIRED)


@dataclass(frozen=True)
class Bar:
    """A part of the time; `failed` is drawn from the bottom, the others on top of it."""

    start: datetime
    end: datetime
    requests: int
    failed: int
    x: float
    width: float
    y: float
    height: float
    failed_y: float
    failed_height: float


@dataclass(frozen=True)
class Histogram:
    """`counts`: requests by status, most first; `width` and `height` of the picture.

    `days`: how many days it shows of a list that no time limits, else 0.
    """

    bars: Sequence[Bar]
    counts: Sequence[tuple[str, int]]
    total: int
    since: datetime
    until: datetime
    days: int = 0
    width: float = WIDTH
    height: float = HEIGHT


def histogram(account: Account, filters: Filters, now: datetime) -> Histogram | None:
    """None when a filter needs rows to be tested, or the time is too short to divide."""
    is_simple = filters.active.keys() <= _KNOWN and filters.status != REFUSED and "@" not in filters.model
    if not is_simple:
        return None
    until = min(filters.until or now, now)
    length = PERIODS[filters.period][1] if filters.period else timedelta(days=_DAYS)
    since = filters.since or until - length
    if until - since < _LEAST:
        return None
    edges = _edges(since, until)
    sources = Sources.now(account.pk, since, until)
    by_part = [_counted(parts, filters) for parts in sources.counts(edges)]
    total = sum(by_part, Counter[str]())
    most = max((counts.total() for counts in by_part), default=0) or 1
    width = WIDTH / len(by_part)
    return Histogram(
        bars=[
            _bar(edges[at], edges[at + 1], counts, at * width, width, most)
            for at, counts in enumerate(by_part)
        ],
        counts=[(Request.Status(status).label, count) for status, count in total.most_common()],
        total=total.total(),
        since=since,
        until=until,
        days=0 if filters.period or filters.since or filters.until else _DAYS,
    )


def _edges(since: datetime, until: datetime) -> list[datetime]:
    step = next(
        (step for step in _STEPS if (until - since) / step <= _MOST_BARS), (until - since) / _MOST_BARS
    )
    edges = [since]
    while edges[-1] + step < until:
        edges.append(edges[-1] + step)
    return [*edges, until]


def _counted(parts: Sequence[Part], filters: Filters) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in parts:
        if filters.status in ("", part.status) and filters.model in ("", part.model):
            counts[part.status] += part.requests
    return counts


def _bar(start: datetime, end: datetime, counts: Counter[str], x: float, width: float, most: int) -> Bar:
    requests, failed = counts.total(), sum(counts[status] for status in _FAILED)
    height, failed_height = (round(count / most * HEIGHT, 1) for count in (requests, failed))
    return Bar(
        start=start,
        end=end,
        requests=requests,
        failed=failed,
        x=round(x, 1),
        width=round(max(width - _GAP, 1.0), 1),
        y=round(HEIGHT - height, 1),
        height=height,
        failed_y=round(HEIGHT - failed_height, 1),
        failed_height=failed_height,
    )
