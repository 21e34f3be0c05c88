"""Waiting for futures: with a deadline, or until a cancelled task has ended."""

import asyncio
from typing import Any

_AGAIN_S = 1.0


async def end(*tasks: "asyncio.Task[Any] | None") -> None:
    """Cancel the tasks and wait until they have ended, whatever their result. None stands for no task.

    A library may lose a cancellation: one that arrives together with what the task waits for, or with a
    deadline. A task that still runs is therefore cancelled again each second.
    """
    running = {task for task in tasks if task is not None}
    while running:
        for task in running:
            task.cancel()
        ended, running = await asyncio.wait(running, timeout=_AGAIN_S)
        for task in ended:
            if not task.cancelled():
                task.exception()  # read, so that asyncio does not log it


async def done_within(future: "asyncio.Future[Any]", seconds: float) -> bool:
    """Return whether the future is done by then. As `asyncio.wait` of one future, at a third of its cost."""
    if future.done():
        return True
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    timer = loop.call_later(seconds, wake)
    future.add_done_callback(wake)
    try:
        await waiter
    finally:
        timer.cancel()
        future.remove_done_callback(wake)
    return future.done()
