"""Grouped durable commits: many writes share one transaction, one transaction is in flight at a time.

A commit costs a disk flush, so requests that arrive together pay for one. Writes run in a thread of their own
with its own database connection; whoever waits is woken only after the commit (spec/ledger.md, Two tables).
When the database is away, what may be refused is refused after a short patience, and what must not be lost is
kept and tried again until it is written (spec/reliability.md rows 22 and 25).
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import close_old_connections, connections, transaction

from core.database import AWAY, database_unavailable

logger = logging.getLogger(__name__)

_MAX_BATCH = 500  # keeps a transaction short enough that its first waiter is not held up by its last
_MAX_BACKLOG = 20_000  # writes; beyond, what may be refused is refused at once
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 1.0
_CLOSING_S = 20.0  # how long a stopping process tries to write what it still has


class Write:
    """Something to be written. `apply_all` of its group decides the order."""

    must_be_kept = True  # False: may be refused while the database is away


# Applies a group inside one transaction; returns each write's result, or the exception that is its alone.
# `again`: these writes were tried before and may have been committed without our being told.
Apply = Callable[[Sequence[Any], bool], list[Any]]


class _Waiting:
    __slots__ = ("done", "since", "tried", "write")

    def __init__(self, write: Write, done: asyncio.Future[Any]) -> None:
        self.write, self.done = write, done
        self.since = time.monotonic()
        self.tried = False


class GroupWriter:
    """Queues writes of one event loop and commits them in order, in groups."""

    def __init__(self, apply: Apply, patience_s: float) -> None:
        self._apply, self.patience_s = apply, patience_s
        self._queue: deque[_Waiting] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._drain: asyncio.Task[None] | None = None
        self._closing_at: float | None = None

    @property
    def backlog(self) -> int:
        return len(self._queue)

    def write(self, write: Write) -> asyncio.Future[Any]:
        """Enqueue; the future is done when the write is durable, or carries why it can't be."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if len(self._queue) >= _MAX_BACKLOG and not write.must_be_kept:
            done.set_exception(database_unavailable())
            return done
        self._queue.append(_Waiting(write, done))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._commit_groups())
        return done

    async def close(self) -> None:
        """Wait until all that was enqueued is written, then give the connection back.

        With the database away that ends after some seconds; the sweeper settles what stays open.
        """
        self._closing_at = time.monotonic()
        while self._drain is not None and not self._drain.done():
            await asyncio.shield(self._drain)
        await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        self._thread.shutdown()

    async def _commit_groups(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while self._queue:
            group = self._next_group()
            if not group:
                continue
            results = await asyncio.get_running_loop().run_in_executor(
                self._thread, self._commit, [one.write for one in group], any(one.tried for one in group)
            )
            if isinstance(results, list):
                pause_s = _FIRST_PAUSE_S
                for one, result in zip(group, results, strict=True):
                    _tell(one.done, result)
            elif self._closing_at is not None and time.monotonic() > self._closing_at + _CLOSING_S:
                self._give_up(group, results)
            else:
                self._keep(group)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    def _next_group(self) -> list[_Waiting]:
        """The next writes, without those whose caller has left before anything of them was tried."""
        group: list[_Waiting] = []
        while self._queue and len(group) < _MAX_BATCH:
            one = self._queue.popleft()
            if one.write.must_be_kept or one.tried or not one.done.cancelled():
                group.append(one)
        return group

    def _commit(self, writes: Sequence[Write], again: bool) -> list[Any] | Exception:
        """Each write's result, or the error of a database that can't be written to now."""
        try:
            close_old_connections()
            with transaction.atomic():
                return self._apply(writes, again)
        except AWAY as error:
            logger.warning("the ledger cannot be written, trying again: %s", error)
            connections.close_all()
            return error
        except Exception as error:
            if len(writes) == 1:
                return [error]
            logger.exception("a group of %d ledger writes failed; writing each alone", len(writes))
        return self._commit_alone(writes, again)

    def _commit_alone(self, writes: Sequence[Write], again: bool) -> list[Any] | Exception:
        """One transaction a write, so that one bad row fails alone."""
        results: list[Any] = []
        for write in writes:
            result = self._commit([write], again)
            if not isinstance(result, list):
                return result  # those before are committed: trying them again changes nothing
            results += result
        return results

    def _keep(self, group: list[_Waiting]) -> None:
        """Put back what failed with the database, but refuse what has waited longer than its patience."""
        kept = []
        for one in group:
            one.tried = True
            if one.write.must_be_kept or time.monotonic() <= one.since + self.patience_s:
                kept.append(one)
            else:
                _tell(one.done, database_unavailable())
        self._queue.extendleft(reversed(kept))

    def _give_up(self, group: list[_Waiting], error: Exception) -> None:
        lost = [*group, *self._queue]
        self._queue.clear()
        logger.error("%d ledger writes were not made before the process ended: %s", len(lost), error)
        for one in lost:
            _tell(one.done, error)


def _tell(done: asyncio.Future[Any], result: Any) -> None:
    if done.done():
        return
    if isinstance(result, BaseException):
        done.set_exception(result)
    else:
        done.set_result(result)
