"""Requests with an Idempotency-Key: answered once, and told again, byte for byte, to whoever repeats them.

Such a request runs in a task of its own: a caller who hangs up will come back for the answer, so it is
finished and kept. Requests without a key pass through untouched.
"""

import asyncio
import hashlib
import logging
import random
import time
import weakref
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.caller import Caller
from billing.ledger import idempotency
from billing.ledger.idempotency import (
    MOST_BYTES,
    Claim,
    Found,
    IdempotencyInProgress,
    IdempotencyNotReplayable,
    Outcome,
)
from core.database import from_database
from core.errors import ServiceUnavailable
from routing.doors.shared import sse
from routing.doors.shared.errors import api_error, error_response
from routing.pipeline import Context
from routing.state.runtime import running

logger = logging.getLogger(__name__)

REPLAYED = "Idempotency-Replayed"
_STEERING = "x-routeplex-"
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.1, 1.0  # between looks whether another process has ended the request
_AHEAD = 256  # frames recorded before the caller has taken them
_REPLAY_CHUNK = 64 * 1024

Respond = Callable[[], Awaitable[HttpResponseBase]]

_Place = tuple[asyncio.AbstractEventLoop, int, str, str]
# Those of a loop that run or claim now: twins in the same process wait for them, not for the database.
_under_way: dict[_Place, asyncio.Event] = {}


async def run_idempotently(
    request: HttpRequest, caller: Caller, context: Context, respond: Respond
) -> HttpResponseBase:
    """The response of `respond`, or the one that was given before under the same key.

    Raises IdempotencyConflict, IdempotencyInProgress, IdempotencyNotReplayable and, when the key cannot be
    claimed because the database is away, ServiceUnavailable; then nothing was asked of a provider.
    """
    if context.idempotency_key is None:
        return await respond()
    runtime = await running()
    print_ = fingerprint(request)
    place = asyncio.get_running_loop(), caller.account_id, context.idempotency_key, print_
    deadline, look_s = context.received_at + settings.REQUEST_TIMEOUT_S, _FIRST_LOOK_S
    while True:
        if (ended := _under_way.get(place)) is not None:
            await _until(ended, deadline)
            continue
        wish = Claim(
            account_id=caller.account_id,
            key=context.idempotency_key,
            fingerprint=print_,
            request_id=context.request_id,
            owner=runtime.heartbeat.owner,
            at=datetime.now(UTC),
        )
        ended = _under_way[place] = asyncio.Event()
        free = partial(_free, place, ended)
        run = _Run(wish, request.path, respond, free)
        runtime.finish(run.go()).add_done_callback(lambda _, free=free: free())  # type: ignore[misc]
        found = await asyncio.shield(run.begun)
        if isinstance(found, HttpResponseBase):
            return found
        if isinstance(found, Outcome):
            return replay(request, found)
        await _pause(look_s * random.uniform(0.8, 1.2), deadline)  # noqa: S311
        look_s = min(look_s * 1.5, _LONGEST_LOOK_S)


def _free(place: _Place, ended: asyncio.Event) -> None:
    """Let the twins look again; a second call changes nothing."""
    if _under_way.get(place) is ended:
        del _under_way[place]
    ended.set()


def fingerprint(request: HttpRequest) -> str:
    """SHA-256 of what makes a request the same: path, steering headers, body as sent."""
    steering = sorted(
        (name.lower(), value) for name, value in request.headers.items() if name.lower().startswith(_STEERING)
    )
    digest = hashlib.sha256()
    for part in (request.path, *(text for pair in steering for text in pair)):
        digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    digest.update(request.body)
    return digest.hexdigest()


def replay(request: HttpRequest, kept: Outcome) -> HttpResponseBase:
    """The kept response. Raises IdempotencyNotReplayable when its body is not there."""
    if kept.body is None:
        raise IdempotencyNotReplayable(
            f"The first request with this Idempotency-Key, {kept.request_id}, was answered and charged, but "
            "its answer could not be kept. It is not run again; use a new key for a new answer.",
            details={"request_id": kept.request_id},
        )
    request.request_id = kept.request_id  # type: ignore[attr-defined]
    return _response(kept.status, kept.headers | {REPLAYED: "true"}, zlib.decompress(kept.body))


def _response(status: int, headers: dict[str, str], body: bytes) -> HttpResponseBase:
    if not _is_stream(headers):
        return HttpResponse(body, status=status, headers=headers)
    others = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    return sse.EventStream(_in_chunks(body), others)


def _is_stream(headers: dict[str, str]) -> bool:
    return headers.get("Content-Type", "").startswith("text/event-stream")


async def _in_chunks(body: bytes) -> AsyncGenerator[bytes]:
    for start in range(0, len(body), _REPLAY_CHUNK):
        yield body[start : start + _REPLAY_CHUNK]


class _Run:
    """One try at a key: claim it and, if it is ours, answer and keep the answer, whoever listens still."""

    def __init__(self, wish: Claim, path: str, respond: Respond, free: Callable[[], None]) -> None:
        self._wish, self._path, self._respond, self._free = wish, path, respond, free
        # The response as soon as there is one; else what was found in the key's place.
        self.begun: asyncio.Future[HttpResponseBase | Outcome | Found] = (
            asyncio.get_running_loop().create_future()
        )

    async def go(self) -> None:
        try:
            found = await from_database(idempotency.claim, self._wish)
            if found is Found.CLAIMED:
                await self._answer()
            else:
                self.begun.set_result(found)
        except Exception as error:
            if self.begun.done():
                raise
            self.begun.set_exception(error)
            self.begun.exception()  # its caller may have left; asyncio need not tell of it

    async def _answer(self) -> None:
        try:
            response = await self._respond()
        except Exception as error:
            response = error_response(api_error(error), self._path, self._wish.request_id)
        if isinstance(response, sse.EventStream):
            await self._record(response)
            return
        assert isinstance(response, HttpResponse)
        # Kept before it is given: who has the answer finds it again.
        await self._end(response, await asyncio.to_thread(zlib.compress, response.content, 1))
        self.begun.set_result(response)

    async def _record(self, response: sse.EventStream) -> None:
        """Pass the frames on at the caller's pace and keep them; without the caller, only keep them."""
        live = _Live()
        headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
        self.begun.set_result(sse.EventStream(live.frames(), headers))
        packer, packed, size = zlib.compressobj(1), [], 0
        try:
            async with aclosing(aiter(response)) as frames:  # type: ignore[type-var]
                async for frame in frames:
                    await live.put(frame)
                    if size <= MOST_BYTES:
                        packed.append(packer.compress(frame))
                        size += len(packed[-1])
            packed.append(packer.flush())
            await self._end(response, b"".join(packed) if size <= MOST_BYTES else None)
        finally:
            await live.put(None)

    async def _end(self, response: HttpResponseBase, body: bytes | None) -> None:
        told = Outcome(self._wish.request_id, response.status_code, dict(response.headers.items()), body)
        try:
            await from_database(idempotency.end, self._wish, told)
        except ServiceUnavailable:  # it is charged and theirs all the same; the lease ends the claim
            logger.error("the outcome of request %s could not be kept", self._wish.request_id)
        self._free()


class _Live:
    """Frames on their way to a caller who may leave."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_AHEAD)
        self._left = asyncio.Event()

    def frames(self) -> AsyncGenerator[bytes]:
        """To be called once. Who closes it, or drops it unread, has left."""
        frames = self._frames(self._queue, self._left)
        weakref.finalize(frames, self._left.set)
        return frames

    async def put(self, frame: bytes | None) -> None:
        """Waits while the caller is behind; None is the end."""
        if not self._queue.full():
            self._queue.put_nowait(frame)
        elif not self._left.is_set():
            room = asyncio.ensure_future(self._queue.put(frame))
            left = asyncio.ensure_future(self._left.wait())
            await asyncio.wait((room, left), return_when=asyncio.FIRST_COMPLETED)
            room.cancel()
            left.cancel()

    @staticmethod
    async def _frames(queue: "asyncio.Queue[bytes | None]", left: asyncio.Event) -> AsyncGenerator[bytes]:
        try:
            while (frame := await queue.get()) is not None:
                yield frame
        finally:
            left.set()


async def _until(ended: asyncio.Event, deadline: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await ended.wait()
    except TimeoutError:
        raise _in_progress() from None


async def _pause(seconds: float, deadline: float) -> None:
    if time.monotonic() + seconds > deadline:
        raise _in_progress()
    await asyncio.sleep(seconds)


def _in_progress() -> IdempotencyInProgress:
    return IdempotencyInProgress(
        "The first request with this Idempotency-Key is still running. Ask again later with the same key.",
        headers={"Retry-After": "5"},
    )
