"""Heartbeats of web processes, the owners of open requests: the sweeper settles the requests of dead ones.

One missed heartbeat proves nothing, because no process can write one while the database is away: see
billing/ledger/sweeper.py.
"""

import asyncio
import logging
import os
import socket
import uuid
from datetime import UTC, datetime

from django.conf import settings

from billing.ledger.windows import move_shares
from billing.models import Request, WebProcess
from core.database import database_now, from_database
from core.errors import ServiceUnavailable
from core.waiting import end

logger = logging.getLogger(__name__)


class Heartbeat:
    """Writes this process's heartbeat while its event loop runs."""

    def __init__(self) -> None:
        self.owner = uuid.uuid4().hex
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await from_database(self._write_heartbeat)
        self._task = asyncio.create_task(self._beat())

    async def stop(self) -> None:
        """Delete the process's row, unless requests are open: the sweeper finds those by their owner."""
        await end(self._task)
        self._task = None
        try:
            await from_database(move_shares, [self.owner])
            await from_database(self._delete_unless_owner)
        except ServiceUnavailable:
            logger.warning("the process could not sign off; the sweeper will notice its missing heartbeats")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(settings.HEARTBEAT_S)
            try:
                await from_database(self._write_heartbeat)
            except ServiceUnavailable:
                logger.warning("the heartbeat could not be written: the database is away")

    def _write_heartbeat(self) -> None:
        now = database_now()
        heartbeat = {"seen_at": now, "ahead_s": (datetime.now(UTC) - now).total_seconds()}
        process = {"host": socket.gethostname()[:120], "pid": os.getpid(), "started_at": now}
        WebProcess.objects.update_or_create(
            pk=self.owner, defaults=heartbeat | {"missed_at": None}, create_defaults=process | heartbeat
        )

    def _delete_unless_owner(self) -> None:
        if not Request.objects.filter(owner=self.owner, status=Request.Status.OPEN).exists():
            WebProcess.objects.filter(pk=self.owner).delete()
