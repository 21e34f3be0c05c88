"""The ledger's promises: written before, settled once, grouped, swept (docs/ledger.md)."""

import asyncio
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError

from billing.ledger.commits import commits
from billing.ledger.holds import Cap, Exhausted, Hold, HoldRequest
from billing.ledger.ledger import AttemptRow, Ledger, OpenTerms, RequestRow, Settlement
from billing.ledger.sweeper import LEAKED, sweep
from billing.ledger.windows import totals
from billing.ledger.writer import GroupWriter
from billing.models import Attempt, Request, WebProcess, Window
from billing.reports.models import AccountHour
from billing.usage import Usage
from core.errors import ServiceUnavailable
from tests.billing.conftest import payer_of

NewRow = Callable[..., RequestRow]
CENT = Decimal("0.01")


def settlement_of(row: RequestRow, **fields: object) -> Settlement:
    defaults = {
        "request_id": row.id,
        "status": Request.Status.SUCCEEDED,
        "settled_at": datetime.now(UTC),
        "latency_ms": 12,
        "usage": Usage(uncached_input_tokens=10, output_tokens=4, reasoning_tokens=1),
        "cost_usd": Decimal("0.000000123"),
    }
    return Settlement(**defaults | fields)  # type: ignore[arg-type]


def terms_of(row: RequestRow, *caps: Cap, usd: str = "0", least: str = "0", tokens: int = 0) -> OpenTerms:
    return OpenTerms(payer_of(row), caps, HoldRequest(Decimal(usd), Decimal(least), tokens, 0))


def key_cap(row: RequestRow, usd: str) -> Cap:
    return Cap("key", row.key_id, "day", Decimal(usd), None)


async def opened(ledger: Ledger, row: RequestRow, *caps: Cap, **hold_request: Any) -> Hold:
    return await ledger.open(row, terms_of(row, *caps, **hold_request))


async def settled(ledger: Ledger, row: RequestRow, **fields: object) -> Request:
    attempts: Any = fields.pop("attempts", ())
    await ledger.settle(row, payer_of(row), settlement_of(row, **fields), attempts)
    return await Request.objects.aget(pk=row.id)


def windows_of(row: RequestRow) -> list[Window]:
    """Day and month of the key, then of the account."""
    scopes = [("key", row.key_id), ("account", row.account_id)]
    return [
        next(totals(Window.objects.filter(scope=scope, scope_id=pk, period=period)))
        for scope, pk in scopes
        for period in ("day", "month")
    ]


async def test_an_opened_request_is_committed_when_open_returns(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row)
    assert Request.objects.get(pk=row.id).status == Request.Status.OPEN


async def test_a_settlement_writes_usage_cost_and_status(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row, usd="0.5")
    end = await settled(ledger, row)
    assert (end.status, end.cost_usd) == ("succeeded", Decimal("0.000000123"))
    assert (end.uncached_input_tokens, end.output_tokens, end.reasoning_tokens) == (10, 4, 1)
    assert end.held_usd == 0, "what was held is given back"


async def test_a_request_is_settled_once(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row)
    await settled(ledger, row)
    again = await settled(ledger, row, status=Request.Status.FAILED, cost_usd=Decimal(1))
    assert again.status == Request.Status.SUCCEEDED
    assert [window.spent_usd for window in windows_of(row)] == [Decimal("0.000000123")] * 4


async def test_tokens_without_a_price_are_unpriced_not_free(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row, usd="0.5")
    end = await settled(ledger, row, cost_usd=None, held_usd=CENT)
    assert (end.unpriced, end.cost_usd, end.held_usd) == (True, None, CENT)
    assert windows_of(row)[0].held_usd == CENT, "the budget goes on holding a ceiling"


async def test_windows_say_what_is_held_and_then_what_was_spent(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row, usd="0.02", tokens=50)
    assert [(window.requests, window.held_usd, window.held_tokens) for window in windows_of(row)] == [
        (1, Decimal("0.02"), 50)
    ] * 4
    await settled(ledger, row, cost_usd=CENT)
    after = [
        (window.spent_usd, window.held_usd, window.spent_tokens, window.held_tokens)
        for window in windows_of(row)
    ]
    assert after == [(CENT, 0, 14, 0)] * 4


async def test_a_hold_takes_what_the_cap_leaves_and_no_more(ledger: Ledger, new_row: NewRow) -> None:
    first, second, third = new_row(), new_row(), new_row()
    cap = key_cap(first, "0.03")
    holds = [await opened(ledger, row, cap, usd="0.02", least="0.005") for row in (first, second)]
    assert [hold.usd for hold in holds] == [Decimal("0.02"), CENT]
    with pytest.raises(Exhausted) as refused:
        await opened(ledger, third, cap, usd="0.02", least="0.005")
    assert (refused.value.spent, refused.value.held, refused.value.left) == (0, Decimal("0.03"), 0)
    assert refused.value.may_pass, "the others may give back enough"
    assert not Request.objects.filter(pk=third.id).exists(), "a refused request is no accepted one"


async def test_a_settlement_makes_room_for_an_opening_of_the_same_group(
    ledger: Ledger, new_row: NewRow
) -> None:
    first, second, free = new_row(), new_row(), new_row()
    cap = key_cap(first, "0.02")
    await opened(ledger, first, cap, usd="0.02")
    _, hold, _ = await asyncio.gather(
        settled(ledger, first, cost_usd=CENT),
        opened(ledger, second, cap, usd="0.02", least="0.005"),
        opened(ledger, free),
    )
    assert hold.usd == CENT
    assert [(window.requests, window.spent_usd, window.held_usd) for window in windows_of(first)] == [
        (3, CENT, CENT)
    ] * 4


@pytest.mark.parametrize("seed", range(3))
async def test_processes_that_race_for_a_cap_never_hold_more_than_it_leaves(
    live_db: None, new_row: NewRow, seed: int
) -> None:
    """Requests of two processes, each of random size, some settled while others are opened."""
    chance = random.Random(seed)  # noqa: S311
    cap = key_cap(new_row(), "0.50")
    writers = [GroupWriter(commits(), patience_s=10.0) for _ in range(2)]
    ledgers = [Ledger(writer) for writer in writers]
    spent: list[Decimal] = []

    async def request(ledger: Ledger) -> bool:
        row, wanted = new_row(), Decimal(chance.randint(1, 80)) / 1000
        await asyncio.sleep(chance.random() / 20)
        try:
            hold = await opened(ledger, row, cap, usd=str(wanted), least="0.001")
        except Exhausted:
            return False
        cost = min(hold.usd, Decimal(chance.randint(0, 60)) / 1000)
        await settled(ledger, row, cost_usd=cost)
        spent.append(cost)
        return True

    answers = await asyncio.gather(*(request(ledgers[place % 2]) for place in range(60)))
    for writer in writers:
        await writer.close()
    assert answers.count(False) > 0, "the cap is tight enough to refuse some"
    for window in windows_of(new_row()):
        assert (window.spent_usd, window.held_usd) == (sum(spent), 0)
        assert window.requests == answers.count(True)
    assert sum(spent) <= Decimal("0.50")


async def test_a_cap_holds_when_an_account_moves_to_a_zone_with_the_same_midnight(
    ledger: Ledger, new_row: NewRow
) -> None:
    before, after = new_row(), new_row()
    cap = key_cap(before, "0.02")

    def terms(row: RequestRow, zone: str) -> OpenTerms:
        return OpenTerms(payer_of(row, zone), (cap,), HoldRequest(Decimal("0.02"), CENT, 0, 0))

    await ledger.open(before, terms(before, "Europe/Berlin"))
    with pytest.raises(Exhausted):
        await ledger.open(after, terms(after, "Europe/Paris"))


async def test_a_window_made_late_starts_with_what_the_ledger_knows(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row)
    await settled(ledger, row, cost_usd=CENT)
    Window.objects.filter(scope="key", scope_id=row.key_id).delete()
    later, writer = new_row(), GroupWriter(commits(), patience_s=1.0)
    await opened(Ledger(writer), later, usd="0.02")  # by a process that does not know them
    await writer.close()
    day = windows_of(later)[0]
    assert (day.requests, day.spent_usd, day.held_usd, day.spent_tokens) == (2, CENT, Decimal("0.02"), 14)


async def test_a_settlement_counts_in_the_windows_of_its_opening(ledger: Ledger, new_row: NewRow) -> None:
    """A request that runs over midnight belongs to the day it was accepted on."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    row = new_row(created_at=yesterday)
    await opened(ledger, row)
    await settled(ledger, row, cost_usd=CENT)
    day = windows_of(row)[0]
    assert day.starts_at.date() == yesterday.date()
    assert day.spent_usd == CENT


async def test_writes_that_arrive_together_share_a_commit_and_all_arrive(
    ledger: Ledger, new_row: NewRow
) -> None:
    rows = [new_row() for _ in range(200)]
    await asyncio.gather(*(opened(ledger, row, usd="0.001") for row in rows))
    await asyncio.gather(*(settled(ledger, row, cost_usd=CENT) for row in rows))
    assert Request.objects.filter(pk__in=[row.id for row in rows], status="succeeded").count() == 200
    assert [(window.requests, window.spent_usd, window.held_usd) for window in windows_of(rows[0])] == [
        (200, 2, 0)
    ] * 4


async def test_an_invalid_row_fails_alone(ledger: Ledger, new_row: NewRow) -> None:
    valid, invalid = new_row(), new_row(forecast_visible_tokens=-1)
    results = await asyncio.gather(opened(ledger, valid), opened(ledger, invalid), return_exceptions=True)
    assert isinstance(results[0], Hold)
    assert isinstance(results[1], IntegrityError)
    assert Request.objects.filter(pk=valid.id).exists()
    assert windows_of(valid)[0].requests == 1


async def test_attempts_are_committed_with_their_requests_settlement(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row()
    await opened(ledger, row)
    attempt = AttemptRow(
        request_id=row.id,
        number=1,
        model="m",
        provider="p",
        outcome="ok",
        started_at=row.created_at,
        latency_ms=5,
    )
    await settled(ledger, row, attempts=[attempt])
    assert Attempt.objects.filter(request_id=row.id).count() == 1


class FlakyCommits:
    """The real commits on a database that fails for a while, before the commit or just after it was made."""

    def __init__(self, failures: int, *, after_commit: bool = False) -> None:
        self.failures, self.after_commit = failures, after_commit
        self._commits = commits()

    async def commit(self, writes: Sequence[Any], again: bool) -> list[Any]:
        if not self.after_commit:
            self._fail()
        results = await self._commits.commit(writes, again)
        if self.after_commit:
            self._fail()
        return results

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise OperationalError("the connection is gone")

    async def close(self) -> None:
        await self._commits.close()


async def test_a_database_that_is_away_for_a_moment_delays_and_loses_nothing(
    live_db: None, new_row: NewRow
) -> None:
    row, database = new_row(), FlakyCommits(2)
    writer = GroupWriter(database, patience_s=5)
    ledger = Ledger(writer)
    await opened(ledger, row, usd="0.02")
    database.failures = 3
    await settled(ledger, row, cost_usd=CENT)
    await writer.close()
    assert windows_of(row)[0].spent_usd == CENT


async def test_an_opening_is_refused_when_the_database_stays_away_but_a_settlement_is_kept(
    live_db: None, new_row: NewRow
) -> None:
    row, late, database = new_row(), new_row(), FlakyCommits(0)
    writer = GroupWriter(database, patience_s=0.2)
    ledger = Ledger(writer)
    await opened(ledger, row)
    database.failures = 5  # 50, 100, 200, 400 and 800 ms of pauses
    settling = asyncio.ensure_future(settled(ledger, row, cost_usd=CENT))
    with pytest.raises(ServiceUnavailable) as refused:
        await opened(ledger, late)
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "5")
    assert (await settling).cost_usd == CENT
    await writer.close()
    assert not Request.objects.filter(pk=late.id).exists()


async def test_a_commit_that_was_made_unheard_is_not_made_twice(live_db: None, new_row: NewRow) -> None:
    row, database = new_row(), FlakyCommits(1, after_commit=True)
    writer = GroupWriter(database, patience_s=5)
    ledger = Ledger(writer)
    hold = await opened(ledger, row, usd="0.02")
    assert hold.usd == Decimal("0.02")
    assert windows_of(row)[0].requests == 1
    database.failures = 1
    await settled(ledger, row, cost_usd=CENT)
    await writer.close()
    assert [(window.requests, window.spent_usd, window.held_usd) for window in windows_of(row)] == [
        (1, CENT, 0)
    ] * 4


async def test_an_abandoned_opening_leaves_neither_a_row_open_nor_a_hold(
    ledger: Ledger, new_row: NewRow
) -> None:
    row = new_row()
    attempt = asyncio.ensure_future(opened(ledger, row, usd="0.02"))
    await asyncio.sleep(0)  # enqueued, perhaps already on its way
    attempt.cancel()
    ledger.abandon(row, payer_of(row), settlement_of(row, status=Request.Status.ABORTED, cost_usd=Decimal(0)))
    await opened(ledger, new_row())  # whatever came before is committed by then
    stored = Request.objects.filter(pk=row.id).first()
    assert stored is None or stored.status == Request.Status.ABORTED
    assert windows_of(new_row())[0].held_usd == 0


async def test_a_request_left_open_past_its_lease_is_swept_once(ledger: Ledger, new_row: NewRow) -> None:
    now = datetime.now(UTC)
    left, alive = new_row(lease_until=now - timedelta(seconds=1)), new_row()
    await asyncio.gather(opened(ledger, left, usd="0.02"), opened(ledger, alive, usd="0.01"))
    assert sweep(now) == 1
    assert sweep(now) == 0
    assert Request.objects.get(pk=left.id).status == Request.Status.EXPIRED
    assert Request.objects.get(pk=alive.id).status == Request.Status.OPEN
    assert windows_of(left)[0].held_usd == CENT, "only the living one's hold is left"


async def test_a_settlement_after_the_sweep_replaces_it_once(ledger: Ledger, new_row: NewRow) -> None:
    row = new_row(lease_until=datetime.now(UTC) - timedelta(seconds=1))
    await opened(ledger, row, usd="0.02", tokens=50)
    sweep(datetime.now(UTC))
    AccountHour.objects.create(
        account_id=row.account_id, hour=row.created_at.replace(minute=0, second=0, microsecond=0), stale=False
    )
    late = await settled(ledger, row, cost_usd=CENT)
    assert (late.status, late.cost_usd, late.error_code, late.output_tokens) == ("succeeded", CENT, "", 4)
    await settled(ledger, row, cost_usd=CENT)
    after = [
        (window.requests, window.spent_usd, window.held_usd, window.spent_tokens, window.held_tokens)
        for window in windows_of(row)
    ]
    assert after == [(1, CENT, 0, 14, 0)] * 4
    assert AccountHour.objects.get(account_id=row.account_id).stale, "its hour is summed up again"


async def test_a_living_process_keeps_its_requests_past_their_lease(ledger: Ledger, new_row: NewRow) -> None:
    now = datetime.now(UTC)
    row = new_row(owner="live" + new_row().id[-20:], lease_until=now - timedelta(seconds=1))
    await opened(ledger, row)
    WebProcess.objects.create(pk=row.owner, host="h", pid=1, started_at=now, seen_at=now)
    sweep(now)
    assert Request.objects.get(pk=row.id).status == Request.Status.OPEN
    sweep(now + LEAKED)
    assert Request.objects.get(pk=row.id).status == Request.Status.EXPIRED, "that late it was forgotten"


async def test_what_a_dead_process_left_is_swept_long_before_its_lease(
    ledger: Ledger, new_row: NewRow
) -> None:
    now, silence = datetime.now(UTC), timedelta(seconds=settings.PROCESS_SILENCE_S)
    row = new_row(owner="dead" + new_row().id[-20:])
    await opened(ledger, row)
    WebProcess.objects.create(
        pk=row.owner, host="h", pid=1, started_at=now - 2 * silence, seen_at=now - 1.1 * silence
    )
    assert sweep(now) == 0, "silence may be the database's: it is looked at twice"
    assert sweep(now + 0.3 * silence) == 0
    assert sweep(now + 0.6 * silence) == 1


async def test_a_process_that_speaks_again_keeps_its_requests(ledger: Ledger, new_row: NewRow) -> None:
    now, silence = datetime.now(UTC), timedelta(seconds=settings.PROCESS_SILENCE_S)
    row = new_row(owner="slow" + new_row().id[-20:])
    await opened(ledger, row)
    process = WebProcess.objects.create(
        pk=row.owner, host="h", pid=1, started_at=now - 2 * silence, seen_at=now - 1.1 * silence
    )
    sweep(now)
    WebProcess.objects.filter(pk=process.pk).update(
        seen_at=now, missed_at=None
    )  # as billing/ledger/processes.py does
    assert sweep(now + 0.6 * silence) == 0


async def test_a_living_process_whose_clock_is_behind_keeps_its_requests(
    ledger: Ledger, new_row: NewRow
) -> None:
    """Row 25: its leases look long over to everyone else."""
    now, two_hours = datetime.now(UTC), timedelta(hours=2)
    row = new_row(owner="late" + new_row().id[-20:], lease_until=now - two_hours + timedelta(minutes=3))
    await opened(ledger, row)
    WebProcess.objects.create(
        pk=row.owner, host="h", pid=1, started_at=now, seen_at=now, ahead_s=-two_hours.total_seconds()
    )
    sweep(now)
    assert Request.objects.get(pk=row.id).status == Request.Status.OPEN
    sweep(now + timedelta(minutes=4) + LEAKED)
    assert Request.objects.get(pk=row.id).status == Request.Status.EXPIRED


@pytest.mark.parametrize("fields", [{"cost_usd": Decimal(-1)}, {"status": "succeeded"}])
def test_the_database_itself_refuses_what_must_never_be(new_row: NewRow, fields: dict[str, object]) -> None:
    with pytest.raises(IntegrityError):
        Request.objects.create(**msgspec.structs.asdict(new_row()) | fields)
