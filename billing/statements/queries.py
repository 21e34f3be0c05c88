"""Reading statements: the list, and one statement with its sums by model, by key and by corrected month."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec
from django.db.models import QuerySet

from billing.reports.export import csv_text, nine
from billing.statements.models import Statement, StatementLine
from billing.usage_columns import TOKEN_COLUMNS

ZERO = Decimal(0)
CSV_COLUMNS = (
    "statement", "kind", "key", "provider", "model", "corrects", "requests", "unpriced",
    *TOKEN_COLUMNS, "cost_usd",
)  # fmt: skip


class Line(msgspec.Struct, frozen=True):
    """Usage of one model or key. Money in USD; output includes reasoning."""

    name: str
    provider: str
    requests: int
    unpriced: int
    input_tokens: int
    cached_tokens: int  # part of the input, read from a cache
    output_tokens: int
    reasoning_tokens: int
    cost_usd: Decimal


class StatementDetail(msgspec.Struct, frozen=True):
    """One statement; models and keys are sorted by cost, highest first. `corrections`: number and USD."""

    statement: Statement
    models: list[Line]
    keys: list[Line]
    corrections: list[tuple[str, Decimal]]


def account_statements(account_id: int) -> QuerySet[Statement]:
    """The account's statements, newest first."""
    return Statement.objects.filter(account_id=account_id)


def statement_detail(statement: Statement) -> StatementDetail:
    lines = list(statement.lines.select_related("corrects").order_by("pk"))
    usage = [line for line in lines if line.corrects is None]
    return StatementDetail(
        statement=statement,
        models=_grouped(usage, lambda line: (line.provider, line.model or "none answered")),
        keys=_grouped(usage, lambda line: ("", line.key_name)),
        corrections=[(line.corrects.number, line.cost_usd) for line in lines if line.corrects is not None],
    )


def header_fields(statement: Statement) -> dict[str, Any]:
    """The fields that the API and the JSON file show of every statement; money with nine decimals."""
    return {
        "number": statement.number,
        "from": statement.starts_at,
        "to": statement.ends_at,
        "time_zone": statement.time_zone,
        "made_at": statement.made_at,
        "requests": statement.requests,
        "unpriced_requests": statement.unpriced,
        "usage_usd": nine(statement.usage_usd),
        "corrections_usd": nine(statement.corrections_usd),
        "total_usd": nine(statement.total_usd),
    }


def detail_fields(detail: StatementDetail) -> dict[str, Any]:
    return header_fields(detail.statement) | {
        "by_model": [
            {"provider": line.provider or None, "model": line.name} | _sums(line) for line in detail.models
        ],
        "by_key": [{"key": line.name} | _sums(line) for line in detail.keys],
        "corrections": [{"statement": number, "cost_usd": nine(usd)} for number, usd in detail.corrections],
    }


def as_csv(statement: Statement) -> bytes:
    """CSV with a row per line: usage by key and model, then corrections."""
    return csv_text(
        [
            CSV_COLUMNS,
            *(
                _csv_row(statement, line)
                for line in statement.lines.select_related("corrects").order_by("pk")
            ),
        ]
    )


def _csv_row(statement: Statement, line: StatementLine) -> list[Any]:
    tokens = [getattr(line, name) for name in TOKEN_COLUMNS]
    kind, corrects = ("correction", line.corrects.number) if line.corrects else ("usage", "")
    names = [statement.number, kind, line.key_name, line.provider, line.model, corrects]
    return [*names, line.requests, line.unpriced, *tokens, nine(line.cost_usd)]


def _sums(line: Line) -> dict[str, Any]:
    return {
        "requests": line.requests,
        "unpriced_requests": line.unpriced,
        "input_tokens": line.input_tokens,
        "cached_tokens": line.cached_tokens,
        "output_tokens": line.output_tokens,
        "reasoning_tokens": line.reasoning_tokens,
        "cost_usd": nine(line.cost_usd),
    }


def _grouped(lines: list[StatementLine], name_of: Callable[[StatementLine], tuple[str, str]]) -> list[Line]:
    groups: dict[tuple[str, str], list[StatementLine]] = {}
    for line in lines:
        groups.setdefault(name_of(line), []).append(line)
    summed = [
        Line(
            name=name,
            provider=provider,
            requests=sum(line.requests for line in group),
            unpriced=sum(line.unpriced for line in group),
            input_tokens=sum(line.usage.input_tokens for line in group),
            cached_tokens=sum(line.cache_read_tokens for line in group),
            output_tokens=sum(line.output_tokens for line in group),
            reasoning_tokens=sum(line.reasoning_tokens for line in group),
            cost_usd=sum((line.cost_usd for line in group), ZERO),
        )
        for (provider, name), group in groups.items()
    ]
    return sorted(summed, key=lambda line: (-line.cost_usd, line.name))
