"""Writes notes to the database in the background, in groups; a subclass says what is noted.

What is noted waits in memory until the next write, so no answer waits for it. A failed write loses its group
and fails nothing else.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from typing import ClassVar, Generic, TypeVar

from asgiref.sync import sync_to_async
from django.db import DatabaseError, close_old_connections

from core.waiting import end

logger = logging.getLogger(__name__)

Note = TypeVar("Note")


class BackgroundWriter(ABC, Generic[Note]):
    """Writes the notes of one event loop every `every_s` seconds while there are any."""

    every_s: ClassVar[float]
    lost: ClassVar[str]  # the warning about a group that could not be written; %d: how many notes
    _noted: Collection[object]

    def __init__(self) -> None:
        self._writing: asyncio.Task[None] | None = None

    async def stop(self) -> None:
        """Write what is noted."""
        await end(self._writing)
        await self._write()

    @abstractmethod
    def _take(self) -> Sequence[Note]:
        """Return what is noted, and forget it."""

    @abstractmethod
    def _store(self, notes: Sequence[Note]) -> None:
        """Write the notes; called in a thread, with a usable connection."""

    def _write_later(self) -> None:
        """Call it after each note."""
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_repeatedly())

    async def _write_repeatedly(self) -> None:
        while self._noted:
            await asyncio.sleep(self.every_s)
            await self._write()

    async def _write(self) -> None:
        notes = self._take()
        if not notes:
            return
        try:
            await sync_to_async(self._store_in_thread, thread_sensitive=False)(notes)
        except DatabaseError:
            logger.warning(self.lost, len(notes), exc_info=True)

    def _store_in_thread(self, notes: Sequence[Note]) -> None:
        close_old_connections()  # this thread's connection may have broken since its last use
        self._store(notes)
