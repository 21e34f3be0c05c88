"""Exports requests as CSV or lines of JSON, in chunks, so that memory does not grow with the log.

Chunks are read by key, newest first, so no cursor or transaction stays open between them. Money has nine
decimals, and no CSV cell can be run as a formula by a spreadsheet.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from django.db.models import Q, QuerySet

from billing.models import Request
from billing.usage_columns import INPUT_TOKENS

BATCH = 1_000  # rows per chunk: about 300 KB of text
# What makes Excel, LibreOffice and Google Sheets read a cell as a formula (OWASP, CSV Injection).
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
_NINE = Decimal("0.000000001")

# Column names in the export, and the ledger's fields.
COLUMNS = {
    "id": "id",
    "created_at": "created_at",
    "status": "status",
    "mode": "mode",
    "strategy": "strategy",
    "skill": "query_type",
    "requested_model": "requested_model",
    "routed_model": "routed_model",
    "routed_effort": "routed_effort",
    "served_model": "served_model",
    "served_effort": "served_effort",
    "provider": "provider",
    "fallback_used": "fallback_used",
    "input_tokens": "input_",
    "uncached_input_tokens": "uncached_input_tokens",
    "cache_read_tokens": "cache_read_tokens",
    "cache_write_tokens": "cache_write_tokens",
    "cache_write_1h_tokens": "cache_write_1h_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "usage_estimated": "usage_estimated",
    "unpriced": "unpriced",
    "cost_usd": "cost_usd",
    "wasted_usd": "wasted_usd",
    "baseline_model": "baseline_model",
    "baseline_usd": "baseline_usd",
    "baseline_low_usd": "baseline_low_usd",
    "baseline_high_usd": "baseline_high_usd",
    "baseline_version": "baseline_version",
    "latency_ms": "latency_ms",
    "ttft_ms": "ttft_ms",
    "key": "key__name",
    "key_last_four": "key__last_four",
    "error_code": "error_code",
    "metadata": "metadata",
}
_json = msgspec.json.Encoder(decimal_format="number")  # a JSON number with all nine digits


class Format(StrEnum):
    CSV = "csv"
    NDJSON = "ndjson"

    @property
    def content_type(self) -> str:
        return {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[self.value]


def chunks(rows: QuerySet[Request], how: Format) -> Iterator[bytes]:
    """The rows (filtered, of one account) as text, newest first; CSV begins with a header line."""
    if how is Format.CSV:
        yield csv_text([tuple(COLUMNS)])
    for batch in _batches(rows):
        yield csv_text(map(_plain, batch)) if how is Format.CSV else _json_lines(batch)


def csv_text(lines: Iterable[Iterable[Any]]) -> bytes:
    """Lines of CSV in which no text is a formula and money has nine decimals."""
    text = io.StringIO()
    csv.writer(text).writerows(tuple(map(_cell, line)) for line in lines)
    return text.getvalue().encode()


def neutral(text: str) -> str:
    """The text, quoted if a spreadsheet would run it as a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA_STARTS) else text


def nine(usd: Decimal) -> Decimal:
    """To nine decimals, as the ledger has them."""
    return usd.quantize(_NINE)


def _batches(rows: QuerySet[Request]) -> Iterator[list[tuple[Any, ...]]]:
    lines = rows.annotate(input_=INPUT_TOKENS).order_by("-created_at", "-id").values_list(*COLUMNS.values())
    batch = list(lines[:BATCH])
    while batch:
        yield batch
        last_id, last_at = batch[-1][:2]
        # The first condition is redundant, but lets the database start its index scan there.
        older = Q(created_at__lte=last_at) & (Q(created_at__lt=last_at) | Q(id__lt=last_id))
        batch = list(lines.filter(older)[:BATCH])


def _plain(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Metadata as the text of its JSON."""
    *others, metadata = row
    return *others, "" if metadata is None else msgspec.json.encode(metadata).decode()


def _cell(value: Any) -> Any:
    match value:
        case str():
            return neutral(value)
        case Decimal():
            return f"{value:.9f}"
        case datetime():
            return value.isoformat()
        case _:
            return value


def _json_lines(batch: list[tuple[Any, ...]]) -> bytes:
    lines = (dict(zip(COLUMNS, map(_exact, row), strict=True)) for row in batch)
    return b"".join(_json.encode(line) + b"\n" for line in lines)


def _exact(value: Any) -> Any:
    return nine(value) if isinstance(value, Decimal) else value
