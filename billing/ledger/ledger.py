"""The ledger: open a request with what it holds, settle it once with its attempts; the only door to its rows.

Every write goes through the group writer, so "opened" and "settled" mean committed; the windows of money
change in the same transaction (spec/ledger.md, Two tables; Holds and budgets).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from billing.ledger import rates, windows
from billing.ledger.holds import Cap, Exhausted, Hold, HoldRequest, take
from billing.ledger.rates import RateRule
from billing.ledger.windows import Change, LockedWindows, Payer
from billing.ledger.writer import GroupWriter, Write
from billing.models import Attempt, Request
from billing.prices.prices import UnitPrices
from billing.usage import Usage
from core.database import database_unavailable

ZERO = Decimal(0)
_IN_COMMIT_S = 2.0  # longer than any commit of a database that is well


class OpenTerms(msgspec.Struct, frozen=True):
    """On what a request may be opened: its payer, the caps on it, what it wishes to hold.

    `rates` are checked against the ledger itself, for when no counter is at hand.
    """

    payer: Payer
    caps: tuple[Cap, ...] = ()
    hold_request: HoldRequest = HoldRequest(ZERO, ZERO, 0, 0)
    rates: tuple[RateRule, ...] = ()


class Settlement(msgspec.Struct, frozen=True):
    """How a request ended. USD amounts are exact to 1e-9; `cost_usd` None means unpriced.

    `held_usd`: what an unpriced request goes on holding until it is priced.
    """

    request_id: str
    status: Request.Status
    settled_at: datetime
    latency_ms: int
    usage: Usage = Usage()
    cost_usd: Decimal | None = ZERO
    wasted_usd: Decimal = ZERO
    held_usd: Decimal = ZERO
    baseline_usd: Decimal | None = None
    baseline_low_usd: Decimal | None = None
    baseline_high_usd: Decimal | None = None
    baseline_version: int = Request.BASELINE_FROM_FORECAST
    unit_prices: UnitPrices | None = None
    price_version: str = ""
    served_model: str = ""
    served_effort: str = ""
    provider: str = ""
    upstream_model: str = ""
    other_model_served: bool = False
    fallback_used: bool = False
    rescued: bool = False
    ttft_ms: int | None = None
    finish_reason: str = ""
    fidelity: dict[str, Any] | None = None
    output_valid: bool | None = None
    error_code: str = ""
    error_message: str = ""


class Ledger:
    """Opens and settles through one process's group writer."""

    def __init__(self, writer: GroupWriter) -> None:
        self._writer = writer
        # By account; an entry is a few hundred bytes, and only accounts that ever waited have one.
        self._turns: dict[int, asyncio.Lock] = {}
        self._freed: dict[int, asyncio.Event] = {}

    async def open(self, row: Request, terms: OpenTerms) -> Hold:
        """Commit the row, with its hold, before anything is sent upstream.

        Raises Exhausted or RateLimited (nothing is written then), and ServiceUnavailable. A row whose
        opening was cancelled or refused as unavailable may have been written all the same: `abandon` it.
        """
        opening = self._writer.write(_Open(row, terms))
        try:
            hold: Hold = await asyncio.wait_for(opening, self._writer.patience_s + _IN_COMMIT_S)
        except TimeoutError:  # neither refused nor written: the database keeps the line open and says nothing
            raise database_unavailable() from None
        row.held_usd, row.held_tokens = hold.usd, hold.tokens
        return hold

    def settle(
        self, row: Request, payer: Payer, settlement: Settlement, attempts: Sequence[Attempt] = ()
    ) -> asyncio.Future[None]:
        """Commit how the request ended, with its attempts. A second settlement changes nothing."""
        settled = self._writer.write(_Settle(row, payer, settlement, tuple(attempts)))
        settled.add_done_callback(lambda _: self._wake(payer.account_id))
        return settled

    @asynccontextmanager
    async def turn(self, account_id: int, wait_s: float) -> AsyncIterator[bool]:
        """The account's turn to wait for money, first come first; False: not within `wait_s`.

        Only who has the turn looks again and again, so that many who wait cost no more than one.
        """
        turn = self._turns.setdefault(account_id, asyncio.Lock())
        try:
            await asyncio.wait_for(turn.acquire(), wait_s)
        except TimeoutError:
            yield False
            return
        try:
            yield True
        finally:
            turn.release()

    async def freed(self, account_id: int, wait_s: float) -> None:
        """Wait until a request of the account ends in this process and frees its hold, or so long."""
        event = self._freed.setdefault(account_id, asyncio.Event())
        event.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), wait_s)

    def abandon(self, row: Request, payer: Payer, settlement: Settlement) -> None:
        """Settle a row that may have been opened or not; nobody waits for it."""
        self.settle(row, payer, settlement).add_done_callback(_unread)

    def _wake(self, account_id: int) -> None:
        if (event := self._freed.get(account_id)) is not None:
            event.set()


def _unread(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # told in the log by the writer; asking for it keeps asyncio from telling it again


class _Open(Write):
    must_be_kept = False

    def __init__(self, row: Request, terms: OpenTerms) -> None:
        self.row, self.terms = row, terms


class _Settle(Write):
    def __init__(
        self, row: Request, payer: Payer, settlement: Settlement, attempts: tuple[Attempt, ...]
    ) -> None:
        self.row, self.payer, self.settlement, self.attempts = row, payer, settlement, attempts


def apply(writes: Sequence[Write], again: bool) -> list[Any]:
    """The group writer's work: openings first, then settlements, all inside its transaction."""
    opens = [write for write in writes if isinstance(write, _Open)]
    settles = [write for write in writes if isinstance(write, _Settle)]
    locked = windows.lock(
        [(one.payer, one.row.created_at) for one in settles],
        new=[(one.terms.payer, one.row.created_at) for one in opens],
    )
    results: dict[Write, Any] = {}
    known = _already_open(opens) if again else {}
    opened = []
    arrivals = rates.Arrivals()
    for one in opens:
        if one.row.pk in known:
            results[one] = known[one.row.pk]
            continue
        results[one] = _hold(one, locked, arrivals)
        if isinstance(results[one], Hold):
            one.row.held_usd, one.row.held_tokens = results[one].usd, results[one].tokens
            opened.append(one.row)
    Request.objects.bulk_create(opened)
    ended = [one for one in settles if _settled(one, locked)]
    Attempt.objects.bulk_create([attempt for one in ended for attempt in one.attempts])
    locked.save()
    return [results.get(write) for write in writes]


def _already_open(opens: Sequence[_Open]) -> dict[str, Hold]:
    """Of openings that are tried again, those that were committed the first time."""
    rows = Request.objects.filter(pk__in=[one.row.pk for one in opens])
    return {pk: Hold(usd, tokens) for pk, usd, tokens in rows.values_list("pk", "held_usd", "held_tokens")}


def _hold(one: _Open, locked: LockedWindows, arrivals: rates.Arrivals) -> Hold | Exception:
    terms, row = one.terms, one.row
    try:
        arrivals.check(terms.rates, row.created_at)
        hold = take(locked, terms.payer, row.created_at, terms.caps, terms.hold_request)
    except (Exhausted, rates.RateLimited) as refusal:
        return refusal
    arrivals.add(terms.payer)
    return hold


def _settled(one: _Settle, locked: LockedWindows) -> bool:
    """Settle the row if it is open still; its windows get its cost for its hold."""
    end = one.settlement
    open_row = Request.objects.filter(pk=end.request_id, status=Request.Status.OPEN)
    if not open_row.update(**_settled_fields(end)):
        return False
    locked.apply(
        Change(
            one.payer,
            one.row.created_at,
            spent_usd=end.cost_usd or ZERO,
            held_usd=end.held_usd - one.row.held_usd,
            spent_tokens=end.usage.total_tokens,
            held_tokens=-one.row.held_tokens,
        )
    )
    return True


def usage_fields(usage: Usage) -> dict[str, int]:
    """The token columns that Request and Attempt share."""
    return {
        "uncached_input_tokens": usage.uncached_input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "cache_write_1h_tokens": usage.cache_write_1h_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _settled_fields(settlement: Settlement) -> dict[str, Any]:
    fields = {name: getattr(settlement, name) for name in settlement.__struct_fields__}
    usage = fields.pop("usage")
    del fields["request_id"]
    return fields | {
        **usage_fields(usage),
        "usage_estimated": usage.estimated,
        "unpriced": settlement.cost_usd is None,
        "held_tokens": 0,
        "unit_prices": msgspec.to_builtins(settlement.unit_prices),
        "error_message": settlement.error_message[:500],
    }
