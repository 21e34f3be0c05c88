"""Rates with each of the three counters: memory, Redis, the ledger itself (docs/ledger.md)."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from accounts.caller import Caller, Limits
from billing.ledger.ledger import Ledger, OpenTerms, RequestRow, Settlement
from billing.ledger.limits import Limiter, RateLimited
from billing.ledger.rate_limits import DatabaseRates, MemoryRates, Rates
from billing.ledger.redis_rate_limits import RedisRates
from billing.models import Request
from billing.usage import Usage
from tests.billing.conftest import payer_of
from tests.redis_server import RedisServer

NewRow = Callable[..., RequestRow]
NONE = Limits()
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Gate:
    """The way a request is let in: the limiter, then the ledger, as routing/steps/admission.py does it."""

    def __init__(self, rates: Rates, ledger: Ledger, new_row: NewRow) -> None:
        self.limiter = Limiter(rates, timedelta(minutes=2))
        self._ledger, self._new_row = ledger, new_row
        self._open: list[tuple[Request, Any]] = []

    async def enter(self, at: datetime, key: Limits = NONE, account: Limits = NONE) -> dict[str, str]:
        row = self._new_row(created_at=at, lease_until=at + timedelta(minutes=2))
        caller = Caller(
            key_id=row.key_id,
            lineage_id=row.key_id,
            key_name="k",
            account_id=row.account_id,
            account_name="a",
            plan="p",
            key_limits=key,
            account_limits=account,
        )
        admission = await self.limiter.admit(caller, row.id, at)
        await self._ledger.open(row, OpenTerms(payer_of(row), rates=admission.uncounted))
        self._open.append((row, admission))
        return admission.headers

    async def leave(self, at: datetime, tokens: int = 0) -> None:
        """The oldest request under way ends."""
        row, admission = self._open.pop(0)
        end = Settlement(
            request_id=row.id,
            status=Request.Status.SUCCEEDED,
            settled_at=at,
            latency_ms=1,
            usage=Usage(output_tokens=tokens),
        )
        await self._ledger.settle(row, payer_of(row), end)
        await admission.leave(tokens, at)


@pytest.fixture(params=["memory", "redis", "ledger"])
async def rates(request: pytest.FixtureRequest, live_db: None) -> AsyncIterator[Rates]:
    counters: Rates
    if request.param == "redis":
        counters = RedisRates(request.getfixturevalue("own_redis").url, "tests")
    else:
        counters = MemoryRates() if request.param == "memory" else DatabaseRates()
    yield counters
    await counters.close()


@pytest.fixture
def gate(rates: Rates, ledger: Ledger, new_row: NewRow) -> Gate:
    return Gate(rates, ledger, new_row)


async def test_requests_per_minute_are_counted_over_the_last_sixty_seconds(gate: Gate) -> None:
    two = Limits(requests_per_minute=2)
    await gate.enter(NOON, two)
    await gate.enter(NOON + timedelta(seconds=30), two)
    with pytest.raises(RateLimited) as refused:
        await gate.enter(NOON + timedelta(seconds=45), two)
    assert refused.value.headers["Retry-After"] == "15", "when the first one leaves the window"
    await gate.enter(NOON + timedelta(seconds=61), two)


async def test_the_accounts_limit_holds_beside_the_keys(gate: Gate) -> None:
    await gate.enter(NOON, Limits(requests_per_minute=5), Limits(requests_per_minute=1))
    with pytest.raises(RateLimited, match="account"):
        await gate.enter(NOON, Limits(requests_per_minute=5), Limits(requests_per_minute=1))


async def test_tokens_per_minute_count_when_a_request_ends(gate: Gate) -> None:
    limits = Limits(tokens_per_minute=100)
    await gate.enter(NOON, limits)
    await gate.leave(NOON + timedelta(seconds=2), tokens=100)
    with pytest.raises(RateLimited, match="100 of 100 tokens"):
        await gate.enter(NOON + timedelta(seconds=32), limits)
    await gate.enter(NOON + timedelta(seconds=63), limits)


async def test_concurrent_requests_are_given_back_when_they_end(gate: Gate) -> None:
    limits = Limits(concurrent_requests=1)
    await gate.enter(NOON, limits)
    with pytest.raises(RateLimited, match="in flight"):
        await gate.enter(NOON + timedelta(seconds=1), limits)
    await gate.leave(NOON + timedelta(seconds=2))
    await gate.enter(NOON + timedelta(seconds=3), limits)


async def test_a_request_whose_lease_is_over_is_no_longer_in_flight(gate: Gate) -> None:
    limits = Limits(concurrent_requests=1)
    await gate.enter(NOON, limits)
    await gate.enter(NOON + timedelta(minutes=2, seconds=1), limits)


async def test_of_many_at_once_exactly_as_many_as_allowed_get_in(gate: Gate) -> None:
    limits = Limits(requests_per_minute=7)
    came = await asyncio.gather(*(gate.enter(NOON, limits) for _ in range(40)), return_exceptions=True)
    assert sum(not isinstance(result, RateLimited) for result in came) == 7


async def test_a_refused_request_counts_for_nothing(gate: Gate) -> None:
    limits = Limits(requests_per_minute=1)
    await gate.enter(NOON, limits)
    for second in range(10, 60, 10):
        with pytest.raises(RateLimited):
            await gate.enter(NOON + timedelta(seconds=second), limits)
    await gate.enter(NOON + timedelta(seconds=60.5), limits)


@pytest.mark.parametrize("rates", ["memory", "redis"], indirect=True)
async def test_the_trio_tells_of_the_tightest_scope(gate: Gate) -> None:
    headers = await gate.enter(NOON, Limits(requests_per_minute=9), Limits(requests_per_minute=3))
    assert headers == {"X-RateLimit-Limit": "3", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "60"}


@pytest.mark.parametrize("kind", ["memory", "redis"])
async def test_new_counters_start_from_the_ledger(
    kind: str, ledger: Ledger, new_row: NewRow, own_redis: RedisServer
) -> None:
    limits = Limits(requests_per_minute=2, concurrent_requests=2)
    before = Gate(MemoryRates(), ledger, new_row)
    await before.enter(NOON, limits)
    await before.enter(NOON, limits)
    after = Gate(MemoryRates() if kind == "memory" else RedisRates(own_redis.url, "x"), ledger, new_row)
    with pytest.raises(RateLimited, match="2 requests a minute"):
        await after.enter(NOON + timedelta(seconds=1), limits)
    with pytest.raises(RateLimited, match="in flight"):
        await after.enter(NOON + timedelta(seconds=61), limits)


async def test_redis_gone_and_back_never_lets_in_more(
    ledger: Ledger, new_row: NewRow, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 23 of docs/reliability.md: slower, limits still hold, and recovers automatically."""
    monkeypatch.setattr("core.shared_redis.PAUSE_S", 0.05)
    rates = RedisRates(own_redis.url, "tests")
    gate, limits = Gate(rates, ledger, new_row), Limits(requests_per_minute=4)
    await gate.enter(NOON, limits)
    own_redis.stop()
    await gate.enter(NOON + timedelta(seconds=1), limits)
    await gate.enter(NOON + timedelta(seconds=2), limits)
    own_redis.start()
    await asyncio.sleep(0.1)
    headers = await gate.enter(NOON + timedelta(seconds=3), limits)
    assert headers["X-RateLimit-Remaining"] == "0", "back in Redis, with what the ledger counted meanwhile"
    with pytest.raises(RateLimited):
        await gate.enter(NOON + timedelta(seconds=4), limits)
    own_redis.stop()
    with pytest.raises(RateLimited):
        await gate.enter(NOON + timedelta(seconds=5), limits)
    own_redis.start()
    await rates.close()


async def test_two_processes_share_their_counts_in_redis(
    ledger: Ledger, new_row: NewRow, own_redis: RedisServer
) -> None:
    limits = Limits(requests_per_minute=5)
    first, other = (Gate(RedisRates(own_redis.url, "tests"), ledger, new_row) for _ in range(2))
    came = await asyncio.gather(
        *(gate.enter(NOON, limits) for gate in (first, other) for _ in range(10)), return_exceptions=True
    )
    assert sum(not isinstance(got, Exception) for got in came) == 5
    await first.limiter.close()
    await other.limiter.close()
