"""Balances: what the windows under a cap have spent and hold, read and locked for a group of openings.

Every opening under a cap reads them, so they are plain values from one prepared statement rather than models.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
from django.db import connection

from billing.ledger.windows import Payer, Span
from billing.reports.measures import usd

Spans = tuple[Span, Span]  # the day and the month of a moment
WindowKey = tuple[str, int, str, datetime]  # scope, its id, period, start


class WindowMissing(Exception):
    """A window that should have been created is not there."""


class Balance(msgspec.Struct):
    """The amounts that one window has spent and holds, with the shares of all processes; USD and tokens."""

    ends_at: datetime
    spent_usd: Decimal
    held_usd: Decimal
    spent_tokens: int
    held_tokens: int


class Balances:
    """The balances of some windows, which stay locked until the transaction ends."""

    def __init__(self, by_window: Mapping[WindowKey, Balance]) -> None:
        self._by_window = by_window

    def of(self, scope: str, scope_id: int, span: Span) -> Balance:
        return self._by_window[scope, scope_id, span.period, span.starts_at]

    def hold(self, payer: Payer, spans: Spans, usd: Decimal, tokens: int) -> None:
        """Add a hold, so that the next opening of the group sees it."""
        for scope, scope_id in payer.scopes:
            for span in spans:
                balance = self._by_window.get((scope, scope_id, span.period, span.starts_at))
                if balance is not None:
                    balance.held_usd += usd
                    balance.held_tokens += tokens


# The windows come as a list, and a row returns the place of its window in it.
_WANTED = (
    "json_to_recordset(%s::json)"
    " AS c (n int, scope text, scope_id bigint, period text, starts_at timestamptz)"
    " JOIN billing_window w ON w.scope = c.scope AND w.scope_id = c.scope_id AND w.period = c.period"
    " AND w.starts_at = c.starts_at"
)
# All windows in which the group's writes count, in the order that prevents deadlocks (windows.py): who moves
# shares locks their windows first, so it waits here instead of between two of the group's statements. New
# shares of a locked window may still be inserted.
LOCK = """
SELECT 1 FROM billing_window WHERE id IN (
  SELECT w.id FROM json_to_recordset(%s::json) AS c (scope text, scope_id bigint, at timestamptz)
  CROSS JOIN (VALUES ('day', INTERVAL '25 hours'), ('month', INTERVAL '745 hours')) AS p (period, longest)
  JOIN billing_window w ON w.scope = c.scope AND w.scope_id = c.scope_id AND w.period = p.period
    AND w.starts_at <= c.at AND w.starts_at >= c.at - p.longest AND w.ends_at > c.at)
ORDER BY id FOR NO KEY UPDATE"""
# A statement of its own: one that waited for a lock does not see what was committed meanwhile.
READ = f"""
SELECT c.n, w.spent_usd + COALESCE(s.spent_usd, 0), w.held_usd + COALESCE(s.held_usd, 0),
  w.spent_tokens + COALESCE(s.spent_tokens, 0)::bigint, w.held_tokens + COALESCE(s.held_tokens, 0)::bigint
FROM {_WANTED} LEFT JOIN LATERAL (
  SELECT SUM(spent_usd) AS spent_usd, SUM(held_usd) AS held_usd, SUM(spent_tokens) AS spent_tokens,
    SUM(held_tokens) AS held_tokens
  FROM billing_windowshare WHERE window_id = w.id) s ON TRUE"""  # noqa: S608 - our own text
# SQLite sums money as floats, so each amount is added as billionths of a dollar.
_NANO = "CAST(ROUND({} * 1000000000) AS INTEGER)"
_READ_EMBEDDED = f"""
SELECT {_NANO.format("w.spent_usd")} + COALESCE(SUM({_NANO.format("s.spent_usd")}), 0),
  {_NANO.format("w.held_usd")} + COALESCE(SUM({_NANO.format("s.held_usd")}), 0),
  w.spent_tokens + COALESCE(SUM(s.spent_tokens), 0), w.held_tokens + COALESCE(SUM(s.held_tokens), 0)
FROM billing_window w LEFT JOIN billing_windowshare s ON s.window_id = w.id
WHERE w.scope = ? AND w.scope_id = ? AND w.period = ? AND w.starts_at = ? GROUP BY w.id"""  # noqa: S608
_encode = msgspec.json.Encoder().encode


def balances_read(rows: Iterable[Sequence[bytes | None]]) -> Iterable[Sequence[Any]]:
    """Rows that READ returned, from PostgreSQL's text form."""
    for row in rows:
        n, spent_usd, held_usd, spent_tokens, held_tokens = (str(value or b"0", "ascii") for value in row)
        yield int(n), Decimal(spent_usd), Decimal(held_usd), int(spent_tokens), int(held_tokens)


class Wanted:
    """The windows whose balances a group of openings needs."""

    def __init__(self) -> None:
        self._ends: dict[WindowKey, datetime] = {}
        self._counted: set[tuple[str, int, datetime]] = set()

    def add(self, scope: str, scope_id: int, span: Span) -> None:
        self._ends[scope, scope_id, span.period, span.starts_at] = span.ends_at

    def count(self, payer: Payer, moment: datetime) -> None:
        """Lock the windows in which this payer's request of that moment counts."""
        minute = moment.replace(second=0, microsecond=0)
        self._counted.update((*scope, minute) for scope in payer.scopes)

    def locks(self) -> str:
        """The parameter of LOCK."""
        return _encode(
            [{"scope": scope, "scope_id": scope_id, "at": at} for scope, scope_id, at in self._counted]
        ).decode()

    def parameter(self) -> str:
        """The parameter of READ."""
        return _encode(
            [
                {"n": n, "scope": scope, "scope_id": scope_id, "period": period, "starts_at": starts_at}
                for n, (scope, scope_id, period, starts_at) in enumerate(self._ends)
            ]
        ).decode()

    def balances(self, rows: Iterable[Sequence[Any]]) -> Balances:
        """From the rows that READ returned. Raises WindowMissing."""
        by_place = {n: amounts for n, *amounts in rows}
        if len(by_place) != len(self._ends):
            raise WindowMissing(f"{len(self._ends) - len(by_place)} windows are missing")
        return Balances(
            {key: Balance(ends_at, *by_place[n]) for n, (key, ends_at) in enumerate(self._ends.items())}
        )

    def locked(self) -> Balances:
        """Lock and read them on Django's connection, in its transaction. Raises WindowMissing."""
        if connection.vendor != "postgresql":
            return self.balances(self._embedded())
        with connection.cursor() as cursor:
            cursor.execute(LOCK, [self.locks()])
            cursor.execute(READ, [self.parameter()])
            return self.balances(cursor.fetchall())

    def _embedded(self) -> Iterable[Sequence[Any]]:
        """SQLite has one writer at a time, so nothing needs a lock."""
        connection.ensure_connection()
        with connection.wrap_database_errors:
            for n, (scope, scope_id, period, starts_at) in enumerate(self._ends):
                at = str(starts_at.astimezone(UTC).replace(tzinfo=None))
                row = connection.connection.execute(_READ_EMBEDDED, (scope, scope_id, period, at)).fetchone()
                if row is not None:
                    yield n, usd(row[0]), usd(row[1]), row[2], row[3]
