"""One call of a provider and its answer, batch by batch.

`Answer` and `Leg` have `next`, the next events or None at the end, and `close`. They are no generators: each
level of generators takes as long for a batch as reading an event does.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import CONTENT_EVENTS, ChatRequest, Finished, FinishReason, Started, StreamEvent
from routing.language.fidelity import Receipt
from routing.providers.shared.adapter import Adapter, Api
from routing.providers.shared.continuation import Legs
from routing.providers.shared.error_rules import request_id
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.stop_sequences import Cutter
from routing.providers.shared.wire import CallContext, Continues, Decoder, Wire, WireEvent
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.transport.transport import MAX_ERROR_BYTES, Reply, Transport, drained

logger = logging.getLogger(__name__)

ERROR_BODY_S = 2.0  # for the body of an error: the next attempt waits for it
DRAIN_S = 0.2  # for the last bytes after the end of an answer, which have mostly arrived with it


class Upstream(NamedTuple):
    provider: Provider
    adapter: Adapter
    transport: Transport


class Target(NamedTuple):
    """Where and how a request is sent; the same for all calls and legs of one completion."""

    upstream: Upstream
    model: ModelFacts
    effort: Effort | None
    stream: bool
    first_byte_s: float


class Answer:
    """The answer to one call, with its further legs.

    A provider may stop a long answer at a limit of its own and return a token to continue with. The next leg
    is the same request plus that token, and the caller sees one answer. The legs end with the last one that
    returns no token, or when `Legs` finds the output limit used up; then the answer ends by length. The
    cutter for stop sequences spans the legs, because a sequence may begin in one and end in the next.
    """

    def __init__(self, request: ChatRequest, target: Target, deadlines: Deadlines) -> None:
        model, effort = target.model, target.effort
        self._target, self._deadlines = target, deadlines
        self._api = target.upstream.adapter.api_for(request, model, effort)
        self._wire: Wire | None = self._api.build(request, model, effort, stream=target.stream)
        is_single = request.parallel_tool_calls is False
        self._context = CallContext(model.provider, model.upstream_id, is_single, request.service_tier)
        self._cutter = Cutter(self._wire.cut) if self._wire.cut else None
        self._legs = Legs(request.max_output_tokens)
        self._leg: Leg | None = None
        self._token: str | None = None

    async def next(self) -> list[StreamEvent] | None:
        """Raises UpstreamFailure."""
        while self._wire is not None:
            if self._leg is None:
                self._token = None
                self._leg = Leg(
                    self._wire, self._api, self._context, self._cutter, self._target, self._deadlines
                )
            while (batch := await self._leg.next()) is not None:
                if joined := self._joined(batch):
                    return joined
            await self.close()
            self._wire = self._following(self._wire)
            if self._wire is None and self._token is not None:
                return [Finished(FinishReason.LENGTH)]
        return None

    async def close(self) -> None:
        leg, self._leg = self._leg, None
        if leg is not None:
            await leg.close()

    def _joined(self, batch: list[WireEvent]) -> list[StreamEvent]:
        joined: list[StreamEvent] = []
        for event in batch:
            if isinstance(event, Continues):
                self._token = event.token
            elif (part := self._legs.of(event)) is not None:
                joined.append(part)
        return joined

    def _following(self, wire: Wire) -> Wire | None:
        follow_up = self._target.upstream.adapter.follow_up
        if self._token is None or follow_up is None:
            self._token = None
            return None
        return self._legs.following(wire, self._token, follow_up)


class Leg:
    """One HTTP request, and the events of its answer.

    The answer is read as what it is, not as what was requested: some servers answer a streaming request with
    a whole body, and the reverse. Each failure leaves with the status and the request id of the reply, and
    without the API key, which a provider may repeat in its message.
    """

    def __init__(
        self,
        wire: Wire,
        api: Api,
        context: CallContext,
        cutter: Cutter | None,
        target: Target,
        deadlines: Deadlines,
    ) -> None:
        self._wire, self._api, self._context, self._cutter = wire, api, context, cutter
        self._upstream, self._is_streaming, self._idle_s = target.upstream, target.stream, deadlines.idle_s
        self._deadline = _now() + target.first_byte_s
        self._reply: Reply | None = None
        self._decoder: Decoder | None = None  # of a streamed answer
        self._latest: _Batch | None = None  # was passed on; what it means for the rest is still to be seen to
        self._has_begun = self._is_at_end = False

    async def next(self) -> list[WireEvent] | None:
        """Raises UpstreamFailure, after the events before it."""
        try:
            while True:
                if self._latest is not None:
                    self._after(self._latest)
                batch = self._latest = await self._batch()
                if batch is None:
                    return None
                if batch.events and (ready := _outgoing(batch.events, self._wire.receipt, self._cutter)):
                    return ready
        except UpstreamFailure as failure:
            key = self._upstream.provider.api_key
            raise _completed(failure, self._reply).without(key) from failure.__cause__
        except Exception as error:  # of a decoder: another arm may answer
            logger.exception("an answer of %s cannot be decoded", self._upstream.provider.name)
            malformed = UpstreamFailure(FailureKind.MALFORMED, "the answer cannot be decoded")
            raise _completed(malformed, self._reply) from error

    async def close(self) -> None:
        if self._reply is not None:
            await self._reply.aclose()

    async def _batch(self) -> "_Batch | None":
        """The events that arrive next; None at the end."""
        reply = self._reply
        if reply is None:
            reply = await self._answered()
            if not _is_stream(reply.media_type, requested=self._is_streaming):
                self._is_at_end = True
                body = await reply.read(self._deadline, self._idle_s)
                return _Batch(_unstreamed(body, reply, self._api, self._context))
            self._decoder = self._api.stream(self._context)
        decoder = self._decoder
        if decoder is None:
            return None
        if self._is_at_end:
            if decoder.done:
                await drained(reply, DRAIN_S)
            return None
        piece = None if decoder.done else await self._piece(reply, decoder)
        self._is_at_end = piece is None
        return _Batch(decoder.end() if piece is None else decoder.feed(piece))

    async def _answered(self) -> Reply:
        """The reply, whose status is 200."""
        wire, upstream = self._wire, self._upstream
        reply = self._reply = await upstream.transport.post(
            wire.path, wire.headers, wire.body, self._deadline
        )
        if reply.status != 200:
            body = await self._error_body(reply)
            raise upstream.adapter.classify(reply.status, reply.headers, body)
        return reply

    async def _piece(self, reply: Reply, decoder: Decoder) -> bytes | None:
        """After the finish reason the answer is whole: a timeout or a broken connection only ends it."""
        try:
            return await reply.chunk(self._deadline)
        except UpstreamFailure:
            if decoder.complete:
                return None
            raise

    def _after(self, batch: "_Batch") -> None:
        """Raise the failure after a batch, or move the deadline, which holds until the first content.

        From then on each frame with a part of the answer moves it by the idle time. Single bytes, pings and
        empty frames do not, or a server that only sends those would never time out.
        """
        batch.check()
        if self._decoder is None or not (batch.events or self._decoder.complete):
            return
        self._has_begun = self._has_begun or any(isinstance(event, CONTENT_EVENTS) for event in batch.events)
        idle_until = _now() + self._idle_s
        if self._has_begun and batch.events:
            self._deadline = idle_until
        if self._decoder.complete:
            self._deadline = min(self._deadline, idle_until)

    async def _error_body(self, reply: Reply) -> bytes:
        """The part of an error's body that arrives in time; empty if none does, as the status says most."""
        idle = min(self._idle_s, ERROR_BODY_S)
        try:
            async with asyncio.timeout(ERROR_BODY_S):  # for the whole body, which may arrive byte by byte
                return await reply.read(_now() + idle, idle, MAX_ERROR_BYTES)
        except (UpstreamFailure, TimeoutError):
            return b""


class _Batch:
    """The events that a decoder yields at once. `check` raises its failure, after those before it."""

    def __init__(self, decoding: Iterator[WireEvent]) -> None:
        self.events: list[WireEvent] = []
        self._failure: Exception | None = None
        try:
            for event in decoding:
                self.events.append(event)
        except Exception as failure:
            self._failure = failure

    def check(self) -> None:
        if self._failure is not None:
            raise self._failure


def _outgoing(batch: list[WireEvent], receipt: Receipt, cutter: Cutter | None) -> list[WireEvent]:
    """The events with the receipt in the first, and with their text cut at the caller's stop sequences."""
    outgoing: list[WireEvent] = []
    for event in batch:
        if isinstance(event, Started):
            outgoing.append(msgspec.structs.replace(event, receipt=receipt))
        elif cutter is None or isinstance(event, Continues):
            outgoing.append(event)
        else:
            outgoing += cutter.of(event)
    return outgoing


def _is_stream(media_type: str, *, requested: bool) -> bool:
    """Decide by the media type of the answer; an unclear type counts as what was requested."""
    if media_type == "text/event-stream":
        return True
    return requested and media_type not in ("application/json", "text/html")


def _unstreamed(body: bytes, reply: Reply, api: Api, context: CallContext) -> Iterator[WireEvent]:
    if not body.strip():
        raise UpstreamFailure(FailureKind.MALFORMED, "HTTP 200 with an empty body")
    if reply.media_type == "text/html":
        raise UpstreamFailure(FailureKind.MALFORMED, "HTTP 200 with an HTML page instead of an answer")
    yield from api.whole(body, context)


def _completed(failure: UpstreamFailure, reply: Reply | None) -> UpstreamFailure:
    """The failure with the status and the request id of the reply, where it has none itself."""
    if reply is not None:
        failure.status = failure.status or reply.status
        failure.provider_request_id = failure.provider_request_id or request_id(reply.headers)
    return failure


def _now() -> float:
    return asyncio.get_running_loop().time()
