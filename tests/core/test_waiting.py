"""Cancellations: none is lost, and a task that loses one is cancelled again."""

import asyncio
from typing import Any

import pytest

from core import database, waiting
from core.database import from_database


async def test_a_task_that_loses_a_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_AGAIN_S", 0.01)
    received = []

    async def work() -> None:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                received.append(1)
                if len(received) == 3:
                    raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await asyncio.wait_for(waiting.end(None, task), 10)
    assert task.cancelled()
    assert len(received) == 3


async def test_a_task_that_fails_while_it_ends_raises_nothing() -> None:
    async def work() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            raise ValueError

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await waiting.end(task)
    assert isinstance(task.exception(), ValueError)


@pytest.mark.parametrize("steps", range(8))
async def test_a_query_loses_no_cancellation_that_arrives_with_its_result(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`steps`: turns of the event loop from the start of the query to the cancellation."""

    def at_once(work: Any, **_: Any) -> Any:
        async def run() -> Any:
            await asyncio.sleep(0)
            return work()

        return run

    monkeypatch.setattr(database, "sync_to_async", at_once)
    monkeypatch.setattr(database, "close_old_connections", lambda: None)
    task = asyncio.create_task(from_database(lambda: 7))
    for _ in range(steps):
        await asyncio.sleep(0)
    if task.done():
        assert await task == 7
        return
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
