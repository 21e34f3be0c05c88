"""Who is let in: rates, budgets and concurrency, each refusal with its code and Retry-After."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from accounts.caller import Caller, Limits
from billing.ledger import Ledger, Settlement
from billing.limits import (
    DailyCostLimitExceeded,
    DailyLimitExceeded,
    Limiter,
    QuotaExceeded,
    RateLimited,
)
from billing.models import Request
from billing.usage import Usage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def caller_with(key: Limits = Limits(), account: Limits = Limits(), pk: int = 1) -> Caller:  # noqa: B008
    return Caller(
        key_id=pk,
        key_name="k",
        account_id=pk,
        account_name="a",
        plan="unlimited",
        key_limits=key,
        account_limits=account,
    )


async def test_without_limits_everyone_is_let_in_and_no_rate_is_told() -> None:
    limiter, caller = Limiter(), caller_with()
    admissions = [await limiter.admit(caller, NOON) for _ in range(100)]
    assert all(admission.headers == {} for admission in admissions)


async def test_requests_per_minute_are_counted_over_the_last_sixty_seconds() -> None:
    limiter, caller = Limiter(), caller_with(Limits(requests_per_minute=2))
    first = await limiter.admit(caller, NOON)
    await limiter.admit(caller, NOON + timedelta(seconds=30))
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(caller, NOON + timedelta(seconds=45))
    assert first.headers["X-RateLimit-Remaining"] == "1"
    assert refused.value.headers["Retry-After"] == "15", "when the first one leaves the window"
    await limiter.admit(caller, NOON + timedelta(seconds=61))


async def test_the_accounts_limit_holds_over_all_its_keys() -> None:
    limiter = Limiter()
    account = Limits(requests_per_minute=1)
    caller = caller_with(account=account)
    other_key = Caller(
        key_id=2,
        key_name="k2",
        account_id=1,
        account_name="a",
        plan="p",
        key_limits=Limits(),
        account_limits=account,
    )
    await limiter.admit(caller, NOON)
    with pytest.raises(RateLimited):
        await limiter.admit(other_key, NOON)


async def test_concurrent_requests_are_given_back_when_they_end() -> None:
    limiter, caller = Limiter(), caller_with(Limits(concurrent_requests=1))
    admission = await limiter.admit(caller, NOON)
    with pytest.raises(RateLimited):
        await limiter.admit(caller, NOON)
    admission.release(Decimal(0), 0)
    await limiter.admit(caller, NOON)


@pytest.mark.usefixtures("live_db")
@pytest.mark.parametrize(
    ("limits", "refusal"),
    [
        (Limits(daily_usd=Decimal("0.01")), DailyCostLimitExceeded),
        (Limits(daily_tokens=100), DailyLimitExceeded),
        (Limits(monthly_usd=Decimal("0.01")), QuotaExceeded),
        (Limits(monthly_tokens=100), QuotaExceeded),
    ],
)
async def test_a_spent_budget_refuses_until_its_window_ends(limits: Limits, refusal: type[Exception]) -> None:
    limiter, caller = Limiter(), caller_with(limits, pk=10**9)
    admission = await limiter.admit(caller, NOON)
    admission.release(Decimal("0.01"), 100)
    with pytest.raises(refusal) as refused:
        await limiter.admit(caller, NOON)
    assert int(refused.value.headers["Retry-After"]) >= 12 * 3600  # type: ignore[attr-defined]


@pytest.mark.usefixtures("live_db")
async def test_what_is_held_is_not_spent_twice() -> None:
    limiter, caller = Limiter(), caller_with(Limits(daily_usd=Decimal("0.01")), pk=10**9)
    first = await limiter.admit(caller, NOON)
    first.hold(Decimal("0.006"))
    second = await limiter.admit(caller, NOON)
    assert second.budget_left_usd == Decimal("0.004")
    first.release(Decimal("0.001"), 10)
    assert (await limiter.admit(caller, NOON)).budget_left_usd == Decimal("0.009")


async def test_a_new_process_starts_from_what_the_ledger_says(
    ledger: Ledger, new_row: Callable[..., Request]
) -> None:
    row = new_row()
    await ledger.open(row)
    await ledger.settle(
        Settlement(
            request_id=row.pk,
            status=Request.Status.SUCCEEDED,
            settled_at=datetime.now(UTC),
            latency_ms=1,
            usage=Usage(uncached_input_tokens=10),
            cost_usd=Decimal("0.02"),
        )
    )
    caller = Caller(
        key_id=row.key_id,
        key_name="k",
        account_id=row.account_id,
        account_name="a",
        plan="p",
        key_limits=Limits(daily_usd=Decimal("0.02")),
        account_limits=Limits(),
    )
    with pytest.raises(DailyCostLimitExceeded, match=r"spent 0\.02"):
        await Limiter().admit(caller, datetime.now(UTC))
