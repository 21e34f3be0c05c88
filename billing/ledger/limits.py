"""Admission: whether a caller may send one more request now, and how much it may cost.

Rates are counted by rate_limits.py. Money is decided when the request is opened, by the ledger's locked
windows. The amounts read here are up to a second old: they refuse a spent budget early, and tell routing what
is left, so that it prefers candidates that fit over refusing the caller.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice

from accounts.caller import Caller
from billing.ledger.holds import Cap, Exhausted, caps_of
from billing.ledger.rate_limits import (
    RateLimited,
    RateRule,
    Rates,
    RatesUnavailable,
    figures_of,
    headers,
    refusal,
    retry_after,
    rules_of,
)
from billing.ledger.windows import Payer, of_scopes, spans, totals
from billing.models import Window
from core.database import from_database
from core.errors import ApiError

__all__ = ["Admission", "Limiter", "RateLimited", "over_limit"]

_WINDOWS_S = 1.0  # how long windows are used after they were read
_WINDOWS_CACHED = 10_000
_MOST_PAYERS = 200  # whose windows one query reads
_HELD_FOR_S = 5.0  # Retry-After when the needed amount is only held by requests under way
_Windows = Mapping[tuple[str, int, str], Window]
_NEVER_READ: tuple[float, _Windows] = (0.0, {})


class QuotaExceeded(ApiError):
    code, status = "quota_exceeded", 429


class DailyLimitExceeded(ApiError):
    code, status = "daily_limit_exceeded", 429


class DailyCostLimitExceeded(ApiError):
    code, status = "daily_cost_limit_exceeded", 429


def over_limit(spent: Exhausted, now: datetime) -> ApiError:
    """The 429 for a caller: which limit, what is spent, held and left of it, and when it resets."""
    cap, least = spent.cap, spent.least
    period = "today" if cap.period == Window.Period.DAY else "this month"
    wait_s = _HELD_FOR_S if spent.may_pass else (spent.ends_at - now).total_seconds()
    message = f"This {cap.scope} has spent {_amount(spent.spent)} of its {_amount(spent.limit)} {period}"
    message += f" and holds {_amount(spent.held)} for requests under way" if spent.held else ""
    message += f"; this request needs at least {_amount(least)}. " if least else ". "
    message += f"The limit resets at {spent.ends_at:%Y-%m-%d %H:%M} UTC."
    error: type[ApiError] = QuotaExceeded
    if cap.period == Window.Period.DAY:
        error = DailyCostLimitExceeded if spent.unit == "usd" else DailyLimitExceeded
    details = {
        "scope": cap.scope,
        "period": cap.period,
        "unit": spent.unit,
        "limit": str(spent.limit),
        "spent": str(spent.spent),
        "held": str(spent.held),
        "left": str(spent.left),
        "resets_at": f"{spent.ends_at:%Y-%m-%dT%H:%M:%SZ}",
    }
    return error(message, details=details, headers=retry_after(wait_s))


def _amount(value: Decimal | int) -> str:
    return f"{value:,} tokens" if isinstance(value, int) else f"{value.normalize():f} USD"


class Admission:
    """An admitted request: its rate headers, what its limits leave, and its entry in the rate counters."""

    def __init__(
        self,
        request_id: str,
        caller: Caller,
        rates: Rates,
        rules: tuple[RateRule, ...],
        caps: tuple[Cap, ...],
        left: Exhausted | None,
    ) -> None:
        self.headers: dict[str, str] = {}
        self.payer = Payer(caller.account_id, caller.lineage_id, caller.time_zone)
        self.caps = caps
        self.tightest = left
        self.uncounted: tuple[RateRule, ...] = ()  # rules the ledger has to check
        self._request_id, self._rates, self._rules = request_id, rates, rules

    @property
    def budget_left_usd(self) -> Decimal | None:
        """USD left under the tightest cap; None: there is no cap."""
        return None if self.tightest is None else Decimal(self.tightest.left)

    async def leave(self, tokens: int, now: datetime) -> None:
        """Count the request out, with its total of tokens. The ledger releases its hold."""
        if self._rules:
            await self._rates.leave(self._request_id, self._rules, tokens, now.timestamp())


class Limiter:
    """Admits the requests of one process."""

    def __init__(self, rates: Rates, longest_request: timedelta) -> None:
        self._rates, self._longest = rates, longest_request
        # Plain dicts, emptied when they are full: their entries are read again within seconds anyway, and
        # keeping an order of use takes longer than the rest of a look-up.
        self._cached: dict[Payer, tuple[float, _Windows]] = {}
        # Readings that wait or are under way, with the moment they are for.
        self._reads: dict[Payer, tuple[datetime, asyncio.Future[_Windows]]] = {}
        self._reader: asyncio.Task[None] | None = None
        self._limits: dict[int, tuple[Caller, tuple[RateRule, ...], tuple[Cap, ...]]] = {}

    async def admit(self, caller: Caller, request_id: str, now: datetime) -> Admission:
        """Admit the request, or raise a 429 with `Retry-After`."""
        rules, caps = self._limits_of(caller)
        left = await self.left(caller, now)
        admission = Admission(request_id, caller, self._rates, rules, caps, left)
        if rules:
            moment = now.timestamp()
            lease_until = moment + self._longest.total_seconds()
            try:
                figures = await self._rates.enter(request_id, rules, moment, lease_until)
                admission.headers = headers(rules, figures, moment)
            except RatesUnavailable:
                admission.uncounted = rules
        return admission

    async def check(self, caller: Caller, request_id: str, now: datetime) -> Admission:
        """As `admit`, for calls that open no request: they count as requests a minute, not in flight."""
        admission = await self.admit(caller, request_id, now)
        if admission.uncounted:
            await from_database(_check, admission.uncounted, now)
        await admission.leave(0, now)
        return admission

    async def close(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
        await self._rates.close()

    async def left(self, caller: Caller, now: datetime) -> Exhausted | None:
        """The tightest USD cap with its amounts.

        Raises the 429 of a cap that is spent, even without holds.
        """
        _, caps = self._limits_of(caller)
        if not caps:
            return None
        windows = await self._windows(caller, now)
        tightest: Exhausted | None = None
        for cap in caps:
            window = windows.get((cap.scope, cap.scope_id, cap.period))
            if window is None or not window.starts_at <= now < window.ends_at:
                window = _unspent(cap, now, caller.time_zone)
            if cap.tokens is not None and window.spent_tokens >= cap.tokens:
                raise over_limit(Exhausted(cap, window, "tokens", 0), now)
            if cap.usd is None:
                continue
            amounts = Exhausted(cap, window, "usd", Decimal(0))
            if window.spent_usd >= cap.usd:
                raise over_limit(amounts, now)
            if tightest is None or amounts.left < tightest.left:
                tightest = amounts
        return tightest

    def _limits_of(self, caller: Caller) -> tuple[tuple[RateRule, ...], tuple[Cap, ...]]:
        """The caller's rates and caps, which are the same as long as the key is remembered."""
        known = self._limits.get(caller.key_id)
        if known is None or known[0] is not caller:
            if len(self._limits) >= _WINDOWS_CACHED:
                self._limits.clear()
            known = self._limits[caller.key_id] = caller, rules_of(caller), caps_of(caller)
        return known[1], known[2]

    async def _windows(self, caller: Caller, now: datetime) -> _Windows:
        payer = Payer(caller.account_id, caller.lineage_id, caller.time_zone)
        read_at, windows = self._cached.get(payer, _NEVER_READ)
        if time.monotonic() <= read_at + _WINDOWS_S:
            return windows
        if payer not in self._reads:
            self._reads[payer] = now, asyncio.get_running_loop().create_future()
            if self._reader is None:
                self._reader = asyncio.create_task(self._read_all())
        _, read = self._reads[payer]
        return await asyncio.shield(read)  # others wait for it, too

    async def _read_all(self) -> None:
        """Read the windows of all payers that wait, many in one query, until none waits."""
        try:
            while self._reads:
                await self._read(list(islice(self._reads, _MOST_PAYERS)))
        finally:
            self._reader = None
            for _, read in self._reads.values():
                read.cancel()
            self._reads.clear()

    async def _read(self, payers: list[Payer]) -> None:
        began = time.monotonic()
        moments = {payer: self._reads[payer][0] for payer in payers}
        try:
            windows = await from_database(_current_windows, moments)
        except Exception as error:
            for payer in payers:
                _, read = self._reads.pop(payer)
                if not read.cancelled():
                    read.set_exception(error)
                    read.exception()  # every caller may have left: asyncio is not to log it
            return
        if len(self._cached) + len(payers) > _WINDOWS_CACHED:
            self._cached.clear()
        for payer in payers:
            self._cached[payer] = began, windows[payer]
            _, read = self._reads.pop(payer)
            if not read.cancelled():
                read.set_result(windows[payer])


def _current_windows(moments: Mapping[Payer, datetime]) -> dict[Payer, _Windows]:
    """The windows of each payer that contain its moment, by scope, its id, and period."""
    windows = Window.objects.filter(
        of_scopes({scope for payer in moments for scope in payer.scopes}),
        starts_at__lte=max(moments.values()),
        ends_at__gt=min(moments.values()),
        time_zone__in={payer.time_zone for payer in moments},
    )
    by_scope: dict[tuple[str, int], list[Window]] = {}
    for window in totals(windows):
        by_scope.setdefault((window.scope, window.scope_id), []).append(window)
    return {
        payer: {
            (window.scope, window.scope_id, window.period): window
            for scope in payer.scopes
            for window in by_scope.get(scope, ())
            if window.time_zone == payer.time_zone and window.starts_at <= now < window.ends_at
        }
        for payer, now in moments.items()
    }


def _unspent(cap: Cap, now: datetime, time_zone: str) -> Window:
    """The window of a period without requests so far."""
    span = next(span for span in spans(now, time_zone) if span.period == cap.period)
    return Window(
        scope=cap.scope,
        scope_id=cap.scope_id,
        period=cap.period,
        starts_at=span.starts_at,
        ends_at=span.ends_at,
        time_zone=time_zone,
    )


def _check(rules: tuple[RateRule, ...], now: datetime) -> None:
    for rule in rules:
        if (error := refusal(rule, figures_of(rule, now), now.timestamp())) is not None:
            raise error
