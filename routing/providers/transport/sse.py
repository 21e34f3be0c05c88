"""Server-sent events from bytes that arrive in pieces of any size.

Lines end with `\\n` or `\\r\\n`; comments and unknown fields are skipped; several data lines are joined. A
line that is no field at all is malformed: part of the answer may be in it. Works on bytes, so a character
split between two pieces is never decoded before it is complete.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from routing.providers.shared.failures import FailureKind, UpstreamFailure

MAX_EVENT_BYTES = 4 * 1024 * 1024  # far above the largest known event, a whole image; limits memory

_FIELD = re.compile(rb"[A-Za-z_-]*")  # its name; empty in a comment


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
        """Raises UpstreamFailure (malformed): a line that is no field, or one over MAX_EVENT_BYTES."""
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
            # Nearly all lines are one of two: an event's only line of data, and the blank line after it.
            if not line and len(self._data) == 1:
                event: Event | None = Event(self._name, self._data.pop())
                self._name, self._size = b"", 0
            elif line.startswith(b"data: ") and not self._data and not line.endswith(b"\r"):
                self._data.append(line[6:])
                self._size = len(line) - 6
                self._bound(self._size)
                continue
            else:
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
        elif not _FIELD.fullmatch(field):
            raise UpstreamFailure(FailureKind.MALFORMED, "a line of the stream is damaged")
        return None

    def _bound(self, size: int) -> None:
        if size > MAX_EVENT_BYTES:
            raise UpstreamFailure(
                FailureKind.MALFORMED, f"an event of the stream exceeds {MAX_EVENT_BYTES} bytes"
            )
