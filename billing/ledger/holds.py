"""Holds: what a request may spend is reserved before it is sent, so no concurrent request can spend it too.

A hold is what the request can cost at most, or what its limits leave when that is less. The answer is then
cut to what the hold pays for, so settled spend never exceeds a cap (docs/ledger.md). Pure rules on balances
whose windows the caller has locked.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from accounts.caller import Caller
from billing.ledger.balances import Balance, Balances, Spans
from billing.ledger.windows import Payer, Span
from billing.models import Window


class Cap(msgspec.Struct, frozen=True):
    """The most one account or key may spend in one period; None: no such limit."""

    scope: str
    scope_id: int
    period: str
    usd: Decimal | None
    tokens: int | None


class HoldRequest(msgspec.Struct, frozen=True):
    """The hold a request asks for, and the least it can run with; USD and tokens."""

    usd: Decimal
    least_usd: Decimal
    tokens: int
    least_tokens: int


class Hold(msgspec.Struct, frozen=True):
    """The amount that was reserved.

    If `usd` or `tokens` is less than requested, the answer must be cut to fit.
    """

    usd: Decimal
    tokens: int


class Exhausted(Exception):
    """A cap leaves less than the least a request needs. Carries the amounts for the error message."""

    def __init__(self, cap: Cap, window: Window | Balance, unit: str, least: Decimal | int) -> None:
        super().__init__(f"{cap.scope} {cap.scope_id} {cap.period}")
        self.cap, self.unit = cap, unit
        self.limit: Decimal | int = (cap.usd if unit == "usd" else cap.tokens) or 0
        self.spent = window.spent_usd if unit == "usd" else window.spent_tokens
        self.held = window.held_usd if unit == "usd" else window.held_tokens
        self.ends_at: datetime = window.ends_at
        self.least = least

    @property
    def left(self) -> Decimal | int:
        return max(self.limit - self.spent - self.held, type(self.spent)(0))

    @property
    def may_pass(self) -> bool:
        """True: the request would fit once other requests release their holds."""
        return self.held > 0 and self.spent + self.least <= self.limit


def caps_of(caller: Caller) -> tuple[Cap, ...]:
    """The spending limits of a caller's key and account, day before month."""
    caps = []
    for scope, pk, limits in (
        ("key", caller.lineage_id, caller.key_limits),
        ("account", caller.account_id, caller.account_limits),
    ):
        for period, usd, tokens in (
            (Window.Period.DAY, limits.daily_usd, limits.daily_tokens),
            (Window.Period.MONTH, limits.monthly_usd, limits.monthly_tokens),
        ):
            if usd is not None or tokens is not None:
                caps.append(Cap(scope, pk, period, usd, tokens))
    return tuple(caps)


def take(balances: Balances, payer: Payer, spans: Spans, caps: Iterable[Cap], requested: HoldRequest) -> Hold:
    """Reserve as much of the requested hold as every cap leaves. Raises Exhausted, and then reserves nothing.

    `spans`: the request's day and month. The windows under the caps must be locked: between reading what is
    left and adding the hold, no other request may do the same. All caps are checked before the first balance
    changes, so a refusal needs no undoing.
    """
    usd, tokens = requested.usd, requested.tokens
    for cap in caps:
        balance = balances.of(cap.scope, cap.scope_id, span_of(cap, spans))
        if cap.usd is not None:
            usd_left = cap.usd - balance.spent_usd - balance.held_usd
            if usd_left < requested.least_usd or usd_left <= 0:
                raise Exhausted(cap, balance, "usd", requested.least_usd)
            usd = min(usd, usd_left)
        if cap.tokens is not None:
            tokens_left = cap.tokens - balance.spent_tokens - balance.held_tokens
            if tokens_left < requested.least_tokens:
                raise Exhausted(cap, balance, "tokens", requested.least_tokens)
            tokens = min(tokens, tokens_left)
    balances.hold(payer, spans, usd, tokens)
    return Hold(usd, tokens)


def span_of(cap: Cap, spans: Spans) -> Span:
    """The span that a cap limits, of a request's day and month."""
    day, month = spans
    return day if cap.period == Window.Period.DAY else month
