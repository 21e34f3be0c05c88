"""Rates: requests and tokens in the last sixty seconds, and requests in flight, per key and account.

Counted in this process, in Redis for several processes, or, while Redis is away, by the ledger's own rows
inside the transaction that opens a request: slower, never open (spec/ledger.md, Holds and budgets). Counters
that are missing start from the ledger.
"""

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec
from django.db.models import Count, Min, QuerySet, Sum

from accounts.caller import Caller
from billing.ledger.windows import TOKENS, Payer
from billing.models import Request
from core.database import from_database
from core.errors import ApiError

MINUTE_S = 60.0
_LONGEST_LIFE = timedelta(minutes=15)


class RateLimited(ApiError):
    code, status = "rate_limited", 429


class RatesUnavailable(Exception):
    """The counters can't be reached; the ledger has to count."""


class RateRule(msgspec.Struct, frozen=True):
    """The rate limits of one key or account; None: no such limit."""

    scope: str
    scope_id: int
    requests: int | None  # a minute
    tokens: int | None  # a minute
    concurrent: int | None


class Figures(msgspec.Struct, frozen=True):
    """What one scope has used, before this request. Times are seconds since the epoch."""

    requests: int
    oldest_request: float | None
    tokens: int
    oldest_tokens: float | None
    in_flight: int


class Recent(msgspec.Struct, frozen=True):
    """One scope's last minute by the ledger: requests and times, tokens and times, in flight and leases."""

    requests: list[tuple[str, float]]
    tokens: list[tuple[str, float, int]]
    in_flight: list[tuple[str, float]]


class Rates(Protocol):
    """Counters of every scope. `now` and `lease_until` are seconds since the epoch."""

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        """Count the request in under every rule, or raise RateLimited and count nothing.

        Raises RatesUnavailable.
        """
        ...

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        """The request ended, having used that many tokens."""
        ...

    async def close(self) -> None: ...


def rules_of(caller: Caller) -> tuple[RateRule, ...]:
    rules = []
    for scope, pk, limits in (
        ("key", caller.key_id, caller.key_limits),
        ("account", caller.account_id, caller.account_limits),
    ):
        rates = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
        if any(rate is not None for rate in rates):
            rules.append(RateRule(scope, pk, *rates))
    return tuple(rules)


def refusal(rule: RateRule, seen: Figures, now: float) -> RateLimited | None:
    """The error for one more request under this rule, if it forbids it."""
    if rule.requests is not None and seen.requests >= rule.requests:
        wait = _wait(seen.oldest_request, now)
        return RateLimited(
            f"This {rule.scope} may send {rule.requests} requests a minute. "
            f"Try again in {math.ceil(wait)} s.",
            headers=retry_after(wait) | _trio(rule.requests, 0, wait),
        )
    if rule.tokens is not None and seen.tokens >= rule.tokens:
        wait = _wait(seen.oldest_tokens, now)
        return RateLimited(
            f"This {rule.scope} has used {seen.tokens:,} of {rule.tokens:,} tokens a minute. "
            f"Try again in {math.ceil(wait)} s.",
            headers=retry_after(wait),
        )
    if rule.concurrent is not None and seen.in_flight >= rule.concurrent:
        return RateLimited(
            f"This {rule.scope} may have {rule.concurrent} requests in flight at a time. "
            "Wait for one to end.",
            headers=retry_after(1),
        )
    return None


def headers(rules: tuple[RateRule, ...], seen: list[Figures], now: float) -> dict[str, str]:
    """The X-RateLimit trio of the scope with the fewest requests left in its minute, this one counted."""
    told = [
        (rule.requests - figures.requests - 1, rule.requests, _wait(figures.oldest_request, now))
        for rule, figures in zip(rules, seen, strict=True)
        if rule.requests is not None
    ]
    if not told:
        return {}
    left, limit, reset = min(told)
    return _trio(limit, left, reset)


def retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _wait(oldest: float | None, now: float) -> float:
    """Seconds until the oldest leaves the minute."""
    return min(MINUTE_S, max(0.0, oldest + MINUTE_S - now)) if oldest is not None else MINUTE_S


def _trio(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(max(remaining, 0)),
        "X-RateLimit-Reset": str(math.ceil(reset_s)),
    }


class MemoryRates:
    """Counters of one process, for when there is only one."""

    def __init__(self) -> None:
        self._scopes: dict[tuple[str, int], _Scope] = {}

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        scopes = [await self._scope(rule, now) for rule in rules]
        seen = [scope.figures(now) for scope in scopes]
        for rule, figures in zip(rules, seen, strict=True):
            if (error := refusal(rule, figures, now)) is not None:
                raise error
        for scope in scopes:
            scope.requests.append(now)
            scope.in_flight[request_id] = lease_until
        return seen

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        for rule in rules:
            scope = self._scopes.get((rule.scope, rule.scope_id))
            if scope is not None:
                scope.in_flight.pop(request_id, None)
                if tokens:
                    scope.tokens.append((now, tokens))

    async def close(self) -> None:
        self._scopes.clear()

    async def _scope(self, rule: RateRule, now: float) -> "_Scope":
        key = rule.scope, rule.scope_id
        if key not in self._scopes:
            recent = await from_ledger(*key, now)
            self._scopes.setdefault(key, _Scope(recent))  # a neighbour may have asked at the same time
        return self._scopes[key]


class _Scope:
    def __init__(self, recent: Recent) -> None:
        self.requests = deque(sorted(at for _, at in recent.requests))
        self.tokens = deque(sorted((at, count) for _, at, count in recent.tokens))
        self.in_flight = dict(recent.in_flight)

    def figures(self, now: float) -> Figures:
        while self.requests and self.requests[0] <= now - MINUTE_S:
            self.requests.popleft()
        while self.tokens and self.tokens[0][0] <= now - MINUTE_S:
            self.tokens.popleft()
        self.in_flight = {one: lease for one, lease in self.in_flight.items() if lease > now}
        return Figures(
            requests=len(self.requests),
            oldest_request=self.requests[0] if self.requests else None,
            tokens=sum(count for _, count in self.tokens),
            oldest_tokens=self.tokens[0][0] if self.tokens else None,
            in_flight=len(self.in_flight),
        )


class DatabaseRates:
    """No counters: every request is counted by the ledger as it is opened."""

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        raise RatesUnavailable

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        pass

    async def close(self) -> None:
        pass


class Arrivals:
    """Counts by the ledger's rows, and those about to be written in the same transaction."""

    def __init__(self) -> None:
        self._coming: dict[tuple[str, int], int] = {}

    def check(self, rules: tuple[RateRule, ...], moment: datetime) -> None:
        """Raises RateLimited. The scopes' windows must be locked, so that nobody else opens meanwhile."""
        now = moment.timestamp()
        for rule in rules:
            seen = figures_of(rule, moment)
            coming = self._coming.get((rule.scope, rule.scope_id), 0)
            seen = msgspec.structs.replace(
                seen, requests=seen.requests + coming, in_flight=seen.in_flight + coming
            )
            if (error := refusal(rule, seen, now)) is not None:
                raise error

    def add(self, payer: Payer) -> None:
        for scope in payer.scopes:
            self._coming[scope] = self._coming.get(scope, 0) + 1


def figures_of(rule: RateRule, moment: datetime) -> Figures:
    """What the ledger says a scope has used in the minute before that moment."""
    rows, minute = _rows(rule.scope, rule.scope_id), moment - timedelta(seconds=MINUTE_S)
    recent = rows.filter(created_at__gt=minute).aggregate(count=Count("pk"), oldest=Min("created_at"))
    used = _lately_settled(rows, minute).aggregate(tokens=Sum(TOKENS), oldest=Min("settled_at"))
    in_flight = rows.filter(status=Request.Status.OPEN, lease_until__gt=moment).count()
    return Figures(
        requests=recent["count"],
        oldest_request=recent["oldest"].timestamp() if recent["oldest"] else None,
        tokens=used["tokens"] or 0,
        oldest_tokens=used["oldest"].timestamp() if used["oldest"] else None,
        in_flight=in_flight,
    )


async def from_ledger(scope: str, pk: int, now: float) -> Recent:
    """The last minute of a scope, for counters that have lost it."""
    return await from_database(_recent, scope, pk, now)


def _recent(scope: str, pk: int, now: float) -> Recent:
    rows, moment = _rows(scope, pk), datetime.fromtimestamp(now, UTC)
    minute = moment - timedelta(seconds=MINUTE_S)
    used = _lately_settled(rows, minute).annotate(tokens=TOKENS)
    in_flight = rows.filter(status=Request.Status.OPEN, lease_until__gt=moment)
    return Recent(
        requests=[
            (one, at.timestamp())
            for one, at in rows.filter(created_at__gt=minute).values_list("pk", "created_at")
        ],
        tokens=[
            (one, at.timestamp(), tokens)
            for one, at, tokens in used.values_list("pk", "settled_at", "tokens")
            if at and tokens
        ],
        in_flight=[(one, lease.timestamp()) for one, lease in in_flight.values_list("pk", "lease_until")],
    )


def _rows(scope: str, pk: int) -> QuerySet[Request]:
    return Request.objects.filter(**{f"{scope}_id": pk})


def _lately_settled(rows: QuerySet[Request], since: datetime) -> QuerySet[Request]:
    """No request lives longer than a few minutes, so a bound on its creation lets the index serve."""
    return rows.filter(created_at__gt=since - _LONGEST_LIFE, settled_at__gt=since)
