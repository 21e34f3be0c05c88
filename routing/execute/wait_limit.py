"""A deadline for one wait after another, with one timer for all of them."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


class WaitLimit:
    """As `asyncio.timeout` around each wait, for a stream that waits again for each of its events.

    Nearly all waits end long before their deadlines, so the timer is not set for each: when it fires before
    the deadline of the wait under way, it is set again.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = self._deadline = 0.0
        self._task: asyncio.Task[object] | None = None  # that waits
        self._has_passed = False

    async def wait(self, awaitable: Awaitable[Result], seconds: float) -> Result:
        """Raises TimeoutError."""
        task = self._task = asyncio.current_task()
        assert task is not None
        self._has_passed, cancelling = False, task.cancelling()
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._fires_at > self._deadline:
            self._set_timer()
        try:
            return await awaitable
        except asyncio.CancelledError:
            if self._has_passed and task.uncancel() <= cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._task = None

    def close(self) -> None:
        """After the last wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.close()
        self._fires_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._has_passed = True
            self._task.cancel()
