"""The only entrance to the providers: one neutral request to one model, its answer as neutral events.

An answer passes four levels, from the outside in: `complete` sends the request, and sends it once more if the
provider refuses the reasoning in it; `_send_for_all_choices` makes as many calls as the choices need;
`_send_in_legs` joins the legs of one answer; `_send_single_leg` is one HTTP request.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import (
    CONTENT_EVENTS,
    ChatRequest,
    Finished,
    FinishReason,
    Started,
    StreamEvent,
)
from routing.language.choices import upstream_calls
from routing.language.fidelity import Receipt, with_change
from routing.providers.adapters import adapter_of
from routing.providers.shared.adapter import Adapter, Api
from routing.providers.shared.continuation import Legs
from routing.providers.shared.error_rules import request_id
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.fan_out import several
from routing.providers.shared.reasoning import reasoning_refused, without_reasoning
from routing.providers.shared.remote_media import inlined, remote_kinds
from routing.providers.shared.stop_sequences import Cutter
from routing.providers.shared.tool_forms import Unwrapper, plain
from routing.providers.shared.wire import CallContext, Continues, Decoder, Wire, WireEvent
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.transport.transport import MAX_ERROR_BYTES, Reply, Transport, drained, tls_context

__all__ = ["Deadlines", "Provider", "UpstreamFailure", "Upstreams"]

_DEFAULT_DEADLINES = Deadlines()
ERROR_BODY_S = 2.0  # for the body of an error: the next attempt waits for it
DRAIN_S = 0.2  # for the last bytes after the end of an answer, which have mostly arrived with it


class _Upstream(NamedTuple):
    provider: Provider
    adapter: Adapter
    transport: Transport
    headers: list[tuple[str, str]]


class _Target(NamedTuple):
    """Where and how a request is sent; the same for all calls and legs of one completion."""

    upstream: _Upstream
    model: ModelFacts
    effort: Effort | None
    stream: bool
    first_byte_s: float


class _Prepared(NamedTuple):
    """A request in forms its provider takes, and how many calls its choices need."""

    request: ChatRequest
    calls: int
    changes: tuple[tuple[str, str], ...]  # parameter and what was changed, for the receipt
    custom_tools: frozenset[str]  # names of custom tools that were sent as functions

    def without_reasoning(self) -> "_Prepared":
        change = ("reasoning", "left out: its provider did not take it back")
        return self._replace(request=without_reasoning(self.request), changes=(*self.changes, change))


class Upstreams:
    """The configured providers. Belongs to the event loop that first uses it; `aclose` it there."""

    def __init__(self, providers: Iterable[Provider], deadlines: Deadlines = _DEFAULT_DEADLINES) -> None:
        """Raises ValueError when a provider's dialect has no adapter."""
        self._deadlines = deadlines
        tls = tls_context()
        self._upstreams = {
            provider.name: _upstream(provider, Transport(provider, deadlines, tls)) for provider in providers
        }

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._upstreams)

    async def complete(
        self,
        request: ChatRequest,
        model: ModelFacts,
        effort: Effort | None,
        *,
        stream: bool,
        first_byte_s: float | None = None,
    ) -> AsyncGenerator[StreamEvent, None]:
        """The model's answer: Started, content, UsageReport, Finished for each choice.

        `first_byte_s`: seconds until the first content of a stream, or the first byte of a whole answer.
        Closing the generator closes the connection at once. Raises UpstreamFailure, also between events.
        """
        upstream = self._upstreams.get(model.provider)
        if upstream is None:
            raise UpstreamFailure(FailureKind.UNAVAILABLE, f"provider {model.provider!r} is not configured")
        if first_byte_s is None:
            first_byte_s = self._deadlines.first_byte_s
        target = _Target(upstream, model, effort, stream, first_byte_s)
        prepared = await _prepare(request, target)
        unwrapper = Unwrapper(prepared.custom_tools) if prepared.custom_tools else None
        has_begun = False
        # Reasoning that a provider once returned may be refused later, because it is bound to a conversation
        # or a model version that has changed. The second round sends the request without it. This is safe
        # before the first event only: a refused call answers nothing and is not charged.
        while True:
            try:
                async with aclosing(self._send_for_all_choices(prepared, target)) as events:
                    async for event in events:
                        has_begun = True
                        if prepared.changes and isinstance(event, Started):
                            event = _with_changes(event, prepared.changes)
                        for outgoing in (event,) if unwrapper is None else unwrapper.of(event):
                            yield outgoing
                return
            except UpstreamFailure as failure:
                if has_begun or not reasoning_refused(failure, prepared.request, model.provider):
                    raise
                prepared = prepared.without_reasoning()

    def _send_for_all_choices(
        self, prepared: _Prepared, target: _Target
    ) -> AsyncGenerator[StreamEvent, None]:
        """One call where the API returns all choices at once, else parallel calls read as one answer."""

        def call() -> AsyncGenerator[StreamEvent, None]:
            return self._send_in_legs(prepared.request, target)

        return call() if prepared.calls == 1 else several(prepared.calls, call)

    async def _send_in_legs(self, request: ChatRequest, target: _Target) -> AsyncGenerator[StreamEvent, None]:
        """One call, and the further legs of its answer.

        A provider may stop a long answer at a limit of its own and return a token to continue with. The
        next leg is the same request plus that token, and the caller sees one answer. The legs end with the
        last one that returns no token, or when `Legs` finds the output limit used up; then the answer ends
        by length. The cutter for stop sequences spans the legs, because a sequence may begin in one and end
        in the next.
        """
        upstream, model, effort, stream, _ = target
        api = upstream.adapter.api_for(request, model, effort)
        wire: Wire | None = api.build(request, model, effort, stream=stream)
        assert wire is not None
        context = CallContext(model.provider, model.upstream_id, request.parallel_tool_calls is False)
        cutter = Cutter(wire.cut) if wire.cut else None
        legs = Legs(request.max_output_tokens)
        while wire is not None:
            token = None
            async with aclosing(self._send_single_leg(wire, api, context, cutter, target)) as events:
                async for event in events:
                    if isinstance(event, Continues):
                        token = event.token
                    elif (joined := legs.of(event)) is not None:
                        yield joined
            if token is None or upstream.adapter.follow_up is None:
                return
            wire = legs.following(wire, token, upstream.adapter.follow_up)
        yield Finished(FinishReason.LENGTH)

    async def _send_single_leg(
        self, wire: Wire, api: Api, context: CallContext, cutter: Cutter | None, target: _Target
    ) -> AsyncGenerator[WireEvent, None]:
        """One HTTP request, and the events of its answer.

        The answer is read as what it is, not as what was requested: some servers answer a streaming request
        with a whole body, and the reverse. Each failure leaves with the status and the request id of the
        reply, and without the API key, which a provider may repeat in its message.
        """
        upstream = target.upstream
        deadline = _now() + target.first_byte_s
        reply: Reply | None = None
        try:
            reply = await upstream.transport.post(
                wire.path, [*upstream.headers, *wire.headers], wire.body, deadline
            )
            if reply.status != 200:
                body = await self._error_body(reply)
                raise upstream.adapter.classify(reply.status, reply.headers, body)
            if _is_stream(reply.media_type, requested=target.stream):
                async with aclosing(self._streamed(reply, api.stream(context), deadline)) as events:
                    async for event in events:
                        for outgoing in _outgoing(event, wire.receipt, cutter):
                            yield outgoing
            else:
                body = await reply.read(deadline, self._deadlines.idle_s)
                for event in _unstreamed(body, reply, api, context):
                    for outgoing in _outgoing(event, wire.receipt, cutter):
                        yield outgoing
        except UpstreamFailure as failure:
            raise _completed(failure, reply).without(upstream.provider.api_key) from failure.__cause__
        finally:
            if reply is not None:
                await reply.aclose()

    async def aclose(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.transport.aclose()

    async def _streamed(
        self, reply: Reply, decoder: Decoder, deadline: float
    ) -> AsyncGenerator[WireEvent, None]:
        """The events of a streamed answer.

        `deadline` holds until the first content. From then on each whole frame moves it by the idle time;
        single bytes do not, or a server that drips bytes would never time out. After the finish reason the
        answer is whole, so a timeout or a broken connection only ends it.
        """
        has_begun = False
        while not decoder.done:
            frames = decoder.frames
            try:
                piece = await reply.chunk(deadline)
            except UpstreamFailure:
                if decoder.complete:
                    break
                raise
            if piece is None:
                break
            for event in decoder.feed(piece):
                has_begun = has_begun or isinstance(event, CONTENT_EVENTS)
                yield event
            if has_begun and decoder.frames != frames:
                deadline = _now() + self._deadlines.idle_s
            if decoder.complete:
                deadline = min(deadline, _now() + self._deadlines.idle_s)
        for event in decoder.end():
            yield event
        if decoder.done:
            await drained(reply, DRAIN_S)

    async def _error_body(self, reply: Reply) -> bytes:
        """The part of an error's body that arrives in time; empty if none does, as the status says most."""
        idle = min(self._deadlines.idle_s, ERROR_BODY_S)
        try:
            async with asyncio.timeout(ERROR_BODY_S):  # for the whole body, which may arrive byte by byte
                return await reply.read(_now() + idle, idle, MAX_ERROR_BYTES)
        except (UpstreamFailure, TimeoutError):
            return b""


def _upstream(provider: Provider, transport: Transport) -> _Upstream:
    """The API key goes in a header, never in the address: addresses are logged."""
    adapter = adapter_of(provider.dialect)
    headers = [
        ("content-type", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", "routeplex"),
    ]
    if provider.api_key:
        headers.append(adapter.auth_header(provider.api_key))
    return _Upstream(provider, adapter, transport, [*headers, *provider.headers.items()])


async def _prepare(request: ChatRequest, target: _Target) -> _Prepared:
    """Replace what the provider's API has no form for. Raises UpstreamFailure: a URL cannot be fetched."""
    adapter = target.upstream.adapter
    in_plain_forms = plain(request, target.model, native=adapter.has_custom_tools)
    sent, changes = in_plain_forms.request, list(in_plain_forms.changes)
    kinds = adapter.inlined_media(request)
    if remote := remote_kinds(sent, kinds):
        sent = await inlined(sent, kinds)
        changes += [(name, "fetched here and sent as content") for name in remote]
    if (calls := upstream_calls(sent, target.model, target.effort)) > 1:
        sent = msgspec.structs.replace(sent, n=1)
        changes.append(("n", f"asked {calls} times"))
    return _Prepared(sent, calls, tuple(changes), in_plain_forms.customs)


def _outgoing(event: WireEvent, receipt: Receipt, cutter: Cutter | None) -> Iterable[WireEvent]:
    """The event with the receipt if it is the first, and with its text cut at the caller's stop sequences."""
    if isinstance(event, Continues):
        return (event,)
    if isinstance(event, Started):
        return (msgspec.structs.replace(event, receipt=receipt),)
    return (event,) if cutter is None else cutter.of(event)


def _with_changes(started: Started, changes: Iterable[tuple[str, str]]) -> Started:
    """The event with the changes made before the adapter saw the request in its receipt."""
    receipt = started.receipt
    for parameter, change in changes:
        receipt = with_change(receipt, parameter, change)
    return msgspec.structs.replace(started, receipt=receipt)


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
