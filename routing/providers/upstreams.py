"""The only door to the providers: one neutral request to one model, its answer as neutral events."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import NamedTuple, Protocol

import msgspec

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import (
    CONTENT_EVENTS,
    ChatRequest,
    File,
    Finished,
    FinishReason,
    Image,
    Started,
    StreamEvent,
)
from routing.language.fidelity import Receipt, with_change
from routing.providers.anthropic import answers as anthropic_answer
from routing.providers.anthropic import requests as anthropic
from routing.providers.gemini import answers as gemini_answer
from routing.providers.gemini import requests as gemini
from routing.providers.openai import (
    chat_answers as openai_chat_answer,
)
from routing.providers.openai import (
    chat_requests as openai_chat,
)
from routing.providers.openai import (
    responses_answers as openai_responses_answer,
)
from routing.providers.openai import (
    responses_requests as openai_responses,
)
from routing.providers.shared import choices
from routing.providers.shared import error_rules as retry
from routing.providers.shared import reasoning as replays
from routing.providers.shared.continuation import Follow, Legs
from routing.providers.shared.error_rules import Headers
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.fan_out import several
from routing.providers.shared.remote_media import Kinds, inlined, remote_kinds
from routing.providers.shared.stop_sequences import Cutter
from routing.providers.shared.tool_forms import Unwrapper, plain
from routing.providers.shared.wire import Asked, Continues, Decoder, Heard, Wire
from routing.providers.transport.config import Deadlines, Dialect, Provider
from routing.providers.transport.transport import MAX_ERROR_BYTES, Reply, Transport, drained, tls_context

__all__ = ["Deadlines", "Provider", "UpstreamFailure", "Upstreams"]

_DEFAULT_DEADLINES = Deadlines()
ERROR_BODY_S = 2.0  # the next arm waits for it
DRAIN_S = 0.2  # for the last bytes after a protocol's own end, which mostly came with it


class _Build(Protocol):
    def __call__(
        self, request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool
    ) -> Wire: ...


class _Adapter(NamedTuple):
    build: _Build
    stream: Callable[[Asked], Decoder]
    whole: Callable[[bytes, Asked], Iterator[Heard]]
    classify: Callable[[int, Headers, bytes], UpstreamFailure]
    follow: Follow | None = None  # how to ask for the next leg, where answers have several


_CHAT = _Adapter(openai_chat.build, openai_chat_answer.Stream, openai_chat_answer.whole, retry.openai)
_RESPONSES = _Adapter(
    openai_responses.build, openai_responses_answer.Stream, openai_responses_answer.whole, retry.openai
)
_COMPATIBLE = _CHAT._replace(build=openai_chat.build_compatible)
_ANTHROPIC = _Adapter(anthropic.build, anthropic_answer.Stream, anthropic_answer.whole, retry.anthropic)
_GEMINI = _Adapter(
    gemini.build, gemini_answer.Stream, gemini_answer.whole, retry.gemini, follow=gemini.follow
)


def _adapter(dialect: Dialect, request: ChatRequest, model: ModelFacts, effort: Effort | None) -> _Adapter:
    match dialect:
        case "openai":
            return _RESPONSES if openai_responses.needed(request, model, effort) else _CHAT
        case "openai_chat":
            return _COMPATIBLE
        case "anthropic":
            return _ANTHROPIC
        case "gemini":
            return _GEMINI


class _Upstream(NamedTuple):
    provider: Provider
    transport: Transport
    headers: list[tuple[str, str]]


class Upstreams:
    """The configured providers. Belongs to the event loop that first uses it; `aclose` it there."""

    def __init__(self, providers: Iterable[Provider], deadlines: Deadlines = _DEFAULT_DEADLINES) -> None:
        self._deadlines = deadlines
        tls = tls_context()
        self._upstreams = {
            provider.name: _Upstream(provider, Transport(provider, deadlines, tls), _headers(provider))
            for provider in providers
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

        `first_byte_s` is the time until the first content of a stream, or the first byte of an unstreamed
        answer. Closing the generator closes the connection at once. Raises UpstreamFailure, also in between.
        """
        upstream = self._upstreams.get(model.provider)
        if upstream is None:
            raise UpstreamFailure(FailureKind.UNAVAILABLE, f"provider {model.provider!r} is not configured")
        within_s = first_byte_s if first_byte_s is not None else self._deadlines.first_byte_s
        told = plain(request, model)
        sent, changes = told.request, list(told.changes)
        kinds = _content_only(upstream.provider.dialect, request)
        if remote := remote_kinds(sent, kinds):
            sent = await inlined(sent, kinds)
            changes += [(name, "fetched here and sent as content") for name in remote]
        if (count := choices.calls(sent, model, effort)) > 1:
            sent = msgspec.structs.replace(sent, n=1)
            changes.append(("n", f"asked {count} times"))

        def call() -> AsyncGenerator[StreamEvent, None]:
            return self._call(upstream, sent, model, effort, stream=stream, within_s=within_s)

        begun = False
        unwrapper = Unwrapper(told.customs) if told.customs else None
        while True:
            try:
                async with aclosing(call() if count == 1 else several(count, call)) as events:
                    async for event in events:
                        begun = True
                        if changes and isinstance(event, Started):
                            event = _told(event, changes)
                        for given in (event,) if unwrapper is None else unwrapper.of(event):
                            yield given
                return
            except UpstreamFailure as failure:
                if begun or not replays.are_refused(failure, sent, model.provider):
                    raise
                sent = replays.without_replays(sent)
                changes.append(("reasoning", "left out: its provider did not take it back"))

    async def _call(
        self,
        upstream: _Upstream,
        request: ChatRequest,
        model: ModelFacts,
        effort: Effort | None,
        *,
        stream: bool,
        within_s: float,
    ) -> AsyncGenerator[StreamEvent, None]:
        """One answer, in as many legs as its provider takes."""
        adapter = _adapter(upstream.provider.dialect, request, model, effort)
        wire: Wire | None = adapter.build(request, model, effort, stream=stream)
        assert wire is not None
        asked = Asked(model.provider, model.upstream_id, request.parallel_tool_calls is False)
        cutter = Cutter(wire.cut) if wire.cut else None
        legs = Legs(request.max_output_tokens)
        while wire is not None:
            token = None
            leg = self._leg(upstream, adapter, wire, asked, cutter, stream=stream, within_s=within_s)
            async with aclosing(leg) as events:
                async for event in events:
                    if isinstance(event, Continues):
                        token = event.token
                    elif (told := legs.of(event)) is not None:
                        yield told
            if token is None or adapter.follow is None:
                return
            wire = legs.following(wire, token, adapter.follow)
        yield Finished(FinishReason.LENGTH)

    async def _leg(
        self,
        upstream: _Upstream,
        adapter: _Adapter,
        wire: Wire,
        asked: Asked,
        cutter: Cutter | None,
        *,
        stream: bool,
        within_s: float,
    ) -> AsyncGenerator[Heard, None]:
        """One request upstream, and what is heard of its answer."""
        deadline = _now() + within_s
        reply: Reply | None = None
        try:
            reply = await upstream.transport.post(
                wire.path, [*upstream.headers, *wire.headers], wire.body, deadline
            )
            if reply.status != 200:
                raise adapter.classify(reply.status, reply.headers, await self._error_body(reply))
            if _is_stream(reply.media_type, stream):
                async with aclosing(self._streamed(reply, adapter.stream(asked), deadline)) as events:
                    async for event in events:
                        for given in _given(event, wire.receipt, cutter):
                            yield given
            else:
                body = await reply.read(deadline, self._deadlines.idle_s)
                for event in _unstreamed(body, reply, adapter, asked):
                    for given in _given(event, wire.receipt, cutter):
                        yield given
        except UpstreamFailure as failure:
            raise _completed(failure, reply).without(upstream.provider.api_key) from failure.__cause__
        finally:
            if reply is not None:
                await reply.aclose()

    async def aclose(self) -> None:
        for upstream in self._upstreams.values():
            await upstream.transport.aclose()

    async def _streamed(self, reply: Reply, decoder: Decoder, deadline: float) -> AsyncGenerator[Heard, None]:
        """Until content comes the first deadline counts, then the idle one, moved on by whole frames only."""
        begun = False
        while not decoder.done:
            frames = decoder.frames
            try:
                piece = await reply.chunk(deadline)
            except UpstreamFailure:
                if decoder.complete:
                    break  # the answer is whole; only its closing formula is lost
                raise
            if piece is None:
                break
            for event in decoder.feed(piece):
                begun = begun or isinstance(event, CONTENT_EVENTS)
                yield event
            if begun and decoder.frames != frames:
                deadline = _now() + self._deadlines.idle_s
            if decoder.complete:
                deadline = min(deadline, _now() + self._deadlines.idle_s)
        for event in decoder.end():
            yield event
        if decoder.done:
            await drained(reply, DRAIN_S)

    async def _error_body(self, reply: Reply) -> bytes:
        """What of an error's body comes in time: the status alone already says most."""
        idle = min(self._deadlines.idle_s, ERROR_BODY_S)
        try:
            async with asyncio.timeout(ERROR_BODY_S):  # of all of it: it may come byte by byte
                return await reply.read(_now() + idle, idle, MAX_ERROR_BYTES)
        except (UpstreamFailure, TimeoutError):
            return b""


def _content_only(dialect: Dialect, request: ChatRequest) -> Kinds:
    """What is fetched when it is given by URL (providers.md §6)."""
    match dialect:
        case "gemini":
            return (Image, File)
        case "openai_chat":
            return (File,)
        case "openai" if request.logprobs or request.sampling.logit_bias:
            return (File,)  # by URL only the Responses API takes them, which has neither of these
        case _:
            return ()


def _given(event: Heard, receipt: Receipt, cutter: Cutter | None) -> Iterable[Heard]:
    """The event as it leaves: the first with the receipt, text up to a stop sequence we keep."""
    if isinstance(event, Continues):
        return (event,)
    if isinstance(event, Started):
        return (msgspec.structs.replace(event, receipt=receipt),)
    return (event,) if cutter is None else cutter.of(event)


def _told(started: Started, changes: Iterable[tuple[str, str]]) -> Started:
    """With what was changed before the adapter saw the request."""
    receipt = started.receipt
    for parameter, change in changes:
        receipt = with_change(receipt, parameter, change)
    return msgspec.structs.replace(started, receipt=receipt)


def _headers(provider: Provider) -> list[tuple[str, str]]:
    """The credential goes in a header in every dialect: addresses are logged."""
    headers = [
        ("content-type", "application/json"),
        ("accept-encoding", "gzip, deflate"),
        ("user-agent", "routeplex"),
    ]
    if provider.api_key:
        match provider.dialect:
            case "anthropic":
                headers.append(("x-api-key", provider.api_key))
            case "gemini":
                headers.append(("x-goog-api-key", provider.api_key))
            case _:
                headers.append(("authorization", f"Bearer {provider.api_key}"))
    return [*headers, *provider.headers.items()]


def _is_stream(media_type: str, asked: bool) -> bool:
    """By what came, not by what was asked; an unclear type is taken for what was asked."""
    if media_type == "text/event-stream":
        return True
    return asked and media_type not in ("application/json", "text/html")


def _unstreamed(body: bytes, reply: Reply, adapter: _Adapter, asked: Asked) -> Iterator[Heard]:
    if not body.strip():
        raise UpstreamFailure(FailureKind.MALFORMED, "HTTP 200 with an empty body")
    if reply.media_type == "text/html":
        raise UpstreamFailure(FailureKind.MALFORMED, "HTTP 200 with an HTML page instead of an answer")
    yield from adapter.whole(body, asked)


def _completed(failure: UpstreamFailure, reply: Reply | None) -> UpstreamFailure:
    """With what only the head of the reply knew."""
    if reply is not None:
        failure.status = failure.status or reply.status
        failure.provider_request_id = failure.provider_request_id or retry.request_id(reply.headers)
    return failure


def _now() -> float:
    return asyncio.get_running_loop().time()
