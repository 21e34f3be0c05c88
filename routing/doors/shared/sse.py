"""Server-sent events: their format, and streams that keep a connection alive and clean up."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from json.encoder import encode_basestring_ascii
from typing import Any, Generic, TypeVar

from django.http import StreamingHttpResponse

Event = TypeVar("Event")

KEEP_ALIVE_S = 10.0
KEEP_ALIVE = b": keep-alive\n\n"
DONE = b"data: [DONE]\n\n"

_AHEAD = 256  # events read before the caller has taken them


def event(payload: Any) -> bytes:
    """One event. ASCII and lines ending in \\n: published scripts break on anything else."""
    return f"data: {json.dumps(payload, separators=(',', ':'))}\n\n".encode("ascii")


def quoted(text: str) -> str:
    """A JSON string in ASCII."""
    return encode_basestring_ascii(text)


class EventStream(StreamingHttpResponse):
    """A response of events. Closing the response closes its generator at once."""

    def __init__(self, frames: AsyncGenerator[bytes], headers: dict[str, str]) -> None:
        super().__init__(frames, content_type="text/event-stream", headers=headers)
        self.headers["Cache-Control"] = "no-cache"
        self.headers["X-Accel-Buffering"] = "no"  # nginx passes events on as they come
        self._frames = frames

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._frames


class Inflow(Generic[Event]):
    """Reads events ahead in a task, so that a timeout while waiting does not cancel their source.

    Use it as an async context manager; leaving it closes the generator and waits until it is closed.
    """

    def __init__(self, events: AsyncGenerator[Event]) -> None:
        self._events = events
        self._queue: asyncio.Queue[Event | _End] = asyncio.Queue(_AHEAD)
        self._end: _End | None = None

    async def __aenter__(self) -> "Inflow[Event]":
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def take(self, wait_s: float) -> list[Event] | None:
        """The events that have arrived; empty after `wait_s` of silence; None at the end.

        Raises the error of the source.
        """
        if self._end is not None:
            if self._end.error is not None:
                raise self._end.error
            return None
        batch: list[Event] = []
        try:
            async with asyncio.timeout(wait_s):
                item = await self._queue.get()
        except TimeoutError:
            return batch
        while not isinstance(item, _End):
            batch.append(item)
            if self._queue.empty():
                return batch
            item = self._queue.get_nowait()
        self._end = item
        return batch or await self.take(wait_s)

    async def _read(self) -> None:
        error: Exception | None = None
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    await self._queue.put(event)
        except Exception as exc:
            error = exc
        await self._queue.put(_End(error))


class _End:
    """Marks the end of the source, normally or with an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
