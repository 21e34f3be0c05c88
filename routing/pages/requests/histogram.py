"""Requests over time above the list, in percent of the picture: a bar leads to its part of the time.

The sums come from reports, which know time, status and model. With another filter there is no picture.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from accounts.models import Account
from billing.models import Request
from billing.refusals.queries import calls
from billing.reports.queries import Sources
from billing.reports.summary import Part
from routing.pages.requests.filters import PERIODS, REFUSED, Filters

_WHOLE = 100.0  # percent
_GAP = 0.2
_LONGEST = timedelta(days=90)  # shown of a list that no time limits: reading 2,160 hours takes 50 ms
_SHORTEST = timedelta(hours=1)
_LEAST = timedelta(minutes=1)
_STEPS = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360, 720, 1440, 4320, 10080, 43200)
)
_MOST_BARS = 60
_TOPS = (1, 2, 4, 6, 8, 10)  # of the axis, times a power of ten
_MINUTES = (1, 5, 10, 30, 60, 180, 360, 720)  # between labels of the time axis, unless whole days are
_MOST_TICKS = 7
_EDGE = 5.0  # a label nearer to an edge is aligned to it
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
class Tick:
    """A label of the time axis. `anchor` as in SVG; `is_minor`: left out where there is little room."""

    x: float
    text: str
    anchor: str
    is_minor: bool


@dataclass(frozen=True)
class Histogram:
    """`counts`: requests by status, most first; `top`: what the axis reaches to.

    `refused`: calls of the same time that were refused; they are no requests. `title`: the time in the words
    of its filter, empty for a range. `is_cut`: the list goes back further.
    """

    bars: Sequence[Bar]
    counts: Sequence[tuple[str, int]]
    total: int
    top: int
    ticks: Sequence[Tick]
    since: datetime
    until: datetime
    title: str = ""
    refused: int = 0
    is_cut: bool = False

    @property
    def middle(self) -> int | None:
        return None if self.top % 2 else self.top // 2


def histogram(account: Account, filters: Filters, now: datetime, zone: tzinfo) -> Histogram | None:
    """`zone`: of the time axis. None when a filter needs rows to be tested, or the time is too short."""
    is_simple = filters.active.keys() <= _KNOWN and filters.status != REFUSED and "@" not in filters.model
    if not is_simple:
        return None
    until = min(filters.until or now, now)
    title, since, is_cut = _time(account, filters, until)
    if until - since < _LEAST:
        return None
    edges = _edges(since, until)
    sources = Sources.now(account.pk, since, until)
    by_part = [_counted(parts, filters) for parts in sources.counts(edges)]
    total = sum(by_part, Counter[str]())
    top = _top(max((counts.total() for counts in by_part), default=0))
    width = _WHOLE / len(by_part)
    return Histogram(
        bars=[
            _bar(edges[at], edges[at + 1], counts, at * width, width, top)
            for at, counts in enumerate(by_part)
        ],
        counts=[(Request.Status(status).label, count) for status, count in total.most_common()],
        total=total.total(),
        top=top,
        ticks=_ticks(since.astimezone(zone), until.astimezone(zone)),
        since=since,
        until=until,
        refused=calls(filters.refused_calls(account.pk, now).filter(at__gte=since, at__lt=until)),
        title=title,
        is_cut=is_cut,
    )


def _time(account: Account, filters: Filters, until: datetime) -> tuple[str, datetime, bool]:
    """Its title and start: those of the filters, else all time since the first request; and `is_cut`."""
    if filters.since:
        return "", filters.since, False
    if filters.period:
        title, length = PERIODS[filters.period]
        return title, until - length, False
    own = Request.objects.filter(account=account).order_by("created_at", "id")
    first = own.values_list("created_at", flat=True).first() or until
    longest = until - _LONGEST
    if first < longest:
        return f"Last {_LONGEST.days} days", longest, True
    return "All time", min(first.replace(minute=0, second=0, microsecond=0), until - _SHORTEST), False


def _edges(since: datetime, until: datetime) -> list[datetime]:
    step = next(
        (step for step in _STEPS if (until - since) / step <= _MOST_BARS), (until - since) / _MOST_BARS
    )
    edges = [since]
    while edges[-1] + step < until:
        edges.append(edges[-1] + step)
    return [*edges, until]


def _top(most: int) -> int:
    """The least round number that is not below `most`."""
    power = 1
    while most > _TOPS[-1] * power:
        power *= 10
    return next(top * power for top in _TOPS if top * power >= most)


def _ticks(since: datetime, until: datetime) -> list[Tick]:
    """Round times of day, or days, of the zone that both moments are in; the last is always among them."""
    for minutes in _MINUTES:
        if (until - since) / timedelta(minutes=minutes) <= _MOST_TICKS:
            moments, words = _round_times(since, until, timedelta(minutes=minutes)), "%H:%M"
            break
    else:
        moments, words = _round_times(since, until, timedelta(days=1)), "%-d %b"
        moments = moments[:: -max(1, -(-len(moments) // _MOST_TICKS))][::-1]
    # Subtracting moments of one zone ignores clock changes; subtracting their timestamps does not.
    begin, length = since.timestamp(), until.timestamp() - since.timestamp()
    ticks = []
    for at, moment in enumerate(moments):
        x = round((moment.timestamp() - begin) / length * _WHOLE, 2)
        anchor = "start" if x < _EDGE else "end" if x > _WHOLE - _EDGE else "middle"
        ticks.append(Tick(x, f"{moment:{words}}", anchor, is_minor=(len(moments) - at) % 2 == 0))
    return ticks


def _round_times(since: datetime, until: datetime, step: timedelta) -> list[datetime]:
    """By the clock on the wall, so that days begin at midnight on both sides of a clock change."""
    midnight = since.replace(hour=0, minute=0, second=0, microsecond=0)
    first, last = (int((moment - midnight) / step) for moment in (since, until))
    moments = [midnight + step * number for number in range(first, last + 2)]
    return [moment for moment in moments if since <= moment <= until]


def _counted(parts: Sequence[Part], filters: Filters) -> Counter[str]:
    counts: Counter[str] = Counter()
    for part in parts:
        if filters.status in ("", part.status) and filters.model in ("", part.model):
            counts[part.status] += part.requests
    return counts


def _bar(start: datetime, end: datetime, counts: Counter[str], x: float, width: float, top: int) -> Bar:
    requests, failed = counts.total(), sum(counts[status] for status in _FAILED)
    height, failed_height = (round(count / top * _WHOLE, 2) for count in (requests, failed))
    return Bar(
        start=start,
        end=end,
        requests=requests,
        failed=failed,
        x=round(x, 2),
        width=round(width - _GAP, 2),
        y=round(_WHOLE - height, 2),
        height=height,
        failed_y=round(_WHOLE - failed_height, 2),
        failed_height=failed_height,
    )
