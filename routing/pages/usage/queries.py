"""The usage report: an account's cost over time, grouped by model, key, strategy, skill or metadata tag.

Days begin in the account's time zone. Sums come from billing.reports. Metadata tags are in no rollup, so they
are read from the ledger: the most expensive values separately, all others as one group.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Case, TextField, Value, When
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Cast

from accounts.models import Account, ApiKey
from billing.models import Request
from billing.reports.measures import Sums, nano_sum, of_ledger
from billing.reports.queries import Sources
from routing.decide.prediction.skills import WORDS
from routing.pages.periods import DAYS

_LONGEST_BY_HOUR, _LONGEST_BY_DAY, _LONGEST_BY_WEEK = 2, 92, 366  # days
_LONGEST = 731  # days of a report
_TAG_ROWS = 500  # newest requests whose metadata is searched for tags
_TAGS = 12  # shown
BYS = {"model": "served_model", "key": "key_id", "strategy": "strategy", "skill": "query_type", "tag": ""}
_OTHERS = Value("…", output_field=TextField())
SHOWN = 20  # groups (and values of a tag) shown separately; the rest is one group
_FILTERS = {"model": "model", "key": "key", "strategy": "strategy", "skill": "skill"}


@dataclass(frozen=True)
class Bucket:
    """An hour, day, week or month; `end` is exclusive and may lie ahead. `key` names it in exports."""

    day: date
    start: datetime
    end: datetime
    key: str
    label: str


@dataclass(frozen=True)
class Range:
    """Days of the account's zone, both included, and what they are divided into."""

    first: date
    last: date
    per: str  # hour, day, week or month

    @classmethod
    def of_days(cls, first: date, last: date) -> "Range":
        """Divided so that a chart can show it; at most two years."""
        first, last = min(first, last), max(first, last)
        first = max(first, last - timedelta(days=_LONGEST - 1))
        days = (last - first).days + 1
        if days <= _LONGEST_BY_HOUR:
            return cls(first, last, "hour")
        if days <= _LONGEST_BY_DAY:
            return cls(first, last, "day")
        return cls(first, last, "week" if days <= _LONGEST_BY_WEEK else "month")


@dataclass(frozen=True)
class Preset:
    """A range that ends today: so many hours' days, days, weeks or months."""

    per: str
    count: int

    def range(self, today: date) -> Range:
        first = _first_day(self.per, today)
        for _ in range(self.count - 1):
            first = _first_day(self.per, first - timedelta(days=1))
        return Range(first, today, self.per)


PRESETS = {
    **{name: Preset("day" if days > 1 else "hour", days) for name, days in DAYS.items()},
    "12m": Preset("month", 12),
}


@dataclass(frozen=True)
class Group:
    """One model, key, … over the report: by bucket, together, and in the time before. `query`: its filter."""

    name: str
    by_bucket: Sequence[Sums]
    total: Sums
    before: Sums
    query: Mapping[str, str] | None


@dataclass(frozen=True)
class Report:
    """Groups, most expensive first. `before` sums the period before, as long as this one is until now."""

    per: str
    by: str
    tag: str
    buckets: Sequence[Bucket]
    groups: Sequence[Group]
    total: Sums
    before: Sums

    @property
    def since(self) -> datetime:
        return self.buckets[0].start


def usage(account: Account, of: str | Range, by: str, tag: str, now: datetime) -> Report:
    """`of`: the name of a preset, or a range."""
    local = now.astimezone(ZoneInfo(account.time_zone))
    period = PRESETS[of].range(local.date()) if isinstance(of, str) else of
    per = period.per
    buckets = _buckets(period, local)
    since, end = buckets[0].start, buckets[-1].end
    earlier = _earlier(period, local)
    spans = [(bucket.start, bucket.end) for bucket in buckets]
    before_span = (earlier, min(earlier + (min(now, end) - since), since))
    until = min(now, end)
    read = (
        _by_tag(account, tag, since, until) if by == "tag" else _by_column(account, BYS[by], earlier, until)
    )
    by_span = [read(*span) for span in spans]
    before = read(*before_span)
    names = _names(account, by)
    places = {place for sums in by_span for place in sums}
    groups = [
        Group(
            name=names(place),
            by_bucket=[sums.get(place, Sums()) for sums in by_span],
            total=sum((sums.get(place, Sums()) for sums in by_span), Sums()),
            before=before.get(place, Sums()),
            query={_FILTERS[by]: str(place)} if by in _FILTERS and place not in ("", None) else None,
        )
        for place in places
    ]
    groups.sort(key=lambda group: (-group.total.cost_nano, -group.total.requests, group.name))
    return Report(
        per=per,
        by=by,
        tag=tag,
        buckets=buckets,
        groups=_folded(groups),
        total=sum((group.total for group in groups), Sums()),
        before=sum(before.values(), Sums()),
    )


Read = Callable[[datetime, datetime], dict[Any, Sums]]


def _by_column(account: Account, column: str, since: datetime, until: datetime) -> Read:
    sources = Sources.now(account.pk, since, until + timedelta(days=1))

    def read(start: datetime, end: datetime) -> dict[Any, Sums]:
        return {place[0]: sums for place, sums in sources.sums(start, end, column).items()}

    return read


def _by_tag(account: Account, tag: str, since: datetime, until: datetime) -> Read:
    """By the text of metadata's `tag`; None: rows without the tag; "…": all values beyond the first SHOWN."""
    rows = Request.objects.filter(account=account).annotate(
        tagged=Cast(KeyTextTransform(tag, "metadata"), TextField())
    )
    within = rows.filter(created_at__gte=since, created_at__lt=until, tagged__isnull=False)
    costs = within.order_by().values_list("tagged").annotate(cost_=nano_sum("cost_usd"))
    shown = {value for value, _ in costs.order_by("-cost_", "tagged")[:SHOWN]}

    folded = rows.annotate(
        shown_tag=Case(
            When(tagged__isnull=True, then=None),
            When(tagged__in=shown, then="tagged"),
            default=_OTHERS,
            output_field=TextField(),
        )
    )

    def read(start: datetime, end: datetime) -> dict[Any, Sums]:
        by_tag = of_ledger(folded.filter(created_at__gte=start, created_at__lt=end), "shown_tag")
        return {place[0]: sums for place, sums in by_tag.items()}

    return read


def _names(account: Account, by: str) -> Callable[[Any], str]:
    if by == "key":
        keys = {key.pk: str(key) for key in ApiKey.objects.filter(account=account)}
        return lambda place: keys.get(place, str(place))
    if by == "skill":
        return lambda place: str(WORDS.get(place, place)) or "none"
    if by == "tag":
        return lambda place: "without the tag" if place is None else "others" if place == "…" else str(place)
    return lambda place: str(place) or "none answered"


def _folded(groups: Sequence[Group]) -> list[Group]:
    """The groups beyond SHOWN merged into one."""
    if len(groups) <= SHOWN + 2:
        return list(groups)
    rest = groups[SHOWN:]
    together = Group(
        name=f"{len(rest)} others",
        by_bucket=[sum(column, Sums()) for column in zip(*(group.by_bucket for group in rest), strict=True)],
        total=sum((group.total for group in rest), Sums()),
        before=sum((group.before for group in rest), Sums()),
        query=None,
    )
    return [*groups[:SHOWN], together]


def known_tags(account: Account) -> list[str]:
    """The metadata keys of the newest requests, most frequent first."""
    rows = Request.objects.filter(account=account, metadata__isnull=False).order_by("-created_at", "-id")
    keys = Counter(
        key for metadata in rows.values_list("metadata", flat=True)[:_TAG_ROWS] for key in metadata or ()
    )
    return [key for key, _ in keys.most_common(_TAGS)]


def _buckets(period: Range, now: datetime) -> list[Bucket]:
    """Those that have begun, in the zone of `now`; at least one."""
    if period.per == "hour":
        return _hours(period, now)
    days = [_first_day(period.per, period.first)]
    while (following := _next(period.per, days[-1])) <= period.last:
        days.append(following)
    words = "%b %Y" if period.per == "month" else "%-d %b"
    return [
        Bucket(
            day,
            _midnight(day, now),
            _midnight(_next(period.per, day), now),
            day.isoformat(),
            f"from {day:{words}}" if period.per == "week" else f"{day:{words}}",
        )
        for day in days
    ]


def _hours(period: Range, now: datetime) -> list[Bucket]:
    start, end = _midnight(period.first, now), _midnight(period.last + timedelta(days=1), now)
    words = "%H:%M" if period.first == period.last else "%-d %b, %H:%M"
    buckets: list[Bucket] = []
    while start < end and (start <= now or not buckets):
        local = start.astimezone(now.tzinfo)
        following = min(start + timedelta(hours=1), end)
        key = local.isoformat(timespec="minutes")
        buckets.append(Bucket(local.date(), start, following, key, f"{local:{words}}"))
        start = following
    return buckets


def _earlier(period: Range, now: datetime) -> datetime:
    """The start of the time before: as many days, weeks or months."""
    first = _first_day(period.per, period.first)
    if period.per in ("hour", "day"):
        return _midnight(first - (period.last - first) - timedelta(days=1), now)
    day = first
    while (first := _next(period.per, first)) <= period.last:
        day = _first_day(period.per, day - timedelta(days=1))
    return _midnight(_first_day(period.per, day - timedelta(days=1)), now)


def _first_day(per: str, day: date) -> date:
    if per == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if per == "month" else day


def _next(per: str, day: date) -> date:
    if per == "month":
        return (day + timedelta(days=32)).replace(day=1)
    return day + timedelta(days=7 if per == "week" else 1)


def _midnight(day: date, now: datetime) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=now.tzinfo).astimezone(UTC)


def lines(report: Report) -> Iterator[dict[str, Any]]:
    """The rows of the exports, one for each bucket and group with requests."""
    for at, bucket in enumerate(report.buckets):
        for group in report.groups:
            sums = group.by_bucket[at]
            if sums.requests:
                yield {report.per: bucket.key, report.by: group.name} | sum_fields(sums)


def sum_fields(sums: Sums) -> dict[str, Any]:
    """Sums by their export names; money in USD."""
    return {
        "requests": sums.requests,
        "unpriced_requests": sums.unpriced,
        "uncached_input_tokens": sums.uncached_input_tokens,
        "cache_read_tokens": sums.cache_read_tokens,
        "cache_write_tokens": sums.cache_write_tokens,
        "cache_write_1h_tokens": sums.cache_write_1h_tokens,
        "output_tokens": sums.output_tokens,
        "reasoning_tokens": sums.reasoning_tokens,
        "cost_usd": sums.cost_usd,
        "wasted_usd": sums.wasted_usd,
    }
