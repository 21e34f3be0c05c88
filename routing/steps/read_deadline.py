"""Ends an answer that its caller has not read by the request's deadline.

While a stream waits for its caller, the generator that makes it is suspended and none of its own deadlines
can pass: the ledger row would stay open, with its hold and its upstream call, as long as the caller likes.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

_AGAIN_S = 0.1  # until the next check, when the answer does not wait for its caller just at the deadline

End = Callable[[], Coroutine[Any, Any, None]]
Run = Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]


class ReadDeadline:
    """Runs `end` if the answer waits for its caller at the deadline or after it; `close` it in any case.

    `deadline`: time.monotonic(). Set `waiting` while the caller has the turn.
    """

    def __init__(self, deadline: float, end: End, run: Run) -> None:
        self.waiting = False
        self._end, self._run = end, run
        self._ending: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), self._on_timer)

    @property
    def has_passed(self) -> bool:
        return self._ending is not None

    async def close(self) -> None:
        """Stop watching; returns when an end that has begun is complete."""
        self._timer.cancel()
        if self._ending is not None:
            await asyncio.shield(self._ending)

    def _on_timer(self) -> None:
        if self.waiting:
            self._ending = self._run(self._end())
        else:  # it waits for the provider or the database, whose deadlines end it
            self._timer = self._loop.call_later(_AGAIN_S, self._on_timer)
