"""Admission by budgets: refusals with their code, amounts and Retry-After (docs/ledger.md)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.caller import Caller, Limits
from accounts.keys import create_key
from billing.ledger.ledger import Ledger, OpenTerms, RequestRow, Settlement
from billing.ledger.limits import DailyCostLimitExceeded, DailyLimitExceeded, Limiter, QuotaExceeded
from billing.ledger.rate_limits import MemoryRates
from billing.ledger.windows import spans
from billing.models import Request
from billing.usage import Usage
from tests.billing.conftest import payer_of

NewRow = Callable[..., RequestRow]


@pytest.fixture
async def limiter(live_db: None) -> AsyncIterator[Limiter]:
    limiter = Limiter(MemoryRates(), timedelta(minutes=2))
    yield limiter
    await limiter.close()


def caller_of(row: RequestRow, **limits: Any) -> Caller:
    return Caller(
        key_id=row.key_id,
        lineage_id=row.key_id,
        key_name="k",
        account_id=row.account_id,
        account_name="a",
        plan="p",
        key_limits=Limits(**limits),
        account_limits=Limits(),
    )


async def spend(ledger: Ledger, row: RequestRow, usd: str, tokens: int) -> None:
    await ledger.open(row, OpenTerms(payer_of(row)))
    end = Settlement(
        request_id=row.id,
        status=Request.Status.SUCCEEDED,
        settled_at=datetime.now(UTC),
        latency_ms=1,
        usage=Usage(uncached_input_tokens=tokens),
        cost_usd=Decimal(usd),
    )
    await ledger.settle(row, payer_of(row), end)


async def test_without_limits_every_request_is_admitted(limiter: Limiter, new_row: NewRow) -> None:
    caller = caller_of(new_row())
    admissions = [await limiter.admit(caller, f"req_{i}", datetime.now(UTC)) for i in range(100)]
    assert all(admission.headers == {} for admission in admissions)
    assert admissions[0].budget_left_usd is None


@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        ({"daily_usd": Decimal("0.01")}, DailyCostLimitExceeded),
        ({"daily_tokens": 100}, DailyLimitExceeded),
        ({"monthly_usd": Decimal("0.01")}, QuotaExceeded),
        ({"monthly_tokens": 100}, QuotaExceeded),
    ],
)
async def test_a_spent_budget_refuses_until_its_window_ends(
    ledger: Ledger, limiter: Limiter, new_row: NewRow, limits: dict[str, Any], refusal: type[Any]
) -> None:
    row = new_row()
    await spend(ledger, row, "0.01", 100)
    now = datetime.now(UTC)
    with pytest.raises(refusal) as refused:
        await limiter.admit(caller_of(row, **limits), "req_1", now)
    error = refused.value
    window = spans(now, "UTC")[0 if "daily" in next(iter(limits)) else 1]
    assert int(error.headers["Retry-After"]) == pytest.approx((window.ends_at - now).total_seconds(), abs=2)
    details = error.details
    assert Decimal(details["spent"]) == Decimal(details["limit"])
    assert (Decimal(details["held"]), Decimal(details["left"])) == (0, 0)
    assert details["resets_at"] == f"{window.ends_at:%Y-%m-%dT%H:%M:%SZ}"


async def test_what_is_left_counts_what_others_hold(
    ledger: Ledger, limiter: Limiter, new_row: NewRow
) -> None:
    from billing.ledger.holds import HoldRequest

    row, caller = new_row(), caller_of(new_row(), daily_usd=Decimal("0.01"))
    hold_request = HoldRequest(Decimal("0.006"), Decimal(0), 0, 0)
    await ledger.open(row, OpenTerms(payer_of(row), (), hold_request))
    admission = await limiter.admit(caller, "req_1", datetime.now(UTC))
    assert admission.budget_left_usd == Decimal("0.004")


async def test_requests_that_arrive_together_share_one_reading(
    ledger: Ledger, limiter: Limiter, new_row: NewRow
) -> None:
    row = new_row()
    await spend(ledger, row, "0.004", 100)
    caller = caller_of(row, daily_usd=Decimal("0.01"))
    first, *others = (asyncio.create_task(limiter.left(caller, datetime.now(UTC))) for _ in range(4))
    await asyncio.sleep(0)  # all wait now
    first.cancel()  # its caller leaves, which the others do not notice
    amounts = [each for each in await asyncio.gather(*others) if each is not None]
    assert [each.left for each in amounts] == [Decimal("0.006")] * 3
    assert len({id(each.ends_at) for each in amounts}) == 1, "the windows were read more than once"


async def test_keys_that_arrive_together_share_one_reading(
    ledger: Ledger, limiter: Limiter, new_row: NewRow, account: Any
) -> None:
    rows = [new_row()]
    for name in ("second", "third"):
        key, _ = await asyncio.to_thread(create_key, account, name)
        rows.append(new_row(key_id=key.pk))
    for row, cost in zip(rows, ("0.001", "0.002", "0.003"), strict=True):
        await spend(ledger, row, cost, 100)
    callers = [caller_of(row, daily_usd=Decimal("0.005")) for row in rows]
    now = datetime.now(UTC)
    amounts = await asyncio.gather(*(limiter.left(caller, now) for caller in callers))
    assert [each.left for each in amounts if each] == [Decimal("0.004"), Decimal("0.003"), Decimal("0.002")]

    limits = Limits(daily_usd=Decimal("0.01"))
    of_account = [
        msgspec.structs.replace(caller, key_limits=Limits(), account_limits=limits) for caller in callers
    ]
    amounts = await asyncio.gather(*(limiter.left(caller, now) for caller in of_account))
    assert [each.left for each in amounts if each] == [Decimal("0.004")] * 3
    assert len({id(each.ends_at) for each in amounts if each}) == 1, "the windows were read more than once"


async def test_yesterdays_spending_is_yesterdays(ledger: Ledger, limiter: Limiter, new_row: NewRow) -> None:
    row = new_row(created_at=datetime.now(UTC) - timedelta(days=1))
    await spend(ledger, row, "0.01", 100)
    admission = await limiter.admit(caller_of(row, daily_usd=Decimal("0.01")), "req_1", datetime.now(UTC))
    assert admission.budget_left_usd == Decimal("0.01")


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Africa/Cairo"]


@given(
    moment=st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)).map(lambda at: at.replace(tzinfo=UTC)),
    zone=st.sampled_from(ZONES),
)
def test_days_and_months_tile_time_in_every_zone(moment: datetime, zone: str) -> None:
    day, month = spans(moment, zone)
    for span in (day, month):
        assert span.starts_at <= moment < span.ends_at
        assert span.starts_at.astimezone(ZoneInfo(zone)).strftime("%H:%M") in ("00:00", "01:00")
    assert spans(day.ends_at, zone)[0].starts_at == day.ends_at, "the next begins where one ends"
    assert spans(month.ends_at, zone)[1].starts_at == month.ends_at
    assert timedelta(hours=23) <= day.ends_at - day.starts_at <= timedelta(hours=25)
