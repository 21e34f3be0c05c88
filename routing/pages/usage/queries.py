"""The usage report: an account's cost by day, week or month, grouped by model, key, strategy, skill or tag.

Days begin in the account's time zone. Sums come from billing.reports. Metadata tags are in no rollup, so they
are read from the ledger: the most expensive values separately, all others as one group.
"""

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

PERS = {"day": ("Days", 30), "week": ("Weeks", 12), "month": ("Months", 12)}  # how many are shown
BYS = {"model": "served_model", "key": "key_id", "strategy": "strategy", "skill": "query_type", "tag": ""}
_OTHERS = Value("…", output_field=TextField())
SHOWN = 20  # groups (and values of a tag) shown separately; the rest is one group
_FILTERS = {"model": "model", "key": "key", "strategy": "strategy", "skill": "skill"}


@dataclass(frozen=True)
class Bucket:
    """A day, week or month; `end` is exclusive and may lie ahead."""

    day: date
    start: datetime
    end: datetime


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


def usage(account: Account, per: str, by: str, tag: str, now: datetime) -> Report:
    buckets = _buckets(per, PERS[per][1], now.astimezone(ZoneInfo(account.time_zone)))
    since = buckets[0].start
    earlier = _buckets(per, 2 * PERS[per][1], now.astimezone(ZoneInfo(account.time_zone)))[0].start
    spans = [(bucket.start, bucket.end) for bucket in buckets]
    before_span = (earlier, min(earlier + (now - since), since))
    read = _by_tag(account, tag, since, now) if by == "tag" else _by_column(account, BYS[by], earlier, now)
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
        keys = {
            pk: f"{name} (…{last_four})"
            for pk, name, last_four in ApiKey.objects.filter(account=account).values_list(
                "pk", "name", "last_four"
            )
        }
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


def _buckets(per: str, count: int, now: datetime) -> list[Bucket]:
    """The last `count` in the zone of `now`, the current one included."""
    last = _first_day(per, now.date())
    days = [last]
    while len(days) < count:
        days.append(_first_day(per, days[-1] - timedelta(days=1)))
    days.reverse()
    ends = [*days[1:], _next(per, last)]
    return [
        Bucket(day, _midnight(day, now), _midnight(end, now)) for day, end in zip(days, ends, strict=True)
    ]


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
                yield {report.per: bucket.day.isoformat(), report.by: group.name} | sum_fields(sums)


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
