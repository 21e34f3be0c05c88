"""What one web process keeps between requests: connections, breaker, counters, catalog, ledger writer."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

import msgspec
from django.conf import settings

from accounts import callers
from billing.ledger import Ledger
from billing.limits import Limiter
from billing.writer import GroupWriter
from routing.catalog.live import Catalog
from routing.catalog.live import catalog as shared_catalog
from routing.catalog.upstreams import extra_providers
from routing.conversations import Conversations
from routing.decide.decision import load as load_decision
from routing.execute.breaker import Breaker
from routing.providers.config import Provider
from routing.providers.registry import Deadlines, Upstreams

logger = logging.getLogger(__name__)


class Runtime:
    """Belongs to one event loop; `start` before the first request, `stop` after the last."""

    def __init__(self) -> None:
        self.catalog: Catalog = shared_catalog
        self.breaker = Breaker()
        self.limiter = Limiter()
        self.conversations = Conversations()
        self.upstreams = Upstreams(
            msgspec.convert([*settings.PROVIDERS, *extra_providers()], list[Provider]),
            Deadlines(
                connect_s=settings.CONNECT_TIMEOUT_S,
                first_byte_s=settings.FIRST_BYTE_TIMEOUT_S,
                idle_s=settings.IDLE_TIMEOUT_S,
            ),
        )
        self._writer = GroupWriter()
        self.ledger = Ledger(self._writer)
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        await self.catalog.refresh()
        await asyncio.to_thread(load_decision)  # now, rather than during the first request
        self.catalog.start()

    async def stop(self) -> None:
        """Finish what was begun: settlements first, then the connections."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.catalog.stop()
        await self._writer.close()
        await self.upstreams.aclose()
        await asyncio.to_thread(callers.close)

    def finish(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run something that must end even when the request that began it is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("unfinished business of a request failed", exc_info=error)


_runtimes: dict[asyncio.AbstractEventLoop, Runtime] = {}


async def running() -> Runtime:
    """This event loop's runtime, started if it is not yet."""
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        runtime = _runtimes[loop] = Runtime()
        await runtime.start()
    return runtime


def alive() -> list[Runtime]:
    """The runtimes of this process, one an event loop."""
    return list(_runtimes.values())


async def stop() -> None:
    """Stop this event loop's runtime, if there is one."""
    runtime = _runtimes.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.stop()
