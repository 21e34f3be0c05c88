"""Server-sent events from bytes that arrive in pieces of any size.

Lines end with `\\n` or `\\r\\n`; comments are skipped; several data lines are joined. Works on bytes, so a
character split between two pieces is never decoded before it is complete.
"""

from collections.abc import Iterator
from typing import NamedTuple

from routing.providers.shared.failures import FailureKind, UpstreamFailure

MAX_EVENT_BYTES = 4 * 1024 * 1024  # far above the largest known event, a whole image; limits memory


class Event(NamedTuple):
    name: bytes  # empty when the stream gives none
    data: bytes


class SseDecoder:
    """`feed` each piece as it comes; `end` once, for an event whose closing blank line is missing."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []
        self._size = 0
        self._at_start = True

    def feed(self, piece: bytes) -> Iterator[Event]:
        """Raises UpstreamFailure (malformed) when a line or an event exceeds MAX_EVENT_BYTES."""
        if self._at_start:
            piece = self._without_mark(self._rest + piece)
            self._rest = b""
        if b"\n" not in piece:
            self._rest += piece
            self._bound(len(self._rest))
            return
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            event = self._line(line[:-1] if line.endswith(b"\r") else line)
            if event is not None:
                yield event
        self._bound(len(self._rest))

    def end(self) -> Iterator[Event]:
        line, self._rest = self._rest.rstrip(b"\r"), b""
        if line:
            self._line(line)
        event = self._line(b"")
        if event is not None:
            yield event

    def _without_mark(self, piece: bytes) -> bytes:
        """The stream may open with a byte order mark, itself cut in two."""
        mark = b"\xef\xbb\xbf"
        if len(piece) < len(mark) and mark.startswith(piece):
            return piece
        self._at_start = False
        return piece.removeprefix(mark)

    def _line(self, line: bytes) -> Event | None:
        if not line:
            if not self._data:
                self._name = b""
                return None
            event = Event(self._name, self._data[0] if len(self._data) == 1 else b"\n".join(self._data))
            self._name, self._data, self._size = b"", [], 0
            return event
        field, _, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            self._data.append(value)
            self._size += len(value)
            self._bound(self._size)
        elif field == b"event":
            self._name = value.removeprefix(b" ")
        return None

    def _bound(self, size: int) -> None:
        if size > MAX_EVENT_BYTES:
            raise UpstreamFailure(
                FailureKind.MALFORMED, f"an event of the stream exceeds {MAX_EVENT_BYTES} bytes"
            )
