"""The measures of a report, and how rows of the ledger and of rollups are summed to them."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import BigIntegerField, Count, ExpressionWrapper, F, FloatField, Q, QuerySet, Sum, Value
from django.db.models.functions import Cast, Coalesce, Round

from billing.models import Request
from billing.reports.models import HourUsage
from billing.usage_columns import TOKEN_COLUMNS

NANO = 10**9
DIMENSIONS = ("key_id", "served_model", "provider", "strategy", "query_type", "status")


class Sums(msgspec.Struct, frozen=True):
    """Sums over a group of requests. `_nano`: billionths of a USD; `latency_ms`: the sum."""

    requests: int = 0
    unpriced: int = 0
    uncached_input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    wasted_nano: int = 0
    compared: int = 0
    compared_nano: int = 0
    baseline_nano: int = 0
    timed: int = 0
    latency_ms: int = 0
    # Of `compared`, those whose baseline is computed from its forecast tokens, with the interval of that.
    forecast_compared: int = 0
    forecast_nano: int = 0
    forecast_low_nano: int = 0
    forecast_high_nano: int = 0

    def __add__(self, other: "Sums") -> "Sums":
        both = zip(msgspec.structs.astuple(self), msgspec.structs.astuple(other), strict=True)
        return Sums(*map(sum, both))

    @property
    def input_tokens(self) -> int:
        return (
            self.uncached_input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
        )

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    @property
    def cost_usd(self) -> Decimal:
        return usd(self.cost_nano)

    @property
    def wasted_usd(self) -> Decimal:
        return usd(self.wasted_nano)


MEASURES = Sums.__struct_fields__


def usd(nano: int) -> Decimal:
    """Billionths of a USD as USD, exactly."""
    return Decimal(nano).scaleb(-9)


def nano_sum(column: str, **options: Any) -> Any:
    """The exact sum of a money column, in billionths of a USD; SQLite's own sum is a float."""
    scaled = ExpressionWrapper(F(column) * Value(NANO), output_field=FloatField())
    return Coalesce(Sum(Cast(Round(scaled), BigIntegerField()), **options), 0, output_field=BigIntegerField())


def of_ledger(rows: QuerySet[Request], *by: str) -> dict[tuple[Any, ...], Sums]:
    """Sums of ledger rows by these columns; without columns one group, or none if there are no rows."""
    return _grouped(rows, _LEDGER, by)


def of_rollups(rows: QuerySet[HourUsage], *by: str) -> dict[tuple[Any, ...], Sums]:
    return _grouped(rows, {name: Sum(name) for name in MEASURES}, by)


def _grouped(
    rows: QuerySet[Any], sums: Mapping[str, Any], by: tuple[str, ...]
) -> dict[tuple[Any, ...], Sums]:
    named = {f"{name}_": expression for name, expression in sums.items()}
    if not by:
        values = rows.aggregate(**named)
        total = Sums(*(int(values[name] or 0) for name in named))
        return {(): total} if total.requests else {}
    lines = rows.order_by().values_list(*by).annotate(**named).values_list(*by, *named)
    return {line[: len(by)]: Sums(*(int(value or 0) for value in line[len(by) :])) for line in lines}


_COMPARED = Q(baseline_usd__isnull=False, cost_usd__isnull=False)
_FORECAST = _COMPARED & Q(baseline_version=Request.BASELINE_FROM_FORECAST)
_LEDGER: dict[str, Any] = {
    "requests": Count("id"),
    "unpriced": Count("id", filter=Q(unpriced=True)),
    **{name: Sum(name) for name in TOKEN_COLUMNS},
    "cost_nano": nano_sum("cost_usd"),
    "wasted_nano": nano_sum("wasted_usd"),
    "compared": Count("id", filter=_COMPARED),
    "compared_nano": nano_sum("cost_usd", filter=_COMPARED),
    "baseline_nano": nano_sum("baseline_usd", filter=_COMPARED),
    "timed": Count("latency_ms"),
    "latency_ms": Sum("latency_ms"),
    "forecast_compared": Count("id", filter=_FORECAST),
    "forecast_nano": nano_sum("baseline_usd", filter=_FORECAST),
    "forecast_low_nano": nano_sum("baseline_low_usd", filter=_FORECAST),
    "forecast_high_nano": nano_sum("baseline_high_usd", filter=_FORECAST),
}
