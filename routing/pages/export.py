"""The request list as CSV, streamed in batches, with no cell that a spreadsheet would run as a formula."""

import csv
import json
from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async

from accounts.models import Account
from billing.models import Request
from routing.pages.filters import Filters
from routing.pages.request_list import export_batches

# What makes Excel, LibreOffice and Google Sheets read a cell as a formula (OWASP, CSV Injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")

_COLUMNS = (
    "id", "created_at", "status", "mode", "strategy", "skill", "requested_model", "routed_model",
    "routed_effort", "served_model", "served_effort", "provider", "fallback_used", "input_tokens",
    "uncached_input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens", "usage_estimated", "cost_usd", "wasted_usd", "baseline_model",
    "baseline_usd", "latency_ms", "ttft_ms", "key", "key_last_four", "error_code", "metadata",
)  # fmt: skip


async def csv_lines(account: Account, filters: Filters, now: datetime) -> AsyncIterator[str]:
    """A header, then every match; a batch is in memory at a time."""
    line = csv.writer(_Echo())
    yield line.writerow(_COLUMNS)
    batches = export_batches(account, filters, now)
    following = sync_to_async(lambda: next(batches, None))
    while (batch := await following()) is not None:
        yield "".join(line.writerow(_cells(row)) for row in batch)


def neutral(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def _cells(row: Request) -> list[Any]:
    values = {
        **vars(row),
        "created_at": row.created_at.isoformat(),
        "skill": row.query_type,
        "cost_usd": _usd(row.cost_usd),
        "wasted_usd": _usd(row.wasted_usd),
        "baseline_usd": _usd(row.baseline_usd),
        "key": row.key.name,
        "key_last_four": row.key.last_four,
        "metadata": "" if row.metadata is None else json.dumps(row.metadata, ensure_ascii=False),
    }
    return [neutral(value) if isinstance(value := values[name], str) else value for name in _COLUMNS]


def _usd(value: Decimal | None) -> str:
    """Digit for digit, never in powers of ten."""
    return "" if value is None else format(value, "f")


class _Echo:
    """A file whose `write` gives the line back, which makes `writerow` return it."""

    def write(self, line: str) -> str:
        return line
