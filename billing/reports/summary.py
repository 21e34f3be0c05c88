"""Summary of an account's requests in a time span: what Home shows, as a value that can be merged.

Latencies are counted rounded to 1 %, so that percentiles can be computed for any union of summaries. The
slowest and the most expensive requests are listed by id.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, When

from billing.models import Request
from billing.reports.measures import nano_sum, usd
from billing.usage_columns import TOKENS

LISTED = 5  # slowest and most expensive requests


class Part(msgspec.Struct, array_like=True):
    """Sums of requests with the same served model, provider and status. Money in billionths of a USD."""

    model: str
    provider: str
    status: str
    requests: int = 0
    fell_back: int = 0
    unpriced: int = 0
    tokens: int = 0
    cost: int = 0
    compared: int = 0  # cost of the requests with a baseline
    baseline: int = 0
    with_baseline: int = 0
    by_forecast: int = 0  # of those, by the baseline's forecast tokens (baseline_version 2)


class Extreme(msgspec.Struct, array_like=True, order=True, frozen=True):
    """A request by its latency (ms) or cost (billionths of a USD).

    Of equal ones the later sorts last, by id.
    """

    value: int
    id: str


class Summary(msgspec.Struct):
    parts: list[Part] = []
    latencies: dict[int, int] = {}  # of successes: rounded ms → how many
    slowest: list[Extreme] = []
    # Stored under its earlier name in the hours that are rolled up already.
    most_expensive: list[Extreme] = msgspec.field(default_factory=list, name="dearest")

    @property
    def spend_usd(self) -> Decimal:
        return usd(sum(part.cost for part in self.parts))


def summarise(rows: QuerySet[Request]) -> Summary:
    """Summary of ledger rows, in four queries."""
    slowest, most_expensive = _extremes(rows)
    return Summary(
        parts=[Part(*line[:3], *map(int, line[3:])) for line in _sums(rows)],
        latencies=dict(_latencies(rows)),
        slowest=slowest,
        most_expensive=most_expensive,
    )


def summarise_parts(rows: QuerySet[Request], edges: Sequence[datetime]) -> list[Summary]:
    """Summaries of the ledger rows between neighbouring edges, in four queries.

    The last one has the slowest and the most expensive requests of all.
    """
    summaries = [Summary(parts=[], latencies={}, slowest=[]) for _ in edges[1:]]
    ends = (When(created_at__lt=edge, then=at) for at, edge in enumerate(edges[1:]))
    dated = rows.annotate(part_=Case(*ends, output_field=IntegerField()))
    for at, *line in _sums(dated, "part_"):
        summaries[at].parts.append(Part(*line[:3], *map(int, line[3:])))
    for at, ms, requests in _latencies(dated, "part_"):
        summaries[at].latencies[ms] = requests
    summaries[-1].slowest, summaries[-1].most_expensive = _extremes(rows)
    return summaries


def counted_parts(rows: QuerySet[Request], edges: Sequence[datetime]) -> list[list[Part]]:
    """How many ledger rows of each model and status are between neighbouring edges, in one query."""
    counted: list[list[Part]] = [[] for _ in edges[1:]]
    ends = (When(created_at__lt=edge, then=at) for at, edge in enumerate(edges[1:]))
    dated = rows.annotate(part_=Case(*ends, output_field=IntegerField())).order_by()
    groups = dated.values_list("part_", "served_model", "status").annotate(n_=Count("id"))
    for at, model, status, requests in groups:
        counted[at].append(Part(model=model, provider="", status=status, requests=requests))
    return counted


def _sums(rows: QuerySet[Request], *by: str) -> QuerySet[Request, Any]:
    """The columns of `Part`, in its order, after those of `by`."""
    compared = Q(baseline_usd__isnull=False, cost_usd__isnull=False)
    return (
        rows.order_by()
        .values_list(*by, "served_model", "provider", "status")
        .annotate(
            n_=Count("id"),
            fell_=Count("id", filter=Q(fallback_used=True)),
            unpriced_=Count("id", filter=Q(unpriced=True)),
            tokens_=Sum(TOKENS),
            cost_=nano_sum("cost_usd"),
            compared_=nano_sum("cost_usd", filter=compared),
            baseline_=nano_sum("baseline_usd", filter=compared),
            with_=Count("id", filter=compared),
            forecast_=Count("id", filter=compared & Q(baseline_version=Request.BASELINE_FROM_FORECAST)),
        )
    )


def _extremes(rows: QuerySet[Request]) -> tuple[list[Extreme], list[Extreme]]:
    """The slowest and the most expensive requests."""
    slowest = rows.filter(latency_ms__isnull=False).order_by("-latency_ms", "-id")
    most_expensive = rows.filter(cost_usd__gt=0).order_by("-cost_usd", "-id")
    return (
        [Extreme(ms or 0, pk) for ms, pk in slowest.values_list("latency_ms", "id")[:LISTED]],
        [
            Extreme(int((cost or Decimal(0)).scaleb(9)), pk)
            for cost, pk in most_expensive.values_list("cost_usd", "id")[:LISTED]
        ],
    )


def merged(summaries: Iterable[Summary]) -> Summary:
    """The summary of all requests of disjoint summaries."""
    parts: dict[tuple[str, str, str], Part] = {}
    latencies: Counter[int] = Counter()
    slowest: list[Extreme] = []
    most_expensive: list[Extreme] = []
    for summary in summaries:
        for part in summary.parts:
            place = (part.model, part.provider, part.status)
            parts[place] = _added(parts[place], part) if place in parts else part
        for ms, count in summary.latencies.items():
            latencies[ms] += count
        slowest += summary.slowest
        most_expensive += summary.most_expensive
    return Summary(
        parts=list(parts.values()),
        latencies=dict(latencies),
        slowest=sorted(slowest, reverse=True)[:LISTED],
        most_expensive=sorted(most_expensive, reverse=True)[:LISTED],
    )


def percentiles(latencies: dict[int, int], shares: Sequence[float]) -> list[int | None]:
    """Latency percentiles in ms, by nearest rank, accurate to 1 %. `shares`: of 1."""
    total = sum(latencies.values())
    counts = sorted(latencies.items())
    return [_at_rank(counts, math.ceil(share * total)) if total else None for share in shares]


def _latencies(rows: QuerySet[Request], *by: str) -> QuerySet[Request, Any]:
    """Rounded latencies of successes and how many have them, after the columns of `by`."""
    latency = F("latency_ms")
    rounded = Case(
        When(latency_ms__lt=1_000, then=latency),
        When(latency_ms__lt=10_000, then=latency - latency % 10),
        default=latency - latency % 100,
        output_field=IntegerField(),
    )
    counted = rows.filter(status=Request.Status.SUCCEEDED, latency_ms__isnull=False).order_by()
    return counted.annotate(rounded=rounded).values_list(*by, "rounded").annotate(count=Count("id"))


def _added(first: Part, other: Part) -> Part:
    numbers = zip(msgspec.structs.astuple(first)[3:], msgspec.structs.astuple(other)[3:], strict=True)
    return Part(first.model, first.provider, first.status, *(a + b for a, b in numbers))


def _at_rank(counts: Sequence[tuple[int, int]], rank: int) -> int:
    passed = 0
    for value, count in counts:
        passed += count
        if passed >= rank:
            return value
    return counts[-1][0]
