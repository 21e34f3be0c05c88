"""Turns of the event loop, shared out among tasks that each compute for a millisecond or more.

An event loop runs all tasks that are ready before it looks at its sockets again. When a thousand requests
become ready together, streams and database commits would wait until all of them have computed.
"""

import asyncio
from collections import deque


class FairTurns:
    """Lets `per_turn` tasks compute in each turn of the event loop, in the order in which they come.

    Belongs to one event loop.
    """

    def __init__(self, per_turn: int) -> None:
        self._per_turn = self._left = per_turn
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._is_turning = False  # `_turn` is called in the loop's next turn

    async def wait(self) -> None:
        """Return when it is the caller's turn: at once while places are left in this one."""
        loop = asyncio.get_running_loop()
        if not self._is_turning:
            self._is_turning = True
            loop.call_soon(self._turn)
        if self._left and not self._waiting:
            self._left -= 1
            return
        waiting: asyncio.Future[None] = loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _turn(self) -> None:
        self._left = self._per_turn
        while self._left and self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():  # its task may have been cancelled
                waiting.set_result(None)
                self._left -= 1
        self._is_turning = bool(self._waiting)
        if self._is_turning:
            asyncio.get_running_loop().call_soon(self._turn)
