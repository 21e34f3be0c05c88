"""The way in: let the caller in, decide within what the limits leave, and open the ledger row with its hold.

The ledger has the last word on money: when less is left than was thought, the decision is made again with
that, so that a cheaper model answers before anyone is refused; when only requests under way hold what is
missing, their end is awaited for a moment.
"""

import asyncio
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from decimal import Decimal

import msgspec
from django.conf import settings

from accounts.caller import Caller
from billing.ledger.holds import Exhausted
from billing.ledger.ledger import OpenTerms
from billing.ledger.limits import Admission, over_limit
from billing.models import Request
from core.errors import ApiError, ServiceUnavailable
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision
from routing.decide.inputs import Question
from routing.language.chat import ChatRequest, Steering, Strategy
from routing.state.runtime import Runtime
from routing.steps.reservation import Purse
from routing.steps.resolve import OverBudget, decided, question
from routing.steps.settlement import never_begun, opening

_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.05, 0.4  # between looks whether other processes gave back what they held


class Entry(msgspec.Struct, frozen=True):
    """A request that is in: its decision, its row as committed, and what it may spend."""

    decision: Decision
    snapshot: Snapshot
    row: Request
    caller: Caller
    admission: Admission
    purse: Purse


class Asked(msgspec.Struct, frozen=True):
    request_id: str
    door: str
    request: ChatRequest
    steering: Steering
    caller: Caller
    at: datetime


async def enter(asked: Asked, runtime: Runtime) -> Entry:
    """Raises the caller's error: 4xx of the decision, 429 of a limit, 503 without a ledger."""
    put, snapshot = question(asked.request, asked.steering, asked.caller, runtime, asked.at)
    learning = await runtime.learned.of(asked.caller.account_id)
    admission = await runtime.limiter.admit(asked.caller, asked.request_id, asked.at)
    try:
        return await _opened(asked, put, snapshot, learning, admission, runtime)
    except BaseException:
        runtime.finish(admission.leave(0, asked.at))
        raise


async def look(asked: Asked, runtime: Runtime) -> Decision:
    """The decision a request would get now, without opening one. Counts in the rates; raises as `enter`."""
    put, snapshot = question(asked.request, asked.steering, asked.caller, runtime, asked.at)
    learning = await runtime.learned.of(asked.caller.account_id)
    admission = await runtime.limiter.check(asked.caller, asked.request_id, asked.at)
    try:
        return decided(put, snapshot, admission.budget_left_usd, 0.0, learning)
    except OverBudget:
        spent = admission.tightest
        assert spent is not None, "a budget is missed only where there is one"
    decision = decided(_squeezed(put), snapshot, None, 0.0, learning)
    book = runtime.catalog.price_book
    purse = Purse(asked.request, decision, snapshot.models, book, asked.at, admission.caps)
    spent.least = purse.wish(None).least_usd
    if spent.left < spent.least:
        raise over_limit(spent, asked.at)
    return decision


async def _opened(
    asked: Asked,
    put: Question,
    snapshot: Snapshot,
    learning: Mapping[str, float],
    admission: Admission,
    runtime: Runtime,
) -> Entry:
    left, draw = admission.budget_left_usd, random.random()  # noqa: S311
    # At least half of the request's time is left for its answer.
    until = time.monotonic() + min(settings.HOLD_WAIT_S, settings.REQUEST_TIMEOUT_S / 2)
    look_s = _FIRST_LOOK_S
    squeezed, whole = False, True  # first ask for a whole answer's money, and wait for it if need be
    account = asked.caller.account_id
    async with AsyncExitStack() as stack:
        has_turn = False
        while True:
            try:
                decision = decided(put, snapshot, left, draw, learning)
                return await _open(asked, decision, snapshot, admission, runtime, left, whole)
            except OverBudget:
                assert admission.tightest is not None, "a budget is missed only where there is one"
                spent = admission.tightest
            except Exhausted as refused:
                spent = refused
                if not squeezed and spent.unit == "usd" and _is_news(spent, left):
                    left = Decimal(spent.left)
                    continue
            if spent.may_pass and (wait_s := until - time.monotonic()) > 0:
                if has_turn:
                    await runtime.ledger.freed(account, min(wait_s, look_s))
                    look_s = min(look_s * 2, _LONGEST_LOOK_S)
                else:
                    has_turn = await stack.enter_async_context(runtime.ledger.turn(account, wait_s))
                admission.tightest = await runtime.limiter.left(asked.caller, asked.at)
                left = None if squeezed else admission.budget_left_usd
            elif whole:
                whole = False
            elif squeezed or spent.unit == "tokens" or spent.left <= 0:
                raise over_limit(spent, asked.at) from None
            else:
                put, left, squeezed = _squeezed(put), None, True


def _is_news(spent: Exhausted, left: Decimal | None) -> bool:
    """Whether the ledger says of less than the decision was made with, but of something."""
    return spent.left > 0 and (left is None or spent.left < left)


def _squeezed(put: Question) -> Question:
    """No whole answer fits what is left: ask for the cheapest, whose answer will be cut to it."""
    note = "No whole answer fits what the budget leaves: the cheapest candidate answers, cut to what is left."
    return msgspec.structs.replace(put, strategy=Strategy.COST, notes=(*put.notes, note))


async def _open(
    asked: Asked,
    decision: Decision,
    snapshot: Snapshot,
    admission: Admission,
    runtime: Runtime,
    left: Decimal | None,
    whole: bool,
) -> Entry:
    book = runtime.catalog.price_book
    purse = Purse(asked.request, decision, snapshot.models, book, asked.at, admission.caps)
    row = opening(
        asked.request_id, asked.door, asked.request, asked.steering, asked.caller, decision, asked.at
    )
    row.owner = runtime.heartbeat.owner
    terms = OpenTerms(admission.payer, admission.caps, purse.wish(left, whole=whole), admission.uncounted)
    try:
        purse.hold = await runtime.ledger.open(row, terms)
    except (asyncio.CancelledError, ServiceUnavailable) as error:  # it may be in the ledger all the same
        told = error if isinstance(error, ApiError) else None
        runtime.ledger.abandon(row, admission.payer, never_begun(row, told))
        raise
    return Entry(decision, snapshot, row, asked.caller, admission, purse)
