"""The second look: texts go to a free worker within a deadline, and recent results are remembered.

A worker has one text at a time, and a few wait here: a text whose deadline passes while it waits is taken
back before it costs anything. A result that comes too late is remembered, for the same request sent again.
"""

import asyncio
import hashlib
import logging
import secrets
from collections import Counter, deque
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from cachetools import LRUCache

from core.waiting import end
from routing.decide.prediction.second_look import SecondLook
from routing.encoder.artefact import ARTEFACT
from routing.encoder.messages import Estimate, decode_estimate, encode, texts
from routing.encoder.process import WorkerProcess

logger = logging.getLogger(__name__)

REMEMBERED = 4096  # results; about 1 kB each
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 60.0  # before a worker is started again; doubled while none replies


class JudgedText(Protocol):
    """The parts of `RequestText` that the encoder reads."""

    @property
    def english(self) -> str: ...
    @property
    def system(self) -> str: ...
    @property
    def history(self) -> str: ...


class Result(StrEnum):
    """How second looks ended, as counted in `Encoder.counts`. All but the first two gave none."""

    NEW = "new"
    REMEMBERED = "remembered"
    OFF = "off"
    FULL = "full"
    LATE = "late"
    FAILED = "failed"


class _Job(msgspec.Struct, eq=False):
    key: bytes
    message: bytes
    estimate: asyncio.Future[Estimate | None]


class Encoder:
    """Takes second looks in worker processes of its own, from the first one or `start` to `stop`."""

    def __init__(
        self,
        *,
        workers: int,
        queue: int,
        deadline_s: float,
        folder: Path = ARTEFACT,
    ) -> None:
        """`workers`: processes, 0 when off. `queue`: texts that may wait for a worker."""
        self.counts: Counter[Result] = Counter()
        self.workers: set[WorkerProcess] = set()  # those that are ready
        self._number, self._queue, self._deadline_s, self._folder = workers, queue, deadline_s, folder
        self._idle: list[WorkerProcess] = []
        self._waiting: deque[_Job] = deque()
        self._remembered: LRUCache[bytes, Estimate] = LRUCache(REMEMBERED)
        self._key = secrets.token_bytes(32)  # a dump of the keys does not tell which texts were sent
        self._tasks: list[asyncio.Task[None]] = []
        self._is_stopped = False

    def start(self) -> None:
        """Return at once; until a worker is ready, second looks fail.

        The first second look does this too: a worker takes 60 MB, and many deployments never need it.
        """
        self._tasks = [asyncio.create_task(self._keep_running()) for _ in range(self._number)]

    async def stop(self) -> None:
        self._is_stopped = True
        await end(*self._tasks)
        self._tasks.clear()

    async def second_look(self, text: JudgedText) -> SecondLook | None:
        """Return None when there is no result within the deadline; `counts` has the reason."""
        result, estimate = await self._estimate(text)
        self.counts[result] += 1
        if estimate is None:
            return None
        return SecondLook(estimate.level, estimate.answer_tokens, estimate.skills)

    async def _estimate(self, text: JudgedText) -> tuple[Result, Estimate | None]:
        if not self._number or self._is_stopped:
            return Result.OFF, None
        if not self._tasks:
            self.start()
        message = encode(texts(text.english, text.system, text.history))
        key = hashlib.blake2b(message, key=self._key, digest_size=16).digest()
        if (remembered := self._remembered.get(key)) is not None:
            return Result.REMEMBERED, remembered
        if not self.workers:
            return Result.FAILED, None
        if not self._idle and len(self._waiting) >= self._queue:
            return Result.FULL, None
        job = _Job(key, message, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._hand_out()
        try:
            await asyncio.wait((job.estimate,), timeout=self._deadline_s)
        finally:  # also when the caller disconnected
            if job in self._waiting:
                self._waiting.remove(job)
        if not job.estimate.done():
            return Result.LATE, None
        estimate = job.estimate.result()
        return Result.FAILED if estimate is None else Result.NEW, estimate

    def _hand_out(self) -> None:
        while self._waiting and self._idle:
            job, worker = self._waiting.popleft(), self._idle.pop()
            worker.submit(job.message, partial(self._settle, job, worker))

    def _settle(self, job: _Job, worker: WorkerProcess, message: bytes | None) -> None:
        """Take a worker's reply; None when it ended before it replied."""
        estimate = None if message is None else decode_estimate(message)
        if estimate is not None:
            self._remembered[job.key] = estimate
        job.estimate.set_result(estimate)
        if message is not None:
            self._idle.append(worker)
            self._hand_out()

    async def _keep_running(self) -> None:
        """Run one worker, and start another when it ends."""
        pause_s = FIRST_PAUSE_S
        while True:
            worker = WorkerProcess(self._folder)
            try:
                await worker.start()
                self.workers.add(worker)
                self._idle.append(worker)
                self._hand_out()
                await asyncio.wait((worker.ended,))
            except OSError as error:  # also ChildProcessError
                logger.warning("an encoder worker could not start: %s", error)
            finally:
                self._remove(worker)
                await worker.end()
            pause_s = FIRST_PAUSE_S if worker.replied else min(2 * pause_s, LONGEST_PAUSE_S)
            logger.warning("an encoder worker ended; another is started in %g s", pause_s)
            await asyncio.sleep(pause_s)

    def _remove(self, worker: WorkerProcess) -> None:
        self.workers.discard(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        if not self.workers:
            while self._waiting:
                self._waiting.popleft().estimate.set_result(None)
