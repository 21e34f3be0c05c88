"""One timer for many waits: each has its own deadline, and cancellation passes through."""

import asyncio

import pytest

from core.waiting import done_within
from routing.execute.wait_limit import WaitLimit


async def test_a_wait_ends_at_its_own_deadline() -> None:
    limit, began = WaitLimit(), asyncio.get_running_loop().time()
    assert await limit.wait(asyncio.sleep(0.02, "early"), 0.05) == "early"
    with pytest.raises(TimeoutError):  # the timer of the first wait does not end the second
        await limit.wait(asyncio.sleep(9), 0.15)
    assert 0.15 <= asyncio.get_running_loop().time() - began < 2
    await limit.wait(asyncio.sleep(0.01), 9)
    with pytest.raises(TimeoutError):  # a deadline before that of the timer that is set
        await limit.wait(asyncio.sleep(9), 0.01)
    assert await limit.wait(asyncio.sleep(0, "later"), 1) == "later"
    limit.close()


async def test_a_cancelled_wait_is_cancelled() -> None:
    limit = WaitLimit()
    waiting = asyncio.create_task(limit.wait(asyncio.sleep(9), 5))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    limit.close()


async def test_waiting_for_a_future_does_not_cancel_it() -> None:
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    assert not await done_within(future, 0.01)
    waiting = asyncio.create_task(done_within(future, 5))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not future.cancelled()
    asyncio.get_running_loop().call_later(0.01, future.set_result, 1)
    assert await done_within(future, 5)
