"""Admission: may this caller send one more request now, and how much may it cost.

Limits are per key and per account. Counters live in this process and start from the ledger's rows, which are
the truth; a day is a UTC date, a minute the last sixty seconds (spec/ledger.md, Holds and budgets).
"""

import math
from collections import deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.db.models import F, Sum

from accounts.caller import Caller, Limits
from accounts.errors import ApiError
from billing.models import Request

_MINUTE_S = 60.0


class RateLimited(ApiError):
    code, status = "rate_limited", 429


class QuotaExceeded(ApiError):
    code, status = "quota_exceeded", 429


class DailyLimitExceeded(ApiError):
    code, status = "daily_limit_exceeded", 429


class DailyCostLimitExceeded(ApiError):
    code, status = "daily_cost_limit_exceeded", 429


class Admission:
    """A request that was let in: what it may spend, and the counters to give back when it ends."""

    def __init__(self, scopes: list["_Counters"], now: datetime) -> None:
        self._scopes = scopes
        self._held = Decimal(0)
        self.headers = _rate_headers(scopes, now)
        self.budget_left_usd = min(
            (left for scope in scopes if (left := scope.usd_left()) is not None), default=None
        )
        for scope in scopes:
            scope.enter(now)

    def hold(self, usd: Decimal) -> None:
        """Set aside what the request is expected to cost, so that its neighbours do not count on it."""
        self._held = usd
        for scope in self._scopes:
            scope.held_usd += usd

    def release(self, usd: Decimal, tokens: int) -> None:
        """The request ended having cost that much, with that many tokens in all."""
        for scope in self._scopes:
            scope.leave(self._held, usd, tokens)
        self._held = Decimal(0)


class Limiter:
    """Counters of every key and account this process has seen."""

    def __init__(self) -> None:
        self._counters: dict[tuple[str, int], _Counters] = {}

    async def admit(self, caller: Caller, now: datetime) -> Admission:
        """Let the request in, or raise one of the 429 errors above with `Retry-After`."""
        scopes = [
            await self._counters_of("key", caller.key_id, caller.key_limits, now),
            await self._counters_of("account", caller.account_id, caller.account_limits, now),
        ]
        for scope in scopes:
            scope.check(now)
        return Admission(scopes, now)

    async def _counters_of(self, kind: str, pk: int, limits: Limits, now: datetime) -> "_Counters":
        counters = self._counters.setdefault((kind, pk), _Counters(kind))
        counters.limits = limits
        if counters.day != now.date() and _has_budget(limits):
            spent = await _spent(kind, pk, now)
            if counters.day != now.date():  # a neighbour may have asked at the same time
                counters.start_day(now, *spent)
        return counters


class _Counters:
    """What one key or account has used: the last minute, today and this month, and what is in flight."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.limits = Limits()
        self.day = datetime.min.date()  # until the first budget is asked for, nothing is added up
        self.day_usd = self.month_usd = Decimal(0)
        self.day_tokens = self.month_tokens = 0
        self.recent: deque[float] = deque()
        self.recent_tokens: deque[tuple[float, int]] = deque()
        self.in_flight = 0
        self.held_usd = Decimal(0)

    def start_day(
        self, now: datetime, day_usd: Decimal, day_tokens: int, month_usd: Decimal, month_tokens: int
    ) -> None:
        self.day = now.date()
        self.day_usd, self.day_tokens = day_usd, day_tokens
        self.month_usd, self.month_tokens = month_usd, month_tokens

    def check(self, now: datetime) -> None:
        self._check_rates(now.timestamp())
        limits = self.limits
        midnight = _next_midnight(now)
        if limits.daily_tokens is not None and self.day_tokens >= limits.daily_tokens:
            raise DailyLimitExceeded(
                f"This {self.kind} has used {self.day_tokens:,} of {limits.daily_tokens:,} tokens today. "
                f"The day ends at {midnight:%Y-%m-%d %H:%M} UTC.",
                headers=_retry_after((midnight - now).total_seconds()),
            )
        if limits.daily_usd is not None and self.day_usd + self.held_usd >= limits.daily_usd:
            raise DailyCostLimitExceeded(
                f"This {self.kind} has spent {self.day_usd:f} USD and holds {self.held_usd:f} USD of "
                f"{limits.daily_usd:f} USD today. The day ends at {midnight:%Y-%m-%d %H:%M} UTC.",
                headers=_retry_after((midnight - now).total_seconds()),
            )
        self._check_month(now)

    def usd_left(self) -> Decimal | None:
        lefts = []
        if self.limits.daily_usd is not None:
            lefts.append(self.limits.daily_usd - self.day_usd - self.held_usd)
        if self.limits.monthly_usd is not None:
            lefts.append(self.limits.monthly_usd - self.month_usd - self.held_usd)
        return min(lefts, default=None)

    def enter(self, now: datetime) -> None:
        self.in_flight += 1
        if self.limits.requests_per_minute is not None:
            self.recent.append(now.timestamp())

    def leave(self, held: Decimal, usd: Decimal, tokens: int) -> None:
        self.in_flight -= 1
        self.held_usd -= held
        self.day_usd += usd
        self.month_usd += usd
        self.day_tokens += tokens
        self.month_tokens += tokens
        if self.limits.tokens_per_minute is not None:
            self.recent_tokens.append((datetime.now(UTC).timestamp(), tokens))

    def _check_rates(self, now: float) -> None:
        while self.recent and self.recent[0] <= now - _MINUTE_S:
            self.recent.popleft()
        while self.recent_tokens and self.recent_tokens[0][0] <= now - _MINUTE_S:
            self.recent_tokens.popleft()
        limits = self.limits
        if limits.requests_per_minute is not None and len(self.recent) >= limits.requests_per_minute:
            wait = self.recent[0] + _MINUTE_S - now if self.recent else _MINUTE_S
            raise RateLimited(
                f"This {self.kind} may send {limits.requests_per_minute} requests a minute. "
                f"Try again in {math.ceil(wait)} s.",
                headers=_retry_after(wait) | _trio(limits.requests_per_minute, 0, wait),
            )
        if limits.tokens_per_minute is not None:
            used = sum(tokens for _, tokens in self.recent_tokens)
            if used >= limits.tokens_per_minute:
                wait = self.recent_tokens[0][0] + _MINUTE_S - now if self.recent_tokens else _MINUTE_S
                raise RateLimited(
                    f"This {self.kind} has used {used:,} of {limits.tokens_per_minute:,} tokens a minute. "
                    f"Try again in {math.ceil(wait)} s.",
                    headers=_retry_after(wait),
                )
        if limits.concurrent_requests is not None and self.in_flight >= limits.concurrent_requests:
            raise RateLimited(
                f"This {self.kind} may have {limits.concurrent_requests} requests in flight at a time. "
                "Wait for one to end.",
                headers=_retry_after(1),
            )

    def _check_month(self, now: datetime) -> None:
        limits = self.limits
        next_month = (now.replace(day=1) + timedelta(days=32)).replace(
            day=1, hour=0, minute=0, second=0, microsecond=0
        )
        spent_all_usd = (
            limits.monthly_usd is not None and self.month_usd + self.held_usd >= limits.monthly_usd
        )
        if spent_all_usd or (
            limits.monthly_tokens is not None and self.month_tokens >= limits.monthly_tokens
        ):
            limit = f"{limits.monthly_usd:f} USD" if spent_all_usd else f"{limits.monthly_tokens:,} tokens"
            raise QuotaExceeded(
                f"This {self.kind} has used up its {limit} for this month, which ends at "
                f"{next_month:%Y-%m-%d %H:%M} UTC.",
                headers=_retry_after((next_month - now).total_seconds()),
            )


def _has_budget(limits: Limits) -> bool:
    budgets = (limits.daily_usd, limits.daily_tokens, limits.monthly_usd, limits.monthly_tokens)
    return any(budget is not None for budget in budgets)


async def _spent(kind: str, pk: int, now: datetime) -> tuple[Decimal, int, Decimal, int]:
    """USD and tokens of today and of this month (UTC), from the ledger."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    sums = sync_to_async(_sums, thread_sensitive=False)
    return (*await sums(kind, pk, today), *await sums(kind, pk, today.replace(day=1)))


def _sums(kind: str, pk: int, since: datetime) -> tuple[Decimal, int]:
    close_old_connections()  # the one this thread kept may be broken since
    tokens = F("uncached_input_tokens") + F("cache_read_tokens") + F("cache_write_tokens")
    tokens += F("cache_write_1h_tokens") + F("output_tokens")
    sums = Request.objects.filter(**{f"{kind}_id": pk}, created_at__gte=since).aggregate(
        usd=Sum("cost_usd"), tokens=Sum(tokens)
    )
    return sums["usd"] or Decimal(0), sums["tokens"] or 0


def _rate_headers(scopes: list[_Counters], now: datetime) -> dict[str, str]:
    """The trio for the scope with the fewest requests left in its minute, this request counted."""
    limited = [scope for scope in scopes if scope.limits.requests_per_minute is not None]
    if not limited:
        return {}
    tightest = min(limited, key=lambda scope: (scope.limits.requests_per_minute or 0) - len(scope.recent))
    limit = tightest.limits.requests_per_minute or 0
    oldest = tightest.recent[0] if tightest.recent else now.timestamp()
    return _trio(limit, limit - len(tightest.recent) - 1, oldest + _MINUTE_S - now.timestamp())


def _trio(limit: int, remaining: int, reset_s: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(max(remaining, 0)),
        "X-RateLimit-Reset": str(math.ceil(reset_s)),
    }


def _retry_after(seconds: float) -> dict[str, str]:
    return {"Retry-After": str(max(1, math.ceil(seconds)))}


def _next_midnight(now: datetime) -> datetime:
    return (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
