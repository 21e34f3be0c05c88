"""Running encoders with real worker processes, and texts for them."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from routing.encoder.artefact import ARTEFACT
from routing.encoder.encoder import Encoder

PATIENCE_S = 60.0  # for what takes a second on an idle machine


class Text(msgspec.Struct, frozen=True):
    """As much of a request's text as the encoder reads."""

    english: str
    system: str = ""
    history: str = ""


@asynccontextmanager
async def running(
    *, workers: int = 1, queue: int = 4, deadline_s: float = PATIENCE_S, folder: Path = ARTEFACT
) -> AsyncIterator[Encoder]:
    """An encoder whose workers are ready."""
    encoder = Encoder(workers=workers, queue=queue, deadline_s=deadline_s, folder=folder)
    encoder.start()
    try:
        await ready(encoder, workers)
        yield encoder
    finally:
        await encoder.stop()


async def ready(encoder: Encoder, workers: int = 1) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while len(encoder.workers) < workers:  # noqa: ASYNC110 - as an operator would watch it
            await asyncio.sleep(0.01)


async def judged_in_time(encoder: Encoder, request: Text) -> None:
    """Send a text until a second look at it is in time."""
    async with asyncio.timeout(PATIENCE_S):
        while await encoder.second_look(request) is None:  # noqa: ASYNC110 - on a busy machine
            await asyncio.sleep(0.01)


def pid(encoder: Encoder) -> int:
    """The process id of the only worker."""
    (worker,) = encoder.workers
    return worker.pid


def lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def ends(process: int) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while lives(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
