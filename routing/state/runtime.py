"""The state of one web process between requests: connections, breakers, counters, catalog, ledger writer."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings

from accounts import caller_lookup as callers
from billing.content.store import ContentStore
from billing.ledger.commits import commits
from billing.ledger.ledger import Ledger
from billing.ledger.limits import Limiter
from billing.ledger.processes import Heartbeat
from billing.ledger.rate_limits import DatabaseRates, MemoryRates, Rates
from billing.ledger.redis_rate_limits import RedisRates
from billing.ledger.writer import GroupWriter
from billing.refusals.recorder import RefusalRecorder
from core.fair_turns import FairTurns
from routing.catalog.live import Catalog
from routing.catalog.live import catalog as shared_catalog
from routing.catalog.upstreams import extra_providers
from routing.decide.decision import load as load_decision
from routing.decide.prediction.tokens import load as load_tokenizers
from routing.encoder.artefact import is_available
from routing.encoder.encoder import Encoder
from routing.execute.breaker import Breaker
from routing.execute.shared_breaker import SharedBreaker
from routing.learning.account import Learned
from routing.providers.transport.config import Provider
from routing.providers.upstreams import Deadlines, Upstreams
from routing.state import conversations, outages, reasoning, responses

logger = logging.getLogger(__name__)


# Decisions of 1 ms each, after which the event loop looks at its sockets again.
DECISIONS_PER_TURN = 4


class Runtime:
    """The state of one event loop; `start` it before the first request, `stop` it after the last."""

    def __init__(self, encoder: Encoder | None = None) -> None:
        self.catalog: Catalog = shared_catalog
        self.breaker = Breaker()
        self.draw: Callable[[], float] = settings.EXPLORATION_DRAW
        self.encoder = encoder or _encoder()
        self._shared_breaker = (
            SharedBreaker(self.breaker, settings.REDIS_URL, settings.REDIS_PREFIX)
            if settings.REDIS_URL
            else None
        )
        self.heartbeat = Heartbeat()
        self.decision_turns = FairTurns(DECISIONS_PER_TURN)
        self.limiter = Limiter(_rates(), timedelta(seconds=settings.REQUEST_TIMEOUT_S))
        self.conversations = conversations.Conversations(conversations.store())
        self.reasoning = reasoning.Reasoning(reasoning.store())
        self.responses = responses.Responses(responses.store())
        self.learned = Learned()
        self.refusals = RefusalRecorder()
        self.contents = ContentStore()
        self.upstreams = Upstreams(
            msgspec.convert([*settings.PROVIDERS, *extra_providers()], list[Provider]),
            Deadlines(
                connect_s=settings.CONNECT_TIMEOUT_S,
                first_byte_s=settings.FIRST_BYTE_TIMEOUT_S,
                idle_s=settings.IDLE_TIMEOUT_S,
            ),
        )
        self._writer = GroupWriter(commits(), settings.DATABASE_PATIENCE_S)
        self.ledger = Ledger(self._writer)
        self._tasks: set[asyncio.Task[Any]] = set()
        outages.watch(self.breaker, self.finish)

    async def start(self) -> None:
        await self.catalog.refresh()
        # Now, rather than during the first request, and not in a thread, whose heap would keep freed memory.
        load_decision()
        load_tokenizers()
        await self.heartbeat.start()
        if self._shared_breaker is not None:
            await self._shared_breaker.start()
        self.catalog.start()

    async def stop(self) -> None:
        """Finish the background work first, such as settlements, then close the connections."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.encoder.stop()
        await self.catalog.stop()
        await self.learned.stop()
        await self.refusals.stop()
        await self.contents.stop()
        if self._shared_breaker is not None:
            await self._shared_breaker.stop()
        await self._writer.close()
        await self.heartbeat.stop()
        await self.limiter.close()
        await self.reasoning.close()
        await self.responses.close()
        await self.conversations.close()
        await self.upstreams.aclose()
        await asyncio.to_thread(callers.close_connections)

    def finish(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run work that must end even when the request that started it is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("background work of a request failed", exc_info=error)


def _rates() -> Rates:
    """Requests are counted in Redis, in this process if it is the only one, else in the ledger."""
    if settings.REDIS_URL:
        return RedisRates(settings.REDIS_URL, settings.REDIS_PREFIX)
    return MemoryRates() if settings.WEB_WORKERS == 1 else DatabaseRates()


def _encoder() -> Encoder:
    is_on = settings.ENCODER == "auto" and is_available()
    return Encoder(
        workers=settings.ENCODER_WORKERS if is_on else 0,
        queue=settings.ENCODER_QUEUE,
        deadline_s=settings.ENCODER_DEADLINE_MS / 1000,
    )


_runtimes: dict[asyncio.AbstractEventLoop, Runtime] = {}


async def running() -> Runtime:
    """This event loop's runtime, started at the first call."""
    loop = asyncio.get_running_loop()
    runtime = _runtimes.get(loop)
    if runtime is None:
        runtime = _runtimes[loop] = Runtime()
        await runtime.start()
    return runtime


def of_this_loop() -> Runtime | None:
    """This event loop's runtime, if it has been started."""
    return _runtimes.get(asyncio.get_running_loop())


def alive() -> list[Runtime]:
    """The runtimes of this process, one per event loop."""
    return list(_runtimes.values())


async def stop() -> None:
    """Stop this event loop's runtime, if there is one."""
    runtime = _runtimes.pop(asyncio.get_running_loop(), None)
    if runtime is not None:
        await runtime.stop()
