"""Server-sent events: their format, and streams that keep a connection alive and clean up."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from json.encoder import encode_basestring_ascii
from typing import Any, Generic, TypeVar

from django.http import StreamingHttpResponse

from core.waiting import end

Event = TypeVar("Event")

KEEP_ALIVE_S = 10.0
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

# `json.dumps` makes an encoder for each call with separators.
_json = json.JSONEncoder(separators=(",", ":")).encode
_AHEAD = 2  # batches of events read before the caller has taken them


def event(payload: Any) -> bytes:
    """One event. ASCII and lines ending in \\n: published scripts break on anything else."""
    return f"data: {_json(payload)}\n\n".encode("ascii")


def quoted(text: str) -> str:
    """A JSON string in ASCII."""
    return encode_basestring_ascii(text)


class EventStream(StreamingHttpResponse):
    """A response of events. Closing the response closes its generator at once."""

    def __init__(self, frames: AsyncGenerator[bytes], headers: dict[str, str]) -> None:
        super().__init__(frames, content_type="text/event-stream", headers=headers)
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"  # nginx passes events on as they come
        self.frames = frames

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self.frames


class Inflow(Generic[Event]):
    """Reads batches of events ahead in a task, so that a timeout while waiting does not cancel their source.

    Use it as an async context manager; leaving it closes the generator and waits until it is closed.
    """

    def __init__(self, batches: AsyncGenerator[Sequence[Event]]) -> None:
        self._batches = batches
        self._queue: asyncio.Queue[Sequence[Event] | _End] = asyncio.Queue(_AHEAD)
        self._end: _End | None = None

    async def __aenter__(self) -> "Inflow[Event]":
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await end(self._reader)

    async def take(self, wait_s: float) -> list[Event] | None:
        """The events that have arrived; empty after `wait_s` of silence; None at the end.

        Raises the error of the source.
        """
        if self._end is not None:
            if self._end.error is not None:
                raise self._end.error
            return None
        taken: list[Event] = []
        if not self._queue.empty():
            batch = self._queue.get_nowait()
        else:
            try:
                async with asyncio.timeout(wait_s):
                    batch = await self._queue.get()
            except TimeoutError:
                return taken
        while not isinstance(batch, _End):
            taken += batch
            if self._queue.empty():
                return taken
            batch = self._queue.get_nowait()
        self._end = batch
        return taken or await self.take(wait_s)

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async with aclosing(self._batches) as batches:
                async for batch in batches:
                    await self._queue.put(batch)
        except Exception as exc:
            error = exc
        await self._queue.put(_End(error))


class _End:
    """Marks the end of the source, normally or with an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
