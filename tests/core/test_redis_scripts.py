"""Calls of Redis scripts go together, and are answered in their order."""

import asyncio
import time
from typing import Any

import pytest

from core.redis_scripts import ScriptConnection
from core.shared_redis import RedisAway, Script, SharedRedis

COUNT = Script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
BROKEN = Script("return redis.call('INCRBY', KEYS[1], 'x')")


async def test_each_call_gets_its_own_result(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=3.0, meanwhile="tests")
    calls = (shared.script(COUNT, [f"counter {number}"], [number]) for number in range(250))
    assert await asyncio.gather(*calls) == list(range(250))
    await shared.close()


async def test_a_script_that_redis_has_forgotten_is_sent_again(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=3.0, meanwhile="tests")
    assert await shared.script(COUNT, ["forgotten"], [1]) == 1
    await shared.client.script_flush()
    assert await shared.script(COUNT, ["forgotten"], [1]) == 2
    await shared.close()


async def test_a_cancelled_call_does_not_disturb_the_others(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=3.0, meanwhile="tests")
    leaving = asyncio.create_task(shared.script(COUNT, ["left"], [1]))
    staying = asyncio.create_task(shared.script(COUNT, ["stayed"], [1]))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == 1
    await shared.close()


async def test_a_failing_script_fails_no_other_call(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=3.0, meanwhile="tests")
    calls = (shared.script(script, ["failing"], [1]) for script in (COUNT, BROKEN))
    count, failure = await asyncio.gather(*calls, return_exceptions=True)
    assert (count, type(failure)) == (1, RedisAway)
    with pytest.raises(RedisAway):  # and Redis is left alone for a while
        await shared.script(COUNT, ["failing"], [1])
    await shared.close()


async def test_a_reply_that_does_not_come_fails_all_calls_in_time(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=0.1, meanwhile="tests")
    assert await shared.script(COUNT, ["counter"], [1]) == 1
    own_redis.pause()
    began = time.monotonic()
    calls = (shared.script(COUNT, ["counter"], [1]) for _ in range(3))
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [RedisAway] * 3
    assert time.monotonic() - began < 1
    own_redis.resume()
    await shared.close()


async def test_a_lost_connection_is_made_again(own_redis: Any) -> None:
    shared = SharedRedis(own_redis.url, timeout_s=3.0, meanwhile="tests")
    assert await shared.script(COUNT, ["counter"], [1]) == 1
    await shared.client.client_kill_filter(_type="normal", skipme=True)
    await asyncio.sleep(0.05)
    assert await shared.script(COUNT, ["counter"], [1]) == 2
    await shared.close()


async def test_a_reply_may_arrive_in_pieces_of_any_size() -> None:
    received: list[Any] = []
    connection = ScriptConnection(None, 1.0)  # type: ignore[arg-type]
    connection._take = received.append  # type: ignore[method-assign]
    for byte in b"*2\r\n:1\r\n*3\r\n:7\r\n$3\r\na\r\n\r\n$-1\r\n>1\r\n+x\r\n_\r\n:-1\r\n":
        connection.data_received(bytes([byte]))
    assert received == [[1, [7, b"a\r\n", None]], None, -1]
