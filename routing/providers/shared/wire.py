"""The values between an adapter and the transport: requests as bytes, and decoders of answers."""

import logging
import re
from collections.abc import Iterator
from typing import Annotated, NamedTuple, Protocol, TypeVar

import msgspec

from routing.language.chat import Finished, FinishReason, StreamEvent
from routing.language.fidelity import Receipt
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.sse import Event, SseDecoder

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Numbers of an answer that count its parts. An answer with a number beyond these is malformed: callers and
# doors use them as sizes.
MAX_CHOICES = 128  # OpenAI's largest `n`
MAX_PARTS = 10_000  # tool calls, content blocks or output items; far more than any model returns
ChoiceIndex = Annotated[int, msgspec.Meta(ge=0, lt=MAX_CHOICES)]
PartIndex = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTS)]


class Wire(NamedTuple):
    path: str  # after the provider's base URL
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()  # those that depend on the request
    receipt: Receipt = ()
    cut: tuple[str, ...] = ()  # stop sequences that this API does not take: `Cutter` ends the answer there


class Continues(NamedTuple):
    """Instead of a finish reason: the provider stopped at its own limit and continues for this token."""

    token: str


# Heartbeats that some servers send as data: a few plain words. All else that is no JSON object is damaged.
_HEARTBEAT = re.compile(rb"""[\w .,:;!?'"*()\[\]-]{0,64}""", re.ASCII)

WireEvent = StreamEvent | Continues  # the events a decoder yields


class CallContext(NamedTuple):
    """The facts of the request that the meaning of its answer depends on."""

    provider: str  # opaque data in the answer belongs to it
    model: str  # upstream id, unless the answer names its model
    single_call: bool = False  # parallel tool calls were forbidden
    service_tier: str | None = None  # as requested


class Decoder(Protocol):
    """Turns the bytes of a streamed answer into events."""

    done: bool  # the protocol's end marker has arrived
    complete: bool  # every choice has its finish reason: a cut from here on loses nothing

    def feed(self, piece: bytes) -> Iterator[WireEvent]:
        """Raises UpstreamFailure: an error inside the stream, or malformed."""

    def end(self) -> Iterator[WireEvent]:
        """The rest, after the last byte. Raises UpstreamFailure (truncated) without a finish reason."""


def decoded(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode an unstreamed answer. Raises UpstreamFailure (malformed)."""
    try:
        return decoder.decode(body)
    except (ValueError, RecursionError) as error:
        raise UpstreamFailure(FailureKind.MALFORMED, f"the answer is malformed: {error}") from error


class SseStream:
    """The common part of all decoders of server-sent events; subclasses add `frame` and `closing`."""

    def __init__(self, context: CallContext) -> None:
        self.context = context
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
        """The events of one frame. Raises ValueError or RecursionError when the frame is malformed."""
        raise NotImplementedError

    def closing(self) -> Iterator[WireEvent]:
        """The events held back until the end: the latest usage, then the finish reasons."""
        raise NotImplementedError

    def _judged(self, event: Event, *, at_end: bool = False) -> Iterator[StreamEvent]:
        self.frames += 1
        try:
            yield from self.frame(event)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            if self.complete or _HEARTBEAT.fullmatch(event.data.strip()):
                return  # harmless: the answer is complete, or the frame is a heartbeat in plain text
            if at_end:
                return  # cut in the middle of a frame: `end` raises "truncated"
            raise UpstreamFailure(
                FailureKind.MALFORMED, f"a frame of the stream is malformed: {error}"
            ) from error


def named(name: str | None) -> str:
    """The name of a tool call. Raises UpstreamFailure (malformed) where it is missing."""
    if not name:
        raise UpstreamFailure(FailureKind.MALFORMED, "a tool call of the answer has no name")
    return name


def unknown_end(reason: str, *, has_content: bool) -> FinishReason:
    """The finish reason for a word that is not in a provider's list.

    An answer with content counts as finished: another model must neither replace nor continue it. Raises
    UpstreamFailure (server) for an empty one.
    """
    if not has_content:
        raise UpstreamFailure(FailureKind.SERVER, f"the provider ended the answer with {reason!r}")
    logger.warning("an answer ended with the unknown finish reason %r; it counts as stop", reason[:80])
    return FinishReason.STOP


def finished(reasons: dict[int, FinishReason], stop: str | None = None) -> Iterator[Finished]:
    for choice, reason in sorted(reasons.items()):
        yield Finished(reason, choice, stop)
