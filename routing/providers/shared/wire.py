"""What an adapter hands the transport, and what a decoder must know of the request it answers."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from routing.language.chat import Finished, FinishReason, StreamEvent
from routing.language.fidelity import Receipt
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.sse import Event, SseDecoder

T = TypeVar("T")


class Wire(NamedTuple):
    path: str  # after the provider's base URL
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()  # those that depend on the request
    receipt: Receipt = ()
    cut: tuple[str, ...] = ()  # stop sequences this API does not take: the answer is cut here


class Continues(NamedTuple):
    """In the place of an end: the provider stopped at a bound of its own, and goes on for this token."""

    token: str


WireEvent = StreamEvent | Continues  # what a decoder makes of an answer


class CallContext(NamedTuple):
    """What was asked, as far as the answer's meaning depends on it."""

    provider: str  # owner of opaque data in the answer
    model: str  # upstream id; the answer's own word on its model replaces it
    single_call: bool = False  # parallel tool calls were forbidden


class Decoder(Protocol):
    """Turns the bytes of a streamed answer into events."""

    frames: int  # whole protocol frames seen, pings too: the sign of life
    done: bool  # the protocol said that nothing follows
    complete: bool  # a finish reason came: a cut from here on loses nothing

    def feed(self, piece: bytes) -> Iterator[WireEvent]:
        """Raises UpstreamFailure: an error inside the stream, or malformed."""

    def end(self) -> Iterator[WireEvent]:
        """The rest, after the last byte. Raises UpstreamFailure (truncated) without a finish reason."""


def decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """An unstreamed answer in its dialect's shape. Raises UpstreamFailure: malformed."""
    try:
        return decoder.decode(body)
    except ValueError as error:
        raise UpstreamFailure(FailureKind.MALFORMED, f"the answer is malformed: {error}") from error


class SseStream:
    """The part of a decoder that all dialects share; a dialect adds `frame` and `closing`."""

    def __init__(self, asked: CallContext) -> None:
        self.asked = asked
        self.frames = 0
        self.done = False
        self.complete = False
        self._sse = SseDecoder()

    def feed(self, piece: bytes) -> Iterator[WireEvent]:
        for event in self._sse.feed(piece):
            if self.done:
                return
            yield from self._judged(event)

    def end(self) -> Iterator[WireEvent]:
        if not self.done:
            for event in self._sse.end():
                yield from self._judged(event, at_end=True)
        if not self.complete:
            raise UpstreamFailure(FailureKind.TRUNCATED, "the answer ended without a finish reason")
        yield from self.closing()

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        """The events one frame means. Raises ValueError when it is not the dialect's."""
        raise NotImplementedError

    def closing(self) -> Iterator[WireEvent]:
        """What was held back until the end: the latest usage, then the finish reasons."""
        raise NotImplementedError

    def _judged(self, event: Event, *, at_end: bool = False) -> Iterator[StreamEvent]:
        self.frames += 1
        try:
            yield from self.frame(event)
        except ValueError as error:  # msgspec's errors are ValueErrors
            if self.complete or not event.data.lstrip().startswith(b"{"):
                return  # harmless: the answer is whole already, or it was a heartbeat in plain words
            if at_end:
                return  # cut in the middle of a frame: `end` says truncated
            raise UpstreamFailure(
                FailureKind.MALFORMED, f"a frame of the stream is malformed: {error}"
            ) from error


def finished(reasons: dict[int, FinishReason], stop: str | None = None) -> Iterator[Finished]:
    for choice, reason in sorted(reasons.items()):
        yield Finished(reason, choice, stop)
