"""Reads reports: from rollups for hours that have them, else from the ledger; the sums equal the ledger's.

Which hours are read from which is decided once, before anything is summed, so a concurrent rollup can't make
an hour count twice or not at all.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast, TruncDate

from billing.models import Request
from billing.reports.measures import Sums, of_ledger, of_rollups
from billing.reports.models import AccountHour, HourUsage
from billing.reports.rollup import HOUR, floor_hour, rolled_until
from billing.reports.summary import Part, Summary, counted_parts, merged, summarise, summarise_parts

_RANGES = 100  # time ranges per query
Span = tuple[datetime, datetime]  # until is exclusive


@dataclass(frozen=True)
class Sources:
    """Which of an account's hours are read from rollups, decided at one moment."""

    account_id: int
    until: datetime | None  # end of the rollups; None: there are none
    stale: tuple[datetime, ...]  # hours before it without a valid rollup, in order

    @classmethod
    def now(cls, account_id: int, since: datetime, until: datetime) -> "Sources":
        reach = rolled_until()
        if reach is None:
            return cls(account_id, None, ())
        hours = AccountHour.objects.filter(
            account_id=account_id, stale=True, hour__gt=since - HOUR, hour__lt=min(until, reach)
        )
        return cls(account_id, reach, tuple(hours.order_by("hour").values_list("hour", flat=True)))

    def sums(self, since: datetime, until: datetime, *by: str) -> dict[tuple[Any, ...], Sums]:
        """Sums of requests created in [since, until), by columns of DIMENSIONS or by "day", a UTC date."""
        total: dict[tuple[Any, ...], Sums] = defaultdict(Sums)
        hours, spans = self._split(since, until)
        dated = TruncDate("created_at", tzinfo=UTC)
        parts = [of_ledger(rows.annotate(day=dated), *by) for rows in self._ledger(spans)]
        if hours:
            parts += _of_hours(self._rolled(hours), by)
        for groups in parts:
            for place, sums in groups.items():
                total[place] += sums
        return dict(total)

    def summary(self, since: datetime, until: datetime) -> Summary:
        """Summary of the requests created in [since, until)."""
        hours, spans = self._split(since, until)
        parts = [summarise(rows) for rows in self._ledger(spans)]
        if hours:
            rolled = self._rolled(hours).filter(summary__isnull=False)
            # As text: a month is 720 documents, and msgspec parses them ten times as fast as the JSON field.
            texts = rolled.values_list(Cast("summary", TextField()), flat=True)
            parts += [_summary.decode(text) for text in texts]
        return merged(parts)

    def summaries(self, edges: Sequence[datetime]) -> list[Summary]:
        """The summaries of the spans between neighbouring edges, in few queries however many spans there are.

        What the ledger adds to `slowest` and `most_expensive` is in the last one, not in its own.
        """
        hours, spans = self._split(edges[0], edges[-1])
        parts: list[list[Summary]] = [[] for _ in edges[1:]]
        if hours:
            cut = {floor_hour(edge) for edge in edges if edge != floor_hour(edge)}
            spans += [
                (hour, hour + HOUR) for hour in sorted(cut - set(self.stale)) if hours[0] <= hour < hours[1]
            ]
            rolled = self._rolled(hours).filter(summary__isnull=False).exclude(hour__in=cut)
            for hour, text in rolled.values_list("hour", Cast("summary", TextField())):
                parts[bisect_right(edges, hour) - 1].append(_summary.decode(text))
        for rows in self._ledger(spans):
            for of_span, summary in zip(parts, summarise_parts(rows, edges), strict=True):
                of_span.append(summary)
        return [merged(of_span) for of_span in parts]

    def counts(self, edges: Sequence[datetime]) -> list[list[Part]]:
        """The parts of `summaries`, of which only the status, the model and the requests are filled."""
        hours, spans = self._split(edges[0], edges[-1])
        counted: list[list[Part]] = [[] for _ in edges[1:]]
        if hours:
            cut = {floor_hour(edge) for edge in edges if edge != floor_hour(edge)}
            spans += [
                (hour, hour + HOUR) for hour in sorted(cut - set(self.stale)) if hours[0] <= hour < hours[1]
            ]
            rolled = self._rolled(hours).filter(summary__isnull=False).exclude(hour__in=cut)
            for hour, text in rolled.values_list("hour", Cast("summary", TextField())):
                counted[bisect_right(edges, hour) - 1] += _summary.decode(text).parts
        for rows in self._ledger(spans):
            for of_span, parts in zip(counted, counted_parts(rows, edges), strict=True):
                of_span += parts
        return counted

    def _split(self, since: datetime, until: datetime) -> tuple[Span | None, list[Span]]:
        """The range of whole hours to read from rollups, and the spans to read from the ledger."""
        first = floor_hour(since) if since == floor_hour(since) else floor_hour(since) + HOUR
        last = min(floor_hour(until), self.until) if self.until else first
        if last <= first:
            return None, [(since, until)]
        stale = [(hour, hour + HOUR) for hour in self.stale if first <= hour < last]
        spans = [(since, first), *stale, (last, until)]
        return (first, last), list(_joined(span for span in spans if span[0] < span[1]))

    def _ledger(self, spans: Sequence[Span]) -> Iterator[QuerySet[Request]]:
        for at in range(0, len(spans), _RANGES):
            within = Q()
            for start, end in spans[at : at + _RANGES]:
                within |= Q(created_at__gte=start, created_at__lt=end)
            yield Request.objects.filter(within, account_id=self.account_id)

    def _rolled(self, hours: Span) -> QuerySet[AccountHour]:
        rows = AccountHour.objects.filter(account_id=self.account_id, hour__gte=hours[0], hour__lt=hours[1])
        return rows.exclude(hour__in=self.stale) if self.stale else rows


_summary = msgspec.json.Decoder(Summary)


def _of_hours(hours: QuerySet[AccountHour], by: tuple[str, ...]) -> Iterator[dict[tuple[Any, ...], Sums]]:
    """Sums of rolled-up hours; by day they are grouped by hour, which the index serves, and not by date."""
    rows = HourUsage.objects.filter(of__in=hours)
    if "day" not in by:
        yield of_rollups(rows, *by)
        return
    at = by.index("day")
    days = {pk: hour.date() for pk, hour in hours.values_list("pk", "hour")}
    for place, sums in of_rollups(rows, *by[:at], "of_id", *by[at + 1 :]).items():
        yield {(*place[:at], days[place[at]], *place[at + 1 :]): sums}


def _joined(spans: Iterable[Span]) -> Iterator[Span]:
    """Merge adjacent spans; they come in order."""
    joined: Span | None = None
    for start, end in spans:
        if joined is None:
            joined = (start, end)
        elif start <= joined[1]:
            joined = (joined[0], max(end, joined[1]))
        else:
            yield joined
            joined = (start, end)
    if joined is not None:
        yield joined
