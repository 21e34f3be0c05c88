"""The ledger's invariants as SQL: each query selects the keys of the rows that violate one (docs/ledger.md).

Raw SQL, because each is one pass over joined tables whose rows are not needed otherwise. The queries run on
SQLite and PostgreSQL; `{requests}` and similar names stand for the conditions of the audited scope.
"""
# ruff: noqa: S608 - only our own numbers and times are filled in

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

# The sweeper runs every 15 s and may wait for locks; a request open this long past its lease was missed.
SWEEP_GRACE = timedelta(minutes=2)
FIRST_SHOWN = 5


def _nano(column: str) -> str:
    """Money in billionths of a USD. SQLite stores it as floats, whose sum differs from the ledger's."""
    return f"CAST(ROUND({column} * 1000000000) AS BIGINT)"


def _sum(column: str) -> str:
    return f"COALESCE(SUM({_nano(column)}), 0)"


def _of_shares(amount: str) -> str:
    return f"COALESCE((SELECT {amount} FROM billing_windowshare x WHERE x.window_id = w.id), 0)"


_TOKENS = (
    "{0}.uncached_input_tokens + {0}.cache_read_tokens + {0}.cache_write_tokens + {0}.cache_write_1h_tokens"
    " + {0}.output_tokens"
)


class Scope(msgspec.Struct, frozen=True):
    """The audited requests: created since, of one account; None: all."""

    now: datetime
    since: datetime | None = None
    account_id: int | None = None


class Invariant(msgspec.Struct, frozen=True):
    """`promise`: the invariant in words, shown to people. `sql` selects the rows that violate it."""

    name: str
    promise: str
    sql: str


# A key counts in the windows of the first key that it replaces.
_LINEAGE = "(SELECT COALESCE(k.origin_id, k.id) FROM accounts_apikey k WHERE k.id = r.key_id)"

INVARIANTS = (
    Invariant(
        "accepted_is_settled_plus_open",
        "Every accepted request is either open or settled.",
        "SELECT r.id FROM billing_request r"
        " WHERE {requests} AND (r.status = 'open') <> (r.settled_at IS NULL)",
    ),
    Invariant(
        "settled_has_time",
        "A settled request says when it was settled.",
        "SELECT r.id FROM billing_request r WHERE {requests} AND r.status <> 'open' AND r.settled_at IS NULL",
    ),
    Invariant(
        "open_within_lease",
        "No request stays open past its lease.",
        "SELECT r.id FROM billing_request r"
        " WHERE {requests} AND r.status = 'open' AND r.lease_until < {swept}",
    ),
    Invariant(
        "expired_was_left",
        "An expired request was left by a process that died: one that lives settles what it delivered.",
        "SELECT r.id FROM billing_request r JOIN billing_webprocess p ON p.id = r.owner"
        " WHERE {requests} AND r.status = 'expired' AND p.seen_at > r.settled_at",
    ),
    Invariant(
        "open_has_no_attempts",
        "Attempts are written with the settlement of their request.",
        "SELECT DISTINCT r.id FROM billing_request r JOIN billing_attempt a ON a.request_id = r.id"
        " WHERE {requests} AND r.status = 'open'",
    ),
    Invariant(
        "attempts_numbered",
        "Attempts are numbered from 1 without gaps.",
        "SELECT a.request_id FROM billing_attempt a{of_requests}"
        " GROUP BY a.request_id HAVING MIN(a.number) <> 1 OR MAX(a.number) <> COUNT(*)",
    ),
    Invariant(
        "cost_is_attempts",
        "A request costs what its charged attempts cost together; unpriced while one of them is.",
        "SELECT r.id FROM billing_request r LEFT JOIN"
        f" (SELECT a.request_id, {_sum('a.cost_usd')} AS nano,"
        " SUM(CASE WHEN a.cost_usd IS NULL THEN 1 ELSE 0 END) AS missing"
        " FROM billing_attempt a{of_requests} {and_where} a.charged GROUP BY a.request_id) c"
        " ON c.request_id = r.id WHERE {requests} AND r.status <> 'open' AND"
        " CASE WHEN COALESCE(c.missing, 0) > 0 THEN r.cost_usd IS NOT NULL OR NOT r.unpriced"
        f" ELSE r.cost_usd IS NULL OR r.unpriced OR {_nano('r.cost_usd')} <> COALESCE(c.nano, 0) END",
    ),
    Invariant(
        "tokens_are_attempts",
        "A request's tokens are those of its charged attempts.",
        "SELECT r.id FROM billing_request r LEFT JOIN"
        f" (SELECT a.request_id, SUM({_TOKENS.format('a')}) AS tokens FROM billing_attempt a{{of_requests}}"
        " {and_where} a.charged GROUP BY a.request_id) c ON c.request_id = r.id"
        f" WHERE {{requests}} AND r.status <> 'open' AND COALESCE(c.tokens, 0) <> {_TOKENS.format('r')}",
    ),
    Invariant(
        "tokens_cost_their_price",
        "Tokens cost their frozen unit prices: never 0 unless 0 is the price, or the request is unpriced.",
        "SELECT a.id FROM billing_attempt a{of_requests} {and_where} a.charged AND a.cost_usd IS NOT NULL"
        f" AND {_TOKENS.format('a')} > 0 AND (a.unit_prices IS NULL OR ABS(a.cost_usd - ("
        "a.uncached_input_tokens * {uncached_input}"
        " + a.audio_input_tokens * (COALESCE({audio_input}, {uncached_input}) - {uncached_input})"
        " + a.cache_read_tokens * {cache_read}"
        " + a.cache_write_tokens * {cache_write} + a.cache_write_1h_tokens * {cache_write_1h}"
        " + a.output_tokens * {output}) / 1000000.0) > 0.000000001)",
    ),
    Invariant(
        "content_has_tokens",
        "An attempt that delivered content has output tokens.",
        "SELECT a.id FROM billing_attempt a{of_requests} {and_where} a.charged AND a.ttft_ms IS NOT NULL"
        " AND a.output_tokens = 0",
    ),
    Invariant(
        "tokens_within_request",
        "No attempt is charged more tokens than were sent to its provider, or allowed to it.",
        "SELECT a.id FROM billing_attempt a{of_requests} {and_where} a.charged"
        " AND (a.output_tokens > a.most_output_tokens OR a.uncached_input_tokens + a.cache_read_tokens"
        " + a.cache_write_tokens + a.cache_write_1h_tokens > a.most_input_tokens)",
    ),
    Invariant(
        "settled_holds_nothing",
        "A settled request holds nothing, unless it has no price yet.",
        "SELECT r.id FROM billing_request r WHERE {requests} AND r.status <> 'open'"
        " AND (r.held_tokens <> 0 OR (r.held_usd <> 0 AND NOT r.unpriced))",
    ),
    Invariant(
        "unpriced_is_held",
        "An unpriced request holds its ceiling until it has a price.",
        "SELECT r.id FROM billing_request r WHERE {requests} AND r.unpriced AND r.held_usd <= 0"
        " AND r.owner <> ''",  # rows from before there were holds have no owner
    ),
    Invariant(
        "kept_outcomes_are_settled",
        "An outcome stored under an Idempotency-Key is that of a settled request of the same account.",
        "SELECT o.id FROM billing_idempotentoutcome o LEFT JOIN billing_request r"
        " ON r.id = o.request_id AND r.account_id = o.account_id"
        " WHERE {outcomes} AND o.status IS NOT NULL AND (r.id IS NULL OR r.status = 'open')",
    ),
    Invariant(
        "account_windows_add_up",
        "An account's window has the spent, held and counted sums of the ledger.",
        "SELECT w.id FROM billing_window w LEFT JOIN billing_request r ON r.account_id = w.scope_id"
        " AND r.created_at >= w.starts_at AND r.created_at < w.ends_at"
        " WHERE w.scope = 'account' AND {account_windows} GROUP BY w.id HAVING {sums_differ}",
    ),
    Invariant(
        "key_windows_add_up",
        "A key's window has the spent, held and counted sums of the ledger.",
        "SELECT w.id FROM billing_window w"
        " LEFT JOIN accounts_apikey k ON k.id = w.scope_id OR k.origin_id = w.scope_id"
        " LEFT JOIN billing_request r ON r.key_id = k.id"
        " AND r.created_at >= w.starts_at AND r.created_at < w.ends_at"
        " WHERE w.scope = 'key' AND {key_windows} GROUP BY w.id HAVING {sums_differ}",
    ),
    Invariant(
        "requests_are_in_windows",
        "Every request counts in its account's and its key's day and month.",
        "SELECT r.id FROM billing_request r WHERE {requests} AND r.owner <> '' AND NOT ("
        + " AND ".join(
            f"EXISTS (SELECT 1 FROM billing_window w WHERE w.scope = '{scope}' AND w.scope_id = {pk}"
            f" AND w.period = '{period}' AND w.starts_at <= r.created_at AND w.ends_at > r.created_at)"
            for scope, pk in (("account", "r.account_id"), ("key", _LINEAGE))
            for period in ("day", "month")
        )
        + ")",
    ),
    Invariant(
        "statements_add_up",
        "A statement's total is the sum of its lines.",
        "SELECT s.number FROM statements_statement s LEFT JOIN statements_statementline l"
        " ON l.statement_id = s.id WHERE {statements} GROUP BY s.id"
        f" HAVING {_sum('l.cost_usd')} <> {_nano('s.total_usd')}"
        f" OR {_nano('s.usage_usd')} + {_nano('s.corrections_usd')} <> {_nano('s.total_usd')}"
        " OR COALESCE(SUM(l.requests), 0) <> s.requests",
    ),
    Invariant(
        "statements_follow_each_other",
        "No moment is in two statements of an account.",
        "SELECT s.number FROM statements_statement s JOIN statements_statement o"
        " ON o.account_id = s.account_id AND o.id <> s.id"
        " AND o.starts_at < s.ends_at AND s.starts_at < o.ends_at WHERE {statements}",
    ),
    Invariant(
        "statements_are_the_ledger",
        "A month's statement and its corrections equal the ledger's sum, or a correction is due.",
        "SELECT s.number FROM statements_statement s WHERE {statements}"
        f" AND (SELECT {_sum('r.cost_usd')} FROM billing_request r WHERE {{of_statement}})"
        f" <> {_nano('s.usage_usd')} + (SELECT {_sum('c.cost_usd')} FROM statements_statementline c"
        " WHERE c.corrects_id = s.id)"
        " AND NOT EXISTS (SELECT 1 FROM billing_repricedrequest p"
        " JOIN billing_repricing b ON b.id = p.batch_id"
        " JOIN billing_request r ON r.id = p.request_id WHERE {of_statement}"
        " AND COALESCE(b.undone_at, b.made_at) >= (SELECT {day_before_last} FROM statements_statement n"
        " WHERE n.account_id = s.account_id))"
        # A settlement that came after its request was swept, and after the statement.
        " AND NOT EXISTS (SELECT 1 FROM billing_request r WHERE {of_statement}"
        " AND r.settled_at > (SELECT MAX(n.made_at) FROM statements_statement n"
        " WHERE n.account_id = s.account_id))",
    ),
    Invariant(
        "stripe_is_told_no_more_than_used",
        "Stripe is sent no more usage than the ledger has, unless a re-pricing reduced it later.",
        "SELECT s.subscription_id FROM stripe_meter_subscription s"
        " JOIN stripe_meter_stripecustomer c ON c.id = s.customer_id WHERE {subscriptions}"
        " AND (SELECT COALESCE(SUM(e.micro_usd), 0) FROM stripe_meter_meterevent e"
        " WHERE e.subscription_id = s.id) * 1000 >"
        f" (SELECT {_sum('r.cost_usd')} FROM billing_request r WHERE {{of_subscription}})"
        " AND NOT EXISTS (SELECT 1 FROM billing_repricedrequest p"
        " JOIN billing_request r ON r.id = p.request_id WHERE {of_subscription})",
    ),
)

_SUMS_DIFFER = (
    f"COUNT(r.id) <> w.requests + {_of_shares('SUM(x.requests)')}"
    f" OR {_sum('r.cost_usd')} <> {_nano('w.spent_usd')} + {_of_shares(_sum('x.spent_usd'))}"
    f" OR {_sum('r.held_usd')} <> {_nano('w.held_usd')} + {_of_shares(_sum('x.held_usd'))}"
    f" OR COALESCE(SUM({_TOKENS.format('r')}), 0) <> w.spent_tokens + {_of_shares('SUM(x.spent_tokens)')}"
    f" OR COALESCE(SUM(r.held_tokens), 0) <> w.held_tokens + {_of_shares('SUM(x.held_tokens)')}"
)
_CLASSES = ("uncached_input", "audio_input", "cache_read", "cache_write", "cache_write_1h", "output")


def violations(invariant: Invariant, scope: Scope) -> tuple[int, tuple[str, ...]]:
    """How many rows in the scope violate the invariant, and the keys of the first of them."""
    sql = f"SELECT COUNT(*) OVER (), v.* FROM ({_filled(invariant.sql, scope)}) v ORDER BY 2"
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {FIRST_SHOWN}")
        rows = cursor.fetchall()
    return rows[0][0] if rows else 0, tuple(str(row[1]) for row in rows)


def _filled(sql: str, scope: Scope) -> str:
    """The query for a scope. Only our own numbers and times are filled in, never text from outside."""
    requests, windows, statements, subscriptions = ["1 = 1"], ["1 = 1"], ["1 = 1"], ["1 = 1"]
    if scope.since is not None:
        requests.append(f"r.created_at >= {_literal(scope.since)}")
        # A month's sums need all of its rows, so the hourly audit checks only days; the daily one all
        # windows.
        windows.append(f"w.period = 'day' AND w.ends_at > {_literal(scope.since)}")
        statements.append("1 = 0")  # they cover months
        subscriptions.append("1 = 0")  # they cover months or years
    account_windows = key_windows = " AND ".join(windows)
    if scope.account_id is not None:
        account = int(scope.account_id)
        requests.append(f"r.account_id = {account}")
        statements.append(f"s.account_id = {account}")
        subscriptions.append(f"c.account_id = {account}")
        account_windows += f" AND w.scope_id = {account}"
        key_windows += f" AND w.scope_id IN (SELECT id FROM accounts_apikey WHERE account_id = {account})"
    is_all = len(requests) == 1
    where = " AND ".join(requests)
    return sql.format(
        requests=where,
        outcomes=where.replace("r.", "o."),
        of_requests="" if is_all else f" JOIN billing_request r ON r.id = a.request_id WHERE {where}",
        statements=" AND ".join(statements),
        subscriptions=" AND ".join(subscriptions),
        of_subscription="r.account_id = c.account_id AND r.created_at >= s.since"
        " AND (s.until IS NULL OR r.created_at < s.until)",
        of_statement="r.account_id = s.account_id"
        " AND r.created_at >= s.starts_at AND r.created_at < s.ends_at",
        # A batch may have begun before the last statement was generated and ended after it.
        day_before_last="MAX(n.made_at) - INTERVAL '1 day'"
        if connection.vendor == "postgresql"
        else "datetime(MAX(n.made_at), '-1 day')",
        and_where="WHERE" if is_all else "AND",
        swept=_literal(scope.now - SWEEP_GRACE),
        account_windows=account_windows,
        key_windows=key_windows,
        sums_differ=_SUMS_DIFFER,
        **{name: _unit_price(name) for name in _CLASSES},
    )


def _unit_price(token_class: str) -> str:
    if connection.vendor == "postgresql":
        return f"(a.unit_prices->>'{token_class}')::numeric"
    return f"CAST(json_extract(a.unit_prices, '$.{token_class}') AS REAL)"


def _literal(moment: datetime) -> str:
    value: Any = connection.ops.adapt_datetimefield_value(moment)
    return f"'{value}'"
