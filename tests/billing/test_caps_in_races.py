"""Caps under races: several processes, each with its own connection, open requests under the same limits."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.keys import create_key
from accounts.models import Account
from billing.checks.audit import audit
from billing.ledger.commits import commits
from billing.ledger.holds import Cap, Exhausted, Hold
from billing.ledger.ledger import Ledger, RequestRow
from billing.ledger.windows import Change, Payer, lock
from billing.ledger.writer import GroupWriter
from billing.models import Request
from tests.billing.conftest import payer_of
from tests.billing.test_ledger import FlakyCommits, key_cap, opened, settlement_of, windows_of

NewRow = Callable[..., RequestRow]
CENT = Decimal("0.01")


@pytest.fixture
async def processes(live_db: None) -> AsyncIterator[list[tuple[str, Ledger]]]:
    """Ledgers as three web processes have them, with their names."""
    writers = [GroupWriter(commits(), patience_s=20.0) for _ in range(3)]
    yield [(f"process{n}", Ledger(writer)) for n, writer in enumerate(writers)]
    for writer in writers:
        await writer.close()


async def hold_of(ledger: Ledger, row: RequestRow, *caps: Cap) -> Decimal:
    """The amount the ledger reserved of one cent; 0 when it refused."""
    try:
        return (await opened(ledger, row, *caps, usd="0.01", least="0.002")).usd
    except Exhausted:
        return Decimal(0)


async def test_processes_that_race_for_a_cap_hold_all_of_it_once(
    processes: list[tuple[str, Ledger]], new_row: NewRow
) -> None:
    cap = key_cap(new_row(), "0.255")
    rows = [(ledger, new_row(owner=name)) for _ in range(20) for name, ledger in processes]
    holds = await asyncio.gather(*(hold_of(ledger, row, cap) for ledger, row in rows))
    assert sorted(holds)[-27:] == [0, Decimal("0.005"), *[CENT] * 25]
    assert sum(holds) == cap.usd
    assert {window.held_usd for window in windows_of(rows[0][1])} == {cap.usd}


async def test_spending_stays_under_a_cap_while_processes_open_and_settle(
    processes: list[tuple[str, Ledger]], new_row: NewRow
) -> None:
    limit, most = Decimal("0.10"), list[Decimal]()
    cap = key_cap(new_row(), str(limit))

    async def caller(name: str, ledger: Ledger) -> None:
        for number in range(6):
            row = new_row(owner=name)
            held = await hold_of(ledger, row, cap)
            if held:
                day = windows_of(row)[0]
                most.append(day.spent_usd + day.held_usd)
                cost = held * (number % 4) / 3
                await ledger.settle(row, payer_of(row), settlement_of(row, cost_usd=round(cost, 9)))

    await asyncio.gather(*(caller(*process) for process in processes for _ in range(4)))
    day = windows_of(new_row())[0]
    assert max(most) <= limit
    assert (day.held_usd, day.spent_usd <= limit) == (0, True)
    assert day.spent_usd > limit - CENT, "what settlements give back is spent"


async def test_a_lost_commit_takes_from_a_cap_once(
    processes: list[tuple[str, Ledger]], new_row: NewRow
) -> None:
    row, cap = new_row(owner="unlucky"), key_cap(new_row(), "0.02")
    writer = GroupWriter(FlakyCommits(2, after_commit=True), patience_s=20.0)
    taken = asyncio.ensure_future(hold_of(Ledger(writer), row, cap))
    others = [(ledger, new_row(owner=name)) for name, ledger in processes]
    holds = await asyncio.gather(taken, *(hold_of(ledger, other, cap) for ledger, other in others))
    await writer.close()
    assert sorted(holds) == [0, 0, CENT, CENT]
    day = windows_of(row)[0]
    assert (day.held_usd, day.requests) == (cap.usd, 2)


async def test_processes_that_lock_the_same_windows_in_other_orders_all_end(
    processes: list[tuple[str, Ledger]], new_row: NewRow, account: Account
) -> None:
    keys = [create_key(account, f"racer {n}")[0].pk for n in range(3)]
    whole = Cap("account", account.pk, "month", Decimal("0.30"), 10**6)

    async def process(name: str, ledger: Ledger, order: list[int]) -> list[Decimal]:
        sums = []
        for _ in range(5):
            rows = [new_row(owner=name, key_id=key) for key in order]
            sums += await asyncio.gather(*(hold_of(ledger, row, key_cap(row, "0.12"), whole) for row in rows))
        return sums

    orders = [keys, keys[::-1], [keys[1], keys[2], keys[0]]]
    racing = [process(*each, order) for each, order in zip(processes, orders, strict=True)]
    async with asyncio.timeout(30):
        holds = [hold for each in await asyncio.gather(*racing) for hold in each]
    assert sum(holds) == whole.usd
    broken = [
        check.name for check in audit(datetime.now(UTC), account_id=account.pk).checks if check.violations
    ]
    assert broken == []


async def test_an_invalid_opening_under_a_cap_fails_alone(ledger: Ledger, new_row: NewRow) -> None:
    rows = [new_row(), new_row(forecast_visible_tokens=-1), new_row()]
    cap = key_cap(rows[0], "0.02")
    results = await asyncio.gather(
        *(opened(ledger, row, cap, usd="0.01", least="0.01") for row in rows), return_exceptions=True
    )
    assert [type(result) for result in results] == [Hold, IntegrityError, Hold]
    day = windows_of(rows[0])[0]
    assert (day.held_usd, day.requests) == (Decimal("0.02"), 2)
    with pytest.raises(Exhausted):
        await opened(ledger, new_row(), cap, usd="0.01", least="0.01")
    assert Request.objects.filter(pk=rows[2].id).exists()


async def test_a_settlement_in_the_group_of_an_opening_makes_room(ledger: Ledger, new_row: NewRow) -> None:
    first, second = new_row(), new_row()
    cap = key_cap(first, "0.01")
    await opened(ledger, first, cap, usd="0.01")
    waiting = asyncio.ensure_future(opened(ledger, second, cap, usd="0.01", least="0.008"))
    await asyncio.sleep(0)  # it is in the queue first
    settling = ledger.settle(first, payer_of(first), settlement_of(first, cost_usd=Decimal("0.002")))
    hold, _ = await asyncio.gather(waiting, settling)
    assert hold.usd == Decimal("0.008")
    assert windows_of(first)[0].held_usd == Decimal("0.008")


async def test_shares_are_moved_while_openings_hold_them_without_a_deadlock(
    processes: list[tuple[str, Ledger]], new_row: NewRow, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    """As re-pricing and the sweeper do: they lock the windows and then move everyone's shares."""
    keys = [create_key(account, f"racer {n}")[0].pk for n in range(3)]
    payers = [Payer(account.pk, key) for key in keys]
    is_over = threading.Event()

    def move() -> int:
        count = 0
        try:
            while not is_over.is_set():
                with transaction.atomic():
                    now = datetime.now(UTC)
                    locked = lock([(payer, now) for payer in payers])
                    for payer in payers:
                        locked.apply(Change(payer, now))
                    locked.save()
                count += 1
                is_over.wait(0.01)
        finally:
            connection.close()
        return count

    async def caller(name: str, ledger: Ledger, key: int) -> None:
        for _ in range(10):
            row = new_row(owner=name, key_id=key)
            if await hold_of(ledger, row, key_cap(row, "9")):
                await ledger.settle(row, payer_of(row), settlement_of(row))

    moving = asyncio.create_task(asyncio.to_thread(move))
    try:
        await asyncio.gather(*(caller(*process, key) for process in processes for key in keys * 2))
    finally:
        is_over.set()
    assert await moving > 0
    assert caplog.messages == []
    assert {window.held_usd for key in keys for window in windows_of(new_row(key_id=key))} == {0}
