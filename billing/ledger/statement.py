"""The one statement that writes a group on PostgreSQL: openings, settlements, attempts, shares of windows.

Rows arrive as JSON, which costs the web process a few microseconds a row and the database one parse. As one
statement it is one round trip and one transaction; it is built once from Django's models, which stay the
schema, and prepared once per connection. Openings alone and settlements alone have shorter statements,
because the database sets up every node of a plan, even one that no row reaches.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from django.db import connection
from django.db.models import Field, Model
from django.db.models.fields import NOT_PROVIDED

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
from billing.ledger.windows import AMOUNTS
from billing.models import Attempt, Request

_encode = msgspec.json.Encoder().encode
# What a group adds to windows, beside the columns of its rows.
_PAYER = "owner text, account_id bigint, lineage_id bigint, created_at timestamptz"
_OPENED = "lineage_id bigint"
_SETTLED = (
    f"id text, {_PAYER}, former text, was_held_usd numeric, was_held_tokens bigint, spent_tokens bigint"
)
# A window begins at a full minute in every time zone of today. A day has 25 hours at most, a month 31 days
# and an hour.
_PERIODS = (("day", "25 hours"), ("month", "745 hours"))


def statement(
    opens: Sequence[OpenWrite], settles: Sequence[tuple[SettleWrite, str]]
) -> tuple[str, list[str]]:
    """The statement and its parameters. `settles`: each with the status its row must have."""
    values: list[list[Any]] = []
    if opens:
        values.append([_opened(write) for write in opens])
    if settles:
        values.append([_settled(settle, former) for settle, former in settles])
        values.append([attempt for settle, _ in settles for attempt in settle.attempts])
    return _sql(bool(opens), bool(settles)), [_encode(rows).decode() for rows in values]


def _opened(write: OpenWrite) -> dict[str, Any]:
    row = write.row
    columns = {name: getattr(row, name) for name in RequestRow.__struct_fields__}
    columns["trace"] = _stored("trace")(row.trace)
    columns["lineage_id"] = write.terms.payer.lineage_id
    return columns


def _settled(write: SettleWrite, former: str) -> dict[str, Any]:
    row, settlement = write.row, write.settlement
    was_open = former == Request.Status.OPEN
    return settled_columns(settlement) | {
        "id": settlement.request_id,
        "owner": row.owner,
        "account_id": row.account_id,
        "lineage_id": write.payer.lineage_id,
        "created_at": row.created_at,
        "former": former,
        "was_held_usd": row.held_usd if was_open else ZERO,
        "was_held_tokens": row.held_tokens if was_open else 0,
        "spent_tokens": settlement.usage.total_tokens,
    }


@cache
def _stored(column: str) -> Any:
    return _field(Request, column).get_prep_value


@cache
def _sql(has_opens: bool, has_settles: bool) -> str:
    """It returns (id, False) for each request that was opened, and (id, True) for each that was settled."""
    tables, changes, results = [], [], []
    if has_opens:
        tables += _tables_of_openings()
        changes.append(_OPENED_AMOUNTS)
        results.append("SELECT id, FALSE FROM opened")
    if has_settles:
        tables += _tables_of_settlements()
        changes.append(_SETTLED_AMOUNTS)
        results.append("SELECT id, TRUE FROM settled")
    sums = ", ".join(f"SUM({name}) AS {name}" for name in AMOUNTS)
    periods = ", ".join(
        f"('{scope}', {column}, '{period}', INTERVAL '{longest}')"
        for scope, column in (("account", "t.account_id"), ("key", "t.lineage_id"))
        for period, longest in _PERIODS
    )
    tables += [
        f"changes AS ({' UNION ALL '.join(changes)})",
        f"sums AS (SELECT owner, account_id, lineage_id, at, {sums} FROM changes GROUP BY 1, 2, 3, 4)",  # noqa: S608
        f"""shared AS (
  INSERT INTO billing_windowshare AS share (window_id, owner, {", ".join(AMOUNTS)})
  SELECT w.id, t.owner, {", ".join(f"SUM(t.{name})" for name in AMOUNTS)}
  FROM sums t CROSS JOIN LATERAL (VALUES {periods}) AS p (scope, scope_id, period, longest)
  JOIN billing_window w ON w.scope = p.scope AND w.scope_id = p.scope_id AND w.period = p.period
    AND w.starts_at <= t.at AND w.starts_at >= t.at - p.longest AND w.ends_at > t.at
  GROUP BY w.id, t.owner ORDER BY w.id, t.owner
  ON CONFLICT (window_id, owner) DO UPDATE SET
    {", ".join(f"{name} = share.{name} + excluded.{name}" for name in AMOUNTS)})""",  # noqa: S608
    ]
    return "WITH " + ",\n".join(tables) + "\n" + " UNION ALL ".join(results)


def _tables_of_openings() -> list[str]:
    """`o`, the openings as they come, and `opened`."""
    columns = RequestRow.__struct_fields__
    return [
        f"o AS (SELECT * FROM {_recordset(Request, columns, 'o', _OPENED)})",  # noqa: S608
        f"""opened AS (
  INSERT INTO billing_request ({", ".join(columns)}, {", ".join(constants(Request, columns))})
  SELECT {", ".join(_value(Request, "o", name) for name in columns)},
    {", ".join(constants(Request, columns).values())}
  FROM o ON CONFLICT (id) DO NOTHING RETURNING id)""",  # noqa: S608 - names of our own columns
    ]


def _tables_of_settlements() -> list[str]:
    """`s`, the settlements as they come, `settled`, and `attempted` with their attempts."""
    columns = AttemptRow.__struct_fields__
    sets = ", ".join(f"{name} = s.{name}" for name in SETTLED_COLUMNS)
    return [
        f"s AS (SELECT * FROM {_recordset(Request, SETTLED_COLUMNS, 's', _SETTLED)})",  # noqa: S608
        f"""settled AS (
  UPDATE billing_request r SET {sets} FROM s WHERE r.id = s.id AND r.status = s.former RETURNING r.id)""",  # noqa: S608
        f"""attempted AS (
  INSERT INTO billing_attempt ({", ".join(columns)})
  SELECT {", ".join(f"a.{name}" for name in columns)} FROM {_recordset(Attempt, columns, "a")}
  JOIN settled ON settled.id = a.request_id)""",  # noqa: S608
    ]


# What each request adds to the windows in which it counts.
_OPENED_AMOUNTS = """
  SELECT owner, account_id, lineage_id, date_trunc('minute', created_at) AS at, 1 AS requests,
    0::numeric AS spent_usd, held_usd, 0::bigint AS spent_tokens, held_tokens
  FROM o WHERE id IN (SELECT id FROM opened)"""
_SETTLED_AMOUNTS = """
  SELECT owner, account_id, lineage_id, date_trunc('minute', created_at) AS at, 0 AS requests,
    COALESCE(cost_usd, 0) AS spent_usd, held_usd - was_held_usd AS held_usd, spent_tokens,
    - was_held_tokens AS held_tokens
  FROM s WHERE id IN (SELECT id FROM settled)"""


def written(rows: Iterable[Sequence[bytes | None]]) -> Written:
    """From the rows that the statement returned, in PostgreSQL's text form."""
    return Written([(str(pk, "ascii"), is_settled == b"t") for pk, is_settled in rows if pk is not None])


def constants(model: type[Model], names: Iterable[str]) -> dict[str, str]:
    """The columns that are neither named nor filled by the database, with their defaults as SQL."""
    named, columns = set(names), {}
    for field in model._meta.concrete_fields:
        if field.attname in named or field.null or field.primary_key or field.db_default is not NOT_PROVIDED:
            continue
        columns[field.attname] = _literal(field.get_default())
    return columns


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _recordset(model: type[Model], columns: Sequence[str], alias: str, more: str = "") -> str:
    """A parameter with a JSON list of objects as a table with the types of the model's columns."""
    types = [f"{name} {_type(model, name)}" for name in columns if not more.startswith(f"{name} ")]
    return f"json_to_recordset(%s::json) AS {alias} ({', '.join([*types, more] if more else types)})"


def _type(model: type[Model], column: str) -> str:
    kind = _field(model, column).db_type(connection)
    return "text" if kind == "bytea" else str(kind)


def _value(model: type[Model], alias: str, column: str) -> str:
    """A column of the recordset. JSON has no bytes: they come in base 64."""
    is_bytes = _field(model, column).db_type(connection) == "bytea"
    return f"decode({alias}.{column}, 'base64')" if is_bytes else f"{alias}.{column}"


def _field(model: type[Model], column: str) -> "Field[Any, Any]":
    return next(field for field in model._meta.concrete_fields if field.attname == column)
