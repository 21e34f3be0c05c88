"""Breakers of several processes on one Redis: they agree within a second, and send one probe between them."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Callable

import pytest
import redis

from routing.execute.breaker import CONSECUTIVE_FAILURES, FIRST_PAUSE_S, Breaker
from routing.execute.shared_breaker import CLAIM_S, EVERY_S, SharedBreaker, circuits_of_all
from routing.providers.shared.failures import FailureKind
from tests.execute.test_breaker import facts, failure
from tests.redis_server import RedisServer

PROBE_S = 5.0


class Processes:
    """Two web processes as far as their breakers go."""

    def __init__(self, url: str) -> None:
        self.url, self.prefix = url, f"test-{secrets.token_hex(4)}"
        self.first, self.other = Breaker(), Breaker()
        self._shared = [SharedBreaker(breaker, url, self.prefix) for breaker in (self.first, self.other)]

    async def __aenter__(self) -> "Processes":
        for shared in self._shared:
            await shared.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        for shared in self._shared:
            await shared.stop()

    async def admits(self, breaker: Breaker) -> bool:
        return await breaker.acquire(facts(), time.monotonic(), PROBE_S)


def fail(breaker: Breaker, times: int = CONSECUTIVE_FAILURES, **more: float) -> None:
    for _ in range(times):
        breaker.failed(facts(), failure(FailureKind.SERVER, **more), time.monotonic())


def is_blocked(breaker: Breaker) -> bool:
    return "m" in breaker.blocked(time.monotonic())[0]


async def eventually(true: Callable[[], bool], within_s: float = 10.0) -> None:
    """Patient, because a busy machine takes longer than EVERY_S to tell another process."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, "it did not come true"
        await asyncio.sleep(0.02)


@pytest.fixture
async def processes(redis_url: str) -> AsyncIterator[Processes]:
    async with Processes(redis_url) as two:
        yield two


async def test_what_one_process_opens_is_open_in_the_other_within_a_second(processes: Processes) -> None:
    fail(processes.first)
    assert not is_blocked(processes.other)
    await eventually(lambda: is_blocked(processes.other))
    mine, others = processes.first.circuits(0.0)[0], processes.other.circuits(0.0)[0]
    assert (others.reason, others.pause_s) == (mine.reason, mine.pause_s) == ("server: it failed", 10.0)
    assert others.left_s == pytest.approx(mine.left_s, abs=0.3)


async def test_a_process_that_starts_knows_what_is_open(processes: Processes) -> None:
    fail(processes.first)
    await eventually(lambda: is_blocked(processes.other))
    late = Breaker()
    sharing = SharedBreaker(late, processes.url, processes.prefix)
    await sharing.start()
    assert is_blocked(late)
    await sharing.stop()


async def test_half_open_lets_one_probe_through_over_all_processes(processes: Processes) -> None:
    fail(processes.first, 1, retry_after_s=4 * EVERY_S)
    await eventually(lambda: is_blocked(processes.other))
    await eventually(lambda: not is_blocked(processes.first) and not is_blocked(processes.other))
    admitted = [await processes.admits(breaker) for breaker in (processes.first, processes.other) * 20]
    assert admitted.count(True) == 1
    many = [processes.admits(breaker) for breaker in (processes.first, processes.other) * 20]
    assert not any(await asyncio.gather(*many))


async def test_a_probe_that_succeeds_closes_it_everywhere(processes: Processes) -> None:
    fail(processes.first, 1, retry_after_s=4 * EVERY_S)
    await eventually(lambda: is_blocked(processes.other))
    await eventually(lambda: not is_blocked(processes.other))
    assert await processes.admits(processes.other)
    processes.other.succeeded(facts(), time.monotonic())
    await eventually(lambda: processes.first.circuits(0.0) == ())
    assert all([await processes.admits(breaker) for breaker in (processes.first, processes.other) * 5])


async def test_after_a_failed_probe_none_follows_before_the_next_pause_ends(
    processes: Processes,
) -> None:
    fail(processes.first, 1, retry_after_s=4 * EVERY_S)
    await eventually(lambda: is_blocked(processes.other))
    await eventually(lambda: not is_blocked(processes.first) and not is_blocked(processes.other))
    assert await processes.admits(processes.first)
    failed_at = time.monotonic()
    fail(processes.first, 1)
    refused = [await processes.admits(processes.other)]
    while not is_blocked(processes.other):
        refused.append(await processes.admits(processes.other))
        await asyncio.sleep(0.02)
    assert not any(refused), "the other had not heard of it yet, but Redis had"
    now = time.monotonic()
    pause_s = now - failed_at + processes.other.circuits(now)[0].left_s
    assert pause_s == pytest.approx(FIRST_PAUSE_S, abs=0.5)


async def test_a_reset_reaches_every_process(processes: Processes) -> None:
    fail(processes.first)
    await eventually(lambda: is_blocked(processes.other))
    processes.other.reset()
    await eventually(lambda: not is_blocked(processes.first))


async def test_a_page_reads_what_any_process_opened(processes: Processes) -> None:
    assert circuits_of_all(processes.url, processes.prefix, [], time.monotonic()) == ()
    for _ in range(2):
        processes.first.failed(facts(), failure(FailureKind.AUTH), time.monotonic())
    await eventually(lambda: bool(processes.other.circuits(0.0)))
    (circuit,) = circuits_of_all(processes.url, processes.prefix, [], time.monotonic())
    assert (circuit.scope, circuit.name, circuit.long, circuit.half_open) == ("provider", "p", True, False)


async def test_row_23_without_redis_each_process_goes_on_and_nothing_waits(own_redis: RedisServer) -> None:
    async with Processes(own_redis.url) as two:
        own_redis.stop()
        fail(two.first, 1, retry_after_s=0.2)
        assert is_blocked(two.first)
        assert circuits_of_all(two.url, two.prefix, [two.first], time.monotonic())[0].name == "m"
        await asyncio.sleep(0.25)
        began = time.monotonic()
        assert await two.admits(two.first), "its own probe"
        assert not await two.admits(two.first), "and no second one"
        assert await two.admits(two.other), "the other does not know"
        assert time.monotonic() - began < 3 * CLAIM_S

        fail(two.first)
        own_redis.start()
        await eventually(lambda: is_blocked(two.other))


async def test_open_circuits_are_published_again_to_an_empty_redis(processes: Processes) -> None:
    fail(processes.first)
    await eventually(lambda: is_blocked(processes.other))
    with redis.Redis.from_url(processes.url) as client:
        client.delete(f"{processes.prefix}:breaker")
    for _ in range(15):
        assert is_blocked(processes.first) or is_blocked(processes.other)
        await asyncio.sleep(0.1)
    await eventually(lambda: is_blocked(processes.first) and is_blocked(processes.other))


async def test_a_redis_that_hangs_holds_no_request_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    breaker = Breaker()
    sharing = SharedBreaker(breaker, f"redis://127.0.0.1:{port}/0", "test")
    await sharing.start()
    breaker.failed(facts(), failure(retry_after_s=0.01), time.monotonic())
    await asyncio.sleep(0.02)
    began = time.monotonic()
    assert await breaker.acquire(facts(), time.monotonic(), PROBE_S)
    assert time.monotonic() - began < CLAIM_S * 1.5
    await sharing.stop()
    server.close()


async def test_it_stops_also_when_its_cancellation_is_lost(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sharing = SharedBreaker(breaker := Breaker(), redis_url, f"test-{secrets.token_hex(4)}")
    await sharing.start()
    called = asyncio.Event()

    async def deaf() -> None:
        called.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)

    monkeypatch.setattr(sharing, "exchange", deaf)
    fail(breaker)
    await called.wait()
    async with asyncio.timeout(5):
        await sharing.stop()
