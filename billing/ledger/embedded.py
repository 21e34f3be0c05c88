"""Writes a group on SQLite, with a few prepared statements inside the caller's transaction."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from django.db import connection

from billing.ledger.entries import (
    SETTLED_COLUMNS,
    ZERO,
    AttemptRow,
    OpenWrite,
    RequestRow,
    SettleWrite,
    Written,
    settled_columns,
)
from billing.ledger.statement import constants
from billing.ledger.windows import AMOUNTS
from billing.models import Attempt, Request


def write(opens: Sequence[OpenWrite], settles: Iterable[tuple[SettleWrite, str]]) -> Written:
    """Write the group. `settles`: each with the status its row must have."""
    connection.ensure_connection()
    run = connection.connection.execute  # Django's cursor rewrites each statement before it runs it
    done, shares = Written(), _Shares()
    with connection.wrap_database_errors:
        for opened in opens:
            row = opened.row
            if run(_insert_request(), _plain(_columns(row))).rowcount:
                done.opened.add(row.id)
                shares.add(row, opened.terms.payer.lineage_id, 1, ZERO, row.held_usd, 0, row.held_tokens)
        for settling, former in settles:
            row, end = settling.row, settling.settlement
            values = _plain([*settled_columns(end).values(), end.request_id, former])
            if not run(_update_request(), values).rowcount:
                continue
            done.settled.add(end.request_id)
            for attempt in settling.attempts:
                run(_insert_attempt(), _plain(msgspec.structs.astuple(attempt)))
            was_open = former == Request.Status.OPEN
            shares.add(
                row,
                settling.payer.lineage_id,
                0,
                end.cost_usd or ZERO,
                end.held_usd - (row.held_usd if was_open else ZERO),
                end.usage.total_tokens,
                -row.held_tokens if was_open else 0,
            )
        for values in shares.rows():
            run(_UPSERT_SHARE, values)
    return done


class _Shares:
    """Amounts that the group adds to the windows of each payer, by minute: windows begin at full minutes."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, int, int, datetime], list[Any]] = {}

    def add(self, row: RequestRow, lineage_id: int, *amounts: Any) -> None:
        minute = row.created_at.astimezone(UTC).replace(second=0, microsecond=0)
        sums = self._sums.setdefault((row.owner, row.account_id, lineage_id, minute), [0] * len(amounts))
        for place, amount in enumerate(amounts):
            sums[place] += amount

    def rows(self) -> Iterable[list[Any]]:
        for (owner, account_id, lineage_id, minute), sums in self._sums.items():
            at = str(minute.replace(tzinfo=None))
            for scope, scope_id in (("account", account_id), ("key", lineage_id)):
                yield [owner, *_plain(sums), scope, scope_id, at, at]


# Money is a float in SQLite: rounded after each addition, it stays the float of its nine decimals.
_UPSERT_SHARE = f"""
INSERT INTO billing_windowshare (window_id, owner, {", ".join(AMOUNTS)})
SELECT id, ?, ?, ROUND(?, 9), ROUND(?, 9), ?, ? FROM billing_window
WHERE scope = ? AND scope_id = ? AND period IN ('day', 'month') AND starts_at <= ? AND ends_at > ?
ON CONFLICT (window_id, owner) DO UPDATE SET
{", ".join(f"{name} = ROUND({name} + excluded.{name}, 9)" for name in AMOUNTS)}"""  # noqa: S608 - our names


def _columns(row: RequestRow) -> list[Any]:
    values = list(msgspec.structs.astuple(row))
    place = RequestRow.__struct_fields__.index("trace")
    values[place] = Request._meta.get_field("trace").get_prep_value(row.trace)
    return values


@cache
def _insert_request() -> str:
    fixed = constants(Request, RequestRow.__struct_fields__)
    columns = ", ".join([*RequestRow.__struct_fields__, *fixed])
    values = ", ".join(["?"] * len(RequestRow.__struct_fields__) + list(fixed.values()))
    return f"INSERT INTO billing_request ({columns}) VALUES ({values}) ON CONFLICT (id) DO NOTHING"  # noqa: S608


@cache
def _update_request() -> str:
    sets = ", ".join(f"{name} = ?" for name in SETTLED_COLUMNS)
    return f"UPDATE billing_request SET {sets} WHERE id = ? AND status = ?"  # noqa: S608


@cache
def _insert_attempt() -> str:
    names = AttemptRow.__struct_fields__
    fixed = constants(Attempt, names)
    columns, values = ", ".join([*names, *fixed]), ", ".join(["?"] * len(names) + list(fixed.values()))
    return f"INSERT INTO billing_attempt ({columns}) VALUES ({values})"  # noqa: S608


def _plain(values: Iterable[Any]) -> list[Any]:
    """Values as Django's SQLite backend stores them."""
    return [value if type(value) in _AS_THEY_ARE else _converted(value) for value in values]


_AS_THEY_ARE = frozenset({str, int, float, bool, bytes, type(None)})


def _converted(value: Any) -> Any:
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    if isinstance(value, str):  # an enumeration
        return str(value)
    return msgspec.json.encode(value).decode()
