"""Rates: requests and tokens in the last sixty seconds, and requests in flight, per key and account.

Counted in this process, or in Redis when there are several. While Redis is away, the ledger's own rows are
counted inside the transaction that opens a request: slower, but the limits still hold (docs/ledger.md).
Counters that are missing start from the ledger.
"""

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from django.db.models import Count, Min, QuerySet, Sum

from accounts.caller import Caller
from billing.ledger.windows import Payer, of_scope
from billing.models import Request
from billing.usage_columns import TOKENS
from core.database import from_database
from core.errors import ApiError

MINUTE_S = 60.0
_LONGEST_LIFE = timedelta(minutes=15)


class RateLimited(ApiError):
    code, status = "rate_limited", 429


class RatesUnavailable(Exception):
    """The counters can't be reached, so the ledger has to count."""


class RateRule(msgspec.Struct, frozen=True):
    """The rate limits of one key or account; None: no such limit."""

    scope: str
    scope_id: int
    requests: int | None  # a minute
    tokens: int | None  # a minute
    concurrent: int | None


class Figures(msgspec.Struct, frozen=True):
    """Usage of one scope before this request.

    Times are seconds since the epoch; `tokens` of settled requests, 0 where there is no limit on them.
    """

    requests: int
    oldest_request: float | None
    tokens: int
    oldest_tokens: float | None
    in_flight: int


class Recent(msgspec.Struct, frozen=True):
    """One scope's last minute, from the ledger.

    Each entry starts with a request id; times are epoch seconds.
    """

    requests: list[tuple[str, float]]
    tokens: list[tuple[str, float, int]]
    in_flight: list[tuple[str, float]]


class Rates(Protocol):
    """The counters of all scopes. `now` and `lease_until` are seconds since the epoch."""

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        """Count the request in under every rule, or raise RateLimited and count nothing.

        Raises RatesUnavailable.
        """
        ...

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        """Count the request out, and the tokens it used."""
        ...

    async def close(self) -> None: ...


def rules_of(caller: Caller) -> tuple[RateRule, ...]:
    rules = []
    for scope, pk, limits in (
        ("key", caller.lineage_id, caller.key_limits),
        ("account", caller.account_id, caller.account_limits),
    ):
        rates = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
        if any(rate is not None for rate in rates):
            rules.append(RateRule(scope, pk, *rates))
    return tuple(rules)


def refusal(rule: RateRule, figures: Figures, now: float) -> RateLimited | None:
    """The error if this rule forbids one more request, else None."""
    if rule.requests is not None and figures.requests >= rule.requests:
        wait = _wait(figures.oldest_request, now)
        return RateLimited(
            f"This {rule.scope} may send {rule.requests} requests a minute. "
            f"Try again in {math.ceil(wait)} s.",
            headers=retry_after(wait) | _trio(rule.requests, 0, wait),
        )
    if rule.tokens is not None and figures.tokens >= rule.tokens:
        wait = _wait(figures.oldest_tokens, now)
        return RateLimited(
            f"This {rule.scope} has used {figures.tokens:,} of {rule.tokens:,} tokens a minute. "
            f"Try again in {math.ceil(wait)} s.",
            headers=retry_after(wait),
        )
    if rule.concurrent is not None and figures.in_flight >= rule.concurrent:
        return RateLimited(
            f"This {rule.scope} may have {rule.concurrent} requests in flight at a time. "
            "Wait for one to end.",
            headers=retry_after(1),
        )
    return None


def headers(rules: tuple[RateRule, ...], used: list[Figures], now: float) -> dict[str, str]:
    """The X-RateLimit headers of the scope with the fewest requests left, this one counted."""
    quotas = [
        (rule.requests - figures.requests - 1, rule.requests, _wait(figures.oldest_request, now))
        for rule, figures in zip(rules, used, strict=True)
        if rule.requests is not None
    ]
    if not quotas:
        return {}
    left, limit, reset = min(quotas)
    return _trio(limit, left, reset)


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _wait(oldest: float | None, now: float) -> float:
    """Seconds until the oldest entry is a minute old."""
    return min(MINUTE_S, max(0.0, oldest + MINUTE_S - now)) if oldest is not None else MINUTE_S


def _trio(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(max(remaining, 0)),
        "X-RateLimit-Reset": str(math.ceil(reset_s)),
    }


class MemoryRates:
    """Counters in memory, for a deployment with one web process."""

    def __init__(self) -> None:
        self._scopes: dict[tuple[str, int], _Scope] = {}

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        scopes = [await self._scope(rule, now) for rule in rules]
        used = [scope.figures(now) for scope in scopes]
        for rule, figures in zip(rules, used, strict=True):
            if (error := refusal(rule, figures, now)) is not None:
                raise error
        for scope in scopes:
            scope.requests.append(now)
            scope.in_flight[request_id] = lease_until
        return used

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        for rule in rules:
            scope = self._scopes.get((rule.scope, rule.scope_id))
            if scope is not None:
                scope.in_flight.pop(request_id, None)
                scope.add_tokens(tokens, now)

    async def close(self) -> None:
        self._scopes.clear()

    async def _scope(self, rule: RateRule, now: float) -> "_Scope":
        key = rule.scope, rule.scope_id
        if key not in self._scopes:
            recent = await from_ledger(*key, now)
            self._scopes.setdefault(key, _Scope(recent))  # a concurrent request may have created it meanwhile
        return self._scopes[key]


class _Scope:
    def __init__(self, recent: Recent) -> None:
        self.requests = deque(sorted(at for _, at in recent.requests))
        self.tokens = deque(sorted((at, count) for _, at, count in recent.tokens))
        self._token_sum = sum(count for _, count in self.tokens)  # adding them up for each request takes long
        self.in_flight = dict(recent.in_flight)

    def add_tokens(self, count: int, now: float) -> None:
        if count:
            self.tokens.append((now, count))
            self._token_sum += count

    def figures(self, now: float) -> Figures:
        while self.requests and self.requests[0] <= now - MINUTE_S:
            self.requests.popleft()
        while self.tokens and self.tokens[0][0] <= now - MINUTE_S:
            self._token_sum -= self.tokens.popleft()[1]
        self.in_flight = {pk: lease for pk, lease in self.in_flight.items() if lease > now}
        return Figures(
            requests=len(self.requests),
            oldest_request=self.requests[0] if self.requests else None,
            tokens=self._token_sum,
            oldest_tokens=self.tokens[0][0] if self.tokens else None,
            in_flight=len(self.in_flight),
        )


class DatabaseRates:
    """No counters: the ledger counts each request as it is opened."""

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        raise RatesUnavailable

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        pass

    async def close(self) -> None:
        pass


class Arrivals:
    """Counts by the ledger's rows, plus the requests that are about to be written in the same transaction.

    The requests of a group are inserted together at its end, so a query can't see them yet: without this
    count, a whole group could pass a limit that leaves room for one.
    """

    def __init__(self) -> None:
        self._pending: dict[tuple[str, int], int] = {}

    def check(self, rules: tuple[RateRule, ...], moment: datetime) -> None:
        """Raises RateLimited.

        The scopes' windows must be locked, so that no other process opens a request meanwhile.
        """
        now = moment.timestamp()
        for rule in rules:
            figures = figures_of(rule, moment)
            pending = self._pending.get((rule.scope, rule.scope_id), 0)
            figures = msgspec.structs.replace(
                figures, requests=figures.requests + pending, in_flight=figures.in_flight + pending
            )
            if (error := refusal(rule, figures, now)) is not None:
                raise error

    def add(self, payer: Payer) -> None:
        for scope in payer.scopes:
            self._pending[scope] = self._pending.get(scope, 0) + 1


def figures_of(rule: RateRule, moment: datetime) -> Figures:
    """Usage of a scope in the minute before that moment, from the ledger's rows."""
    rows, minute = of_scope(rule.scope, rule.scope_id), moment - timedelta(seconds=MINUTE_S)
    recent = rows.filter(created_at__gt=minute).aggregate(count=Count("pk"), oldest=Min("created_at"))
    used = _settled_since(rows, minute).aggregate(tokens=Sum(TOKENS), oldest=Min("settled_at"))
    in_flight = rows.filter(status=Request.Status.OPEN, lease_until__gt=moment).count()
    return Figures(
        requests=recent["count"],
        oldest_request=recent["oldest"].timestamp() if recent["oldest"] else None,
        tokens=used["tokens"] or 0,
        oldest_tokens=used["oldest"].timestamp() if used["oldest"] else None,
        in_flight=in_flight,
    )


async def from_ledger(scope: str, pk: int, now: float) -> Recent:
    """The last minute of a scope, to fill counters that are missing."""
    return await from_database(_recent, scope, pk, now)


def _recent(scope: str, pk: int, now: float) -> Recent:
    rows, moment = of_scope(scope, pk), datetime.fromtimestamp(now, UTC)
    minute = moment - timedelta(seconds=MINUTE_S)
    used = _settled_since(rows, minute).annotate(tokens=TOKENS)
    in_flight = rows.filter(status=Request.Status.OPEN, lease_until__gt=moment)
    return Recent(
        requests=[
            (request_id, at.timestamp())
            for request_id, at in rows.filter(created_at__gt=minute).values_list("pk", "created_at")
        ],
        tokens=[
            (request_id, at.timestamp(), tokens)
            for request_id, at, tokens in used.values_list("pk", "settled_at", "tokens")
            if at and tokens
        ],
        in_flight=[(pk, lease.timestamp()) for pk, lease in in_flight.values_list("pk", "lease_until")],
    )


def _settled_since(rows: QuerySet[Request], since: datetime) -> QuerySet[Request]:
    """Rows settled since.

    A request lasts minutes at most; the bound on `created_at` lets the index be used.
    """
    return rows.filter(created_at__gt=since - _LONGEST_LIFE, settled_at__gt=since)
