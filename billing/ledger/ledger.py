"""The ledger: opens a request with its hold, settles it once with its attempts; only it writes these rows.

Every write goes through the group writer, so "opened" and "settled" mean committed. The windows change in the
same transaction (docs/ledger.md).
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec

from billing.ledger import rate_limits, windows
from billing.ledger.holds import Cap, Exhausted, Hold, HoldRequest, take
from billing.ledger.rate_limits import RateRule
from billing.ledger.windows import Change, LockedWindows, Payer
from billing.ledger.writer import GroupWriter, Write
from billing.models import Attempt, Request
from billing.prices.prices import UnitPrices
from billing.usage import Usage
from billing.usage_columns import usage_fields
from core.database import database_unavailable

ZERO = Decimal(0)
_IN_COMMIT_S = 2.0  # longer than a commit takes while the database works


class OpenTerms(msgspec.Struct, frozen=True):
    """The conditions for opening a request: its payer, its caps, and the hold it asks for.

    `rates`: rules to check against the ledger's own rows, because the counters could not be reached.
    """

    payer: Payer
    caps: tuple[Cap, ...] = ()
    hold_request: HoldRequest = HoldRequest(ZERO, ZERO, 0, 0)
    rates: tuple[RateRule, ...] = ()


class Settlement(msgspec.Struct, frozen=True):
    """How a request ended. USD amounts are exact to 1e-9; `cost_usd` None means unpriced.

    `held_usd`: what an unpriced request continues to hold until it has a price.
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
        # By account. An entry is a few hundred bytes, and only accounts that ever waited have one.
        self._turns: dict[int, asyncio.Lock] = {}
        self._freed: dict[int, asyncio.Event] = {}

    async def open(self, row: Request, terms: OpenTerms) -> Hold:
        """Commit the row, with its hold, before anything is sent upstream.

        Raises Exhausted or RateLimited, and then writes nothing, and ServiceUnavailable. After a cancellation
        or ServiceUnavailable the row may or may not have been written: call `abandon`.
        """
        write = self._writer.write(_Open(row, terms))
        try:
            hold: Hold = await asyncio.wait_for(write, self._writer.patience_s + _IN_COMMIT_S)
        except TimeoutError:  # the database keeps the connection open but does not answer
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
        """The account's turn to wait for held money, in order of arrival; False: not within `wait_s`.

        Only the request whose turn it is retries, so many waiting requests cost no more queries than one.
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
        """Wait until this process settles a request of the account, which may free money, or for `wait_s`."""
        event = self._freed.setdefault(account_id, asyncio.Event())
        event.clear()
        with suppress(TimeoutError):
            await asyncio.wait_for(event.wait(), wait_s)

    def abandon(self, row: Request, payer: Payer, settlement: Settlement) -> None:
        """Settle a row that may or may not have been opened, without waiting."""
        self.settle(row, payer, settlement).add_done_callback(_unread)

    def _wake(self, account_id: int) -> None:
        if (event := self._freed.get(account_id)) is not None:
            event.set()


def _unread(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()  # already logged by the writer; reading it keeps asyncio from logging it again


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
    """Apply a group inside the writer's transaction: openings first, then settlements.

    All windows are locked before any request row is written, the lock order of the whole ledger. Holds of the
    same group see each other, because they change the same locked windows in memory, which are saved once at
    the end. `again`: some openings may have been committed by a try whose acknowledgement was lost; these
    return the hold they have. Settlements need no such check, since only an open row is updated.
    """
    opens = [write for write in writes if isinstance(write, _Open)]
    settles = [write for write in writes if isinstance(write, _Settle)]
    locked = windows.lock(
        [(write.payer, write.row.created_at) for write in settles],
        new=[(write.terms.payer, write.row.created_at) for write in opens],
    )
    results: dict[Write, Any] = {}
    known = _already_open(opens) if again else {}
    opened = []
    arrivals = rate_limits.Arrivals()
    for write in opens:
        if write.row.pk in known:
            results[write] = known[write.row.pk]
            continue
        hold = results[write] = _hold(write, locked, arrivals)
        if isinstance(hold, Hold):
            write.row.held_usd, write.row.held_tokens = hold.usd, hold.tokens
            opened.append(write.row)
    Request.objects.bulk_create(opened)
    settled = [write for write in settles if _settle(write, locked)]
    Attempt.objects.bulk_create([attempt for write in settled for attempt in write.attempts])
    locked.save()
    return [results.get(write) for write in writes]


def _already_open(opens: Sequence[_Open]) -> dict[str, Hold]:
    """The holds of retried openings that an earlier try committed, by request id."""
    rows = Request.objects.filter(pk__in=[write.row.pk for write in opens])
    return {pk: Hold(usd, tokens) for pk, usd, tokens in rows.values_list("pk", "held_usd", "held_tokens")}


def _hold(write: _Open, locked: LockedWindows, arrivals: rate_limits.Arrivals) -> Hold | Exception:
    terms, row = write.terms, write.row
    try:
        arrivals.check(terms.rates, row.created_at)
        hold = take(locked, terms.payer, row.created_at, terms.caps, terms.hold_request)
    except (Exhausted, rate_limits.RateLimited) as refusal:
        return refusal
    arrivals.add(terms.payer)
    return hold


def _settle(write: _Settle, locked: LockedWindows) -> bool:
    """Settle the row and replace its hold by its cost in its windows. False: it is not open any more.

    The condition on the status makes settlement idempotent: a retry after a lost commit, or the sweeper at
    the same moment, updates no row and so changes no window either.
    """
    settlement = write.settlement
    open_row = Request.objects.filter(pk=settlement.request_id, status=Request.Status.OPEN)
    if not open_row.update(**_settled_fields(settlement)):
        return False
    locked.apply(
        Change(
            write.payer,
            write.row.created_at,
            spent_usd=settlement.cost_usd or ZERO,
            held_usd=settlement.held_usd - write.row.held_usd,
            spent_tokens=settlement.usage.total_tokens,
            held_tokens=-write.row.held_tokens,
        )
    )
    return True


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
