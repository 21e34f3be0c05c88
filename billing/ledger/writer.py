"""Grouped durable commits: many writes share one transaction, one transaction is in flight at a time.

A commit costs a disk flush, so requests that arrive together share one. A caller's future resolves only after
the commit (docs/ledger.md). While the database is away, writes that may be refused are refused after
`patience_s`; the others are retried until they are written.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from core.database import AWAY, database_unavailable

logger = logging.getLogger(__name__)

_MAX_BATCH = 500  # keeps a transaction short enough that its first waiter is not held up by its last
_MAX_BACKLOG = 20_000  # writes; beyond that, writes that may be refused are refused at once
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_CLOSING_S = 20.0  # how long a stopping process retries its remaining writes


class Write:
    """Base class of what can be written."""

    must_be_kept = True  # False: may be refused while the database is away


class Commits(Protocol):
    """How groups are committed, one at a time."""

    async def commit(self, writes: Sequence[Any], again: bool) -> list[Any]:
        """Commit the writes in one transaction; returns the result of each, or its exception.

        Raises AWAY while the database is away. Any other error belongs to some write of the group. `again`:
        they were tried before, and may have been committed if the connection broke after the commit, so
        applying them must be idempotent.
        """
        ...

    async def close(self) -> None: ...


class _Waiting:
    __slots__ = ("done", "since", "tried", "write")

    def __init__(self, write: Write, done: asyncio.Future[Any]) -> None:
        self.write, self.done = write, done
        self.since = time.monotonic()
        self.tried = False


class GroupWriter:
    """Queues writes of one event loop and commits them in order, in groups."""

    def __init__(self, commits: Commits, patience_s: float) -> None:
        self._commits, self.patience_s = commits, patience_s
        self._queue: deque[_Waiting] = deque()
        self._drain: asyncio.Task[None] | None = None
        self._closing_at: float | None = None

    @property
    def backlog(self) -> int:
        return len(self._queue)

    def write(self, write: Write) -> asyncio.Future[Any]:
        """Enqueue; the future resolves when the write is durable, or fails with the reason it can't be."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= _MAX_BACKLOG and not write.must_be_kept:
            done.set_exception(database_unavailable())
            return done
        self._queue.append(_Waiting(write, done))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._commit_groups())
        return done

    async def close(self) -> None:
        """Wait until everything enqueued is written, then close the connection.

        While the database is away this gives up after 20 s; the sweeper settles what stays open.
        """
        self._closing_at = time.monotonic()
        while self._drain is not None and not self._drain.done():
            await asyncio.shield(self._drain)
        await self._commits.close()

    async def _commit_groups(self) -> None:
        """Commit until the queue is empty.

        One group is in flight at a time; writes that arrive meanwhile form the next group, so groups grow
        with the load and a write waits for two commits at most. A group that fails because the database is
        away goes back to the front of the queue, in order, and is retried with growing pauses.
        """
        pause_s = _FIRST_PAUSE_S
        while self._queue:
            group = self._next_group()
            if not group:
                continue
            results = await self._commit([item.write for item in group], any(item.tried for item in group))
            if isinstance(results, list):
                pause_s = _FIRST_PAUSE_S
                for waiting, result in zip(group, results, strict=True):
                    _resolve(waiting.done, result)
            elif self._closing_at is not None and time.monotonic() > self._closing_at + _CLOSING_S:
                self._give_up(group, results)
            else:
                self._requeue(group)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _next_group(self) -> list[_Waiting]:
        """The next writes. A write that was never tried is dropped if its caller has cancelled it."""
        group: list[_Waiting] = []
        while self._queue and len(group) < _MAX_BATCH:
            waiting = self._queue.popleft()
            if waiting.write.must_be_kept or waiting.tried or not waiting.done.cancelled():
                group.append(waiting)
        return group

    async def _commit(self, writes: Sequence[Write], again: bool) -> list[Any] | Exception:
        """Commit one group; returns the result of each write, or the error if the database is away.

        An error that is not the database's absence belongs to some write of the group: each write is then
        committed alone, so that only the faulty one fails.
        """
        try:
            return await self._commits.commit(writes, again)
        except AWAY as error:
            logger.warning("the ledger cannot be written, retrying: %s", error)
            return error
        except Exception as error:
            if len(writes) == 1:
                return [error]
            logger.exception("a group of %d ledger writes failed; writing each alone", len(writes))
        return await self._commit_alone(writes)

    async def _commit_alone(self, writes: Sequence[Write]) -> list[Any] | Exception:
        """One transaction per write, so that an invalid row fails alone."""
        results: list[Any] = []
        for write in writes:
            result = await self._commit([write], again=True)
            if not isinstance(result, list):
                return result  # the earlier ones are committed; applying them again changes nothing
            results += result
        return results

    def _requeue(self, group: list[_Waiting]) -> None:
        """Put a failed group back, except writes that may be refused and have waited `patience_s`."""
        retried = []
        for waiting in group:
            waiting.tried = True
            if waiting.write.must_be_kept or time.monotonic() <= waiting.since + self.patience_s:
                retried.append(waiting)
            else:
                _resolve(waiting.done, database_unavailable())
        self._queue.extendleft(reversed(retried))

    def _give_up(self, group: list[_Waiting], error: Exception) -> None:
        lost = [*group, *self._queue]
        self._queue.clear()
        logger.error("%d ledger writes were lost because the process ended: %s", len(lost), error)
        for waiting in lost:
            _resolve(waiting.done, error)


def _resolve(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, BaseException):
        done.set_exception(result)
    else:
        done.set_result(result)
