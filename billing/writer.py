"""Grouped durable commits: many writes share one transaction, one transaction is in flight at a time.

A commit costs a disk flush, so requests that arrive together pay for one. Writes run in a thread of their own
with its own database connection; whoever waits is woken only after the commit (spec/ledger.md, Two tables).
"""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import msgspec
from django.db import close_old_connections, connections, transaction

logger = logging.getLogger(__name__)

_MAX_BATCH = 500  # keeps a transaction short enough that its first waiter is not held up by its last


class Write(msgspec.Struct, frozen=True):
    """Something to be written; within a group lower ranks come first."""

    rank: ClassVar[int]

    @classmethod
    def apply_all(cls, writes: Sequence[Any]) -> None:
        """Write several of this very kind in as few statements as they allow."""
        raise NotImplementedError


class GroupWriter:
    """Queues writes of one event loop and commits them in order, in groups."""

    def __init__(self) -> None:
        self._queue: list[tuple[Write, asyncio.Future[None]]] = []
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="ledger")
        self._drain: asyncio.Task[None] | None = None

    def write(self, write: Write) -> asyncio.Future[None]:
        """Enqueue; the future is done when the write is durable, or carries the database's error."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((write, done))
        if self._drain is None or self._drain.done():
            self._drain = asyncio.create_task(self._commit_groups())
        return done

    async def close(self) -> None:
        """Wait until all that was enqueued is written, then give the connection back."""
        while self._drain is not None and not self._drain.done():
            await asyncio.shield(self._drain)
        await asyncio.get_running_loop().run_in_executor(self._thread, connections.close_all)
        self._thread.shutdown()

    async def _commit_groups(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            group, self._queue = self._queue[:_MAX_BATCH], self._queue[_MAX_BATCH:]
            errors = await loop.run_in_executor(self._thread, _commit, [write for write, _ in group])
            for (_, done), error in zip(group, errors, strict=True):
                if done.cancelled():
                    continue
                if error is None:
                    done.set_result(None)
                else:
                    done.set_exception(error)


def _commit(writes: Sequence[Write]) -> list[Exception | None]:
    """Write all in one transaction; if that fails, each in its own, so that one bad row fails alone."""
    close_old_connections()
    try:
        _apply_in_order(writes)
    except Exception:
        logger.exception("a group of %d ledger writes failed; writing each alone", len(writes))
        return [_apply_alone(write) for write in writes]
    return [None] * len(writes)


def _apply_alone(write: Write) -> Exception | None:
    try:
        _apply_in_order([write])
    except Exception as error:
        return error
    return None


def _apply_in_order(writes: Sequence[Write]) -> None:
    """By rank: a request's opening precedes its attempts, and they its settlement."""
    kinds: dict[type[Write], list[Write]] = {}
    for write in writes:
        kinds.setdefault(type(write), []).append(write)
    with transaction.atomic():
        for kind in sorted(kinds, key=lambda kind: kind.rank):
            kind.apply_all(kinds[kind])
