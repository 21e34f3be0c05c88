"""The ledger: open a request, record an attempt, settle once. The only door to those tables' rows.

Every write goes through the group writer, so "opened" and "settled" mean committed (spec/ledger.md).
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from billing.models import Attempt, Request
from billing.prices import UnitPrices
from billing.usage import Usage
from billing.writer import GroupWriter, Write


class Settlement(msgspec.Struct, frozen=True):
    """How a request ended. USD amounts are exact to 1e-9; `cost_usd` None means unpriced."""

    request_id: str
    status: Request.Status
    settled_at: datetime
    latency_ms: int
    usage: Usage = Usage()
    cost_usd: Decimal | None = Decimal(0)
    wasted_usd: Decimal = Decimal(0)
    baseline_usd: Decimal | None = None
    unit_prices: UnitPrices | None = None
    price_version: str = ""
    served_model: str = ""
    served_effort: str = ""
    provider: str = ""
    upstream_model: str = ""
    fallback_used: bool = False
    ttft_ms: int | None = None
    finish_reason: str = ""
    error_code: str = ""
    error_message: str = ""


class Ledger:
    """Opens, records and settles through one process's group writer."""

    def __init__(self, writer: GroupWriter) -> None:
        self._writer = writer

    async def open(self, request: Request) -> None:
        """Commit the row before anything is sent upstream."""
        await self._writer.write(_Open(request))

    def record(self, attempt: Attempt) -> asyncio.Future[None]:
        """Enqueue an attempt; it is durable with, or before, its request's settlement."""
        return self._writer.write(_Record(attempt))

    async def settle(self, settlement: Settlement) -> None:
        """Commit how the request ended. A second settlement of the same request changes nothing."""
        await self._writer.write(_Settle(settlement))


def usage_fields(usage: Usage) -> dict[str, int]:
    """The token columns that Request and Attempt share."""
    return {
        "uncached_input_tokens": usage.uncached_input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


class _Open(Write, frozen=True):
    rank: ClassVar[int] = 0
    row: Request

    @classmethod
    def apply_all(cls, writes: Sequence[Any]) -> None:
        Request.objects.bulk_create([write.row for write in writes])


class _Record(Write, frozen=True):
    rank: ClassVar[int] = 1
    row: Attempt

    @classmethod
    def apply_all(cls, writes: Sequence[Any]) -> None:
        Attempt.objects.bulk_create([write.row for write in writes])


class _Settle(Write, frozen=True):
    rank: ClassVar[int] = 2
    settlement: Settlement

    @classmethod
    def apply_all(cls, writes: Sequence[Any]) -> None:
        for write in writes:
            Request.objects.filter(pk=write.settlement.request_id, status=Request.Status.OPEN).update(
                **_settled_fields(write.settlement)
            )


def _settled_fields(settlement: Settlement) -> dict[str, Any]:
    fields = {name: getattr(settlement, name) for name in settlement.__struct_fields__}
    usage = fields.pop("usage")
    del fields["request_id"]
    return fields | {
        **usage_fields(usage),
        "usage_estimated": usage.estimated,
        "unpriced": settlement.cost_usd is None,
        "held_usd": Decimal(0),
        "unit_prices": msgspec.to_builtins(settlement.unit_prices),
        "error_message": settlement.error_message[:500],
    }
