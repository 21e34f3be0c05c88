"""Web processes as owners of open requests: each shows signs of life, so that a dead one's are settled.

Silence alone proves nothing, because a database that was away silenced everyone: the sweeper calls a process
dead when it finds it silent, and silent still some time later (billing/ledger/sweeper.py).
"""

import asyncio
import logging
import os
import socket
import uuid
from datetime import UTC, datetime

from django.conf import settings

from billing.models import Request, WebProcess
from core.database import database_now, from_database
from core.errors import ServiceUnavailable

logger = logging.getLogger(__name__)


class Heartbeat:
    """This process's sign of life while its event loop runs."""

    def __init__(self) -> None:
        self.owner = uuid.uuid4().hex
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await from_database(self._appear)
        self._task = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Sign off; requests that are still open then are left to the sweeper at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        try:
            await from_database(self._leave)
        except ServiceUnavailable:
            logger.warning("the process could not sign off; the sweeper will find it silent")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(settings.HEARTBEAT_S)
            try:
                await from_database(self._appear)
            except ServiceUnavailable:
                logger.warning("no sign of life could be written: the database is away")

    def _appear(self) -> None:
        now = database_now()
        seen = {"seen_at": now, "ahead_s": (datetime.now(UTC) - now).total_seconds()}
        process = {"host": socket.gethostname()[:120], "pid": os.getpid(), "started_at": now}
        WebProcess.objects.update_or_create(
            pk=self.owner, defaults=seen | {"missed_at": None}, create_defaults=process | seen
        )

    def _leave(self) -> None:
        if not Request.objects.filter(owner=self.owner, status=Request.Status.OPEN).exists():
            WebProcess.objects.filter(pk=self.owner).delete()
