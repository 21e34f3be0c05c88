"""Runs a request with an Idempotency-Key once, and replays its response, byte for byte, to repetitions.

Such a request runs in a background task: a caller who disconnects may return for the response, so the request
finishes and its response is stored. Requests without a key are not affected.
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
    ClaimResult,
    IdempotencyInProgress,
    IdempotencyNotReplayable,
    Outcome,
)
from core.database import from_database
from core.errors import ServiceUnavailable
from routing.doors.shared import sse
from routing.pipeline import Context
from routing.state.runtime import running

logger = logging.getLogger(__name__)

REPLAYED = "Idempotency-Replayed"
_STEERING = "x-routeplex-"
_FIRST_POLL_S, _LONGEST_POLL_S = 0.1, 1.0  # between checks whether another process has finished the request
_FRAMES_AHEAD = 4  # recorded before the caller has taken them; each has the events that arrived together
_REPLAY_CHUNK = 64 * 1024  # bytes

Respond = Callable[[], Awaitable[HttpResponseBase]]
OnError = Callable[[Exception], HttpResponseBase]

_Place = tuple[asyncio.AbstractEventLoop, int, str, str]  # loop, account id, key, fingerprint
# Requests that claim or run now. Duplicates in the same process wait for the event, not for the database.
_in_progress: dict[_Place, asyncio.Event] = {}


async def run_idempotently(
    request: HttpRequest, caller: Caller, context: Context, respond: Respond, on_error: OnError
) -> HttpResponseBase:
    """The response of `respond`, or the stored response of an earlier request with the same key.

    `on_error` renders an exception of `respond`: an error response is stored like any other. Raises
    IdempotencyConflict, IdempotencyInProgress, IdempotencyNotReplayable and, when the database is
    unavailable and the key cannot be claimed, ServiceUnavailable; in that case no provider was called.
    """
    if context.idempotency_key is None:
        return await respond()
    runtime = await running()
    digest = fingerprint(request)
    place = asyncio.get_running_loop(), caller.account_id, context.idempotency_key, digest
    deadline, poll_s = context.received_at + settings.REQUEST_TIMEOUT_S, _FIRST_POLL_S
    # Each round tries to claim the key; one request holds the claim, across all processes. A duplicate in
    # this process waits for `finished` and tries again: it finds the stored response, or claims the key
    # itself if the first request stored none. A duplicate in another process finds the claim taken in the
    # database and polls with growing pauses. A process that dies loses its claim when its lease runs out.
    while True:
        if (finished := _in_progress.get(place)) is not None:
            await _wait_for(finished, deadline)
            continue
        claim = Claim(
            account_id=caller.account_id,
            key=context.idempotency_key,
            fingerprint=digest,
            request_id=context.request_id,
            owner=runtime.heartbeat.owner,
            at=datetime.now(UTC),
        )
        finished = _in_progress[place] = asyncio.Event()
        release = partial(_release, place, finished)
        run = _Run(claim, respond, on_error, release)
        runtime.finish(run.go()).add_done_callback(lambda _, release=release: release())  # type: ignore[misc]
        try:
            result = await asyncio.shield(run.result)  # shielded: the run outlives a caller who disconnects
        except asyncio.CancelledError:
            run.abandon()
            raise
        if isinstance(result, _LiveFrames):
            return result.response()
        if isinstance(result, HttpResponse):
            return result
        if isinstance(result, Outcome):
            return replay(request, result)
        await _pause(poll_s * random.uniform(0.8, 1.2), deadline)  # noqa: S311
        poll_s = min(poll_s * 1.5, _LONGEST_POLL_S)


def _release(place: _Place, finished: asyncio.Event) -> None:
    """Wake the duplicates that wait in this process. A second call changes nothing."""
    if _in_progress.get(place) is finished:
        del _in_progress[place]
    finished.set()


def fingerprint(request: HttpRequest) -> str:
    """SHA-256 of what identifies a request: path, steering headers, and the body as sent."""
    steering = sorted(
        (name.lower(), value) for name, value in request.headers.items() if name.lower().startswith(_STEERING)
    )
    digest = hashlib.sha256()
    for part in (request.path, *(text for pair in steering for text in pair)):
        digest.update(f"{len(part)}:{part}".encode("utf-8", "surrogatepass"))
    digest.update(request.body)
    return digest.hexdigest()


def replay(request: HttpRequest, stored: Outcome) -> HttpResponseBase:
    """The stored response. Raises IdempotencyNotReplayable when its body was not stored."""
    if stored.body is None:
        raise IdempotencyNotReplayable(
            f"The first request with this Idempotency-Key, {stored.request_id}, was answered and charged, "
            "but its answer could not be kept. It is not run again; use a new key for a new answer.",
            details={"request_id": stored.request_id},
        )
    request.request_id = stored.request_id  # type: ignore[attr-defined]
    return _response(stored.status, stored.headers | {REPLAYED: "true"}, zlib.decompress(stored.body))


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
    """One attempt at a key: claim it and, on success, run the request and store its response."""

    def __init__(
        self, claim: Claim, respond: Respond, on_error: OnError, release: Callable[[], None]
    ) -> None:
        self._claim, self._respond, self._on_error, self._release = claim, respond, on_error, release
        # The response as soon as it starts; without the claim, what the database holds for the key.
        self.result: asyncio.Future[HttpResponse | _LiveFrames | Outcome | ClaimResult] = (
            asyncio.get_running_loop().create_future()
        )
        self._left = asyncio.Event()

    def abandon(self) -> None:
        """The caller disconnected before the response started: its frames have no reader."""
        self._left.set()

    async def go(self) -> None:
        try:
            state = await from_database(idempotency.acquire, self._claim)
            if state is ClaimResult.CLAIMED:
                await self._answer()
            else:
                self.result.set_result(state)
        except Exception as error:
            if self.result.done():
                raise
            self.result.set_exception(error)
            self.result.exception()  # marks it as retrieved: the caller may be gone

    async def _answer(self) -> None:
        try:
            response = await self._respond()
        except Exception as error:
            response = self._on_error(error)
        if isinstance(response, sse.EventStream):
            await self._record(response)
            return
        assert isinstance(response, HttpResponse)
        # Stored before it is sent: a caller who has the response can always fetch it again.
        await self._store(response, await asyncio.to_thread(zlib.compress, response.content, 1))
        self.result.set_result(response)

    async def _record(self, response: sse.EventStream) -> None:
        """Pass frames on at the caller's pace and store them; once the caller has left, only store them."""
        headers = {name: value for name, value in response.headers.items() if name != "Content-Type"}
        live = _LiveFrames(headers, self._left)
        self.result.set_result(live)
        packer, packed, size = zlib.compressobj(1), [], 0
        try:
            async with aclosing(aiter(response)) as frames:  # type: ignore[type-var]
                async for frame in frames:
                    await live.put(frame)
                    if size <= MOST_BYTES:
                        packed.append(packer.compress(frame))
                        size += len(packed[-1])
            packed.append(packer.flush())
            await self._store(response, b"".join(packed) if size <= MOST_BYTES else None)
        finally:
            await live.put(None)

    async def _store(self, response: HttpResponseBase, body: bytes | None) -> None:
        outcome = Outcome(self._claim.request_id, response.status_code, dict(response.headers.items()), body)
        try:
            await from_database(idempotency.finish, self._claim, outcome)
        except ServiceUnavailable:  # charged and delivered anyway; the claim ends with its lease
            logger.error("could not store the outcome of request %s", self._claim.request_id)
        self._release()


class _LiveFrames:
    """A queue of frames for a caller who may leave at any time; `left` is set when the caller does."""

    def __init__(self, headers: dict[str, str], left: asyncio.Event) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue(_FRAMES_AHEAD)
        self._headers, self._left = headers, left

    def response(self) -> sse.EventStream:
        """The caller's side; call it once. Closing or dropping its generator means that the caller left.

        Only the caller may hold the response: a response that is dropped before it starts runs no code of
        its generator, and is noticed only because the generator is collected.
        """
        frames = self._frames(self._queue, self._left)
        weakref.finalize(frames, self._left.set)
        return sse.EventStream(frames, self._headers)

    async def put(self, frame: bytes | None) -> None:
        """Add a frame, or None at the end. Waits while the queue is full and the caller is there."""
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


async def _wait_for(finished: asyncio.Event, deadline: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            await finished.wait()
    except TimeoutError:
        raise _still_running() from None


async def _pause(seconds: float, deadline: float) -> None:
    if time.monotonic() + seconds > deadline:
        raise _still_running()
    await asyncio.sleep(seconds)


def _still_running() -> IdempotencyInProgress:
    return IdempotencyInProgress(
        "The first request with this Idempotency-Key is still running. Ask again later with the same key.",
        headers={"Retry-After": "5"},
    )
