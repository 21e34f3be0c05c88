"""Sends a reply at the pace of its model, applies its fault, and records the call."""

import zlib
from functools import cache
from itertools import chain, repeat

import msgspec

from routing.simulator.model.pace import Pace
from routing.simulator.server.call_log import Call
from routing.simulator.server.faults import DEFAULT_STALL_S, Fault
from routing.simulator.shared.prompt import Usage
from routing.simulator.shared.reply import Frame, Reply
from routing.simulator.shared.wire import Connection, Headers

_DROP_AFTER = 2  # frames, when a fault inside a stream states no number
_SLOW_PIECE = 7  # bytes: odd, so that characters and frames are cut
_SLOW_DELAY_S = 0.002
_FLOOD = [(f"x-flood-{number}", "f" * 4000) for number in range(300)]
_BOMB_MB = 128
_GZIP_HEADER = b"\x1f\x8b\x08" + bytes(7)
# Other content of real streams: comments, heartbeats, events of a later version of the API.
_NOISE = (
    b': keep-alive\n\ndata:\n\nevent: ping\ndata: {"type": "ping"}\n\n'
    b'event: later.version\ndata: {"type": "later.version", "object": "later.version"}\n\n'
)
_HTML = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad "
    b"Gateway</h1></center>\r\n"
    b"<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n"
)


class Sender:
    """Sends one reply to one client."""

    def __init__(self, connection: Connection, call: Call, fault: Fault | None, pace: Pace) -> None:
        self._connection = connection
        self._call = call
        self._fault = fault
        self._kind = fault.kind if fault else None
        self._pace = pace

    async def before_answer(self) -> bool:
        """Apply the faults that come before any answer; return False when nothing more is to be sent."""
        match self._kind:
            case "refuse_connection":
                # One port serves all providers, so the connection is closed without a byte instead.
                await self._connection.drop(flush=False)
                return False
            case "delay":
                await self._connection.pause(self._fault_delay(1.0))
            case "header_flood":
                await self.whole(200, b"{}", [("content-type", "application/json"), *_FLOOD])
                return False
            case "gzip_bomb":
                headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")]
                await self.whole(200, _bomb(), headers)
                return False
            case "empty_body":
                await self.whole(200, b"", [("content-type", "application/json")])
                return False
            case "html_error":
                status = self._fault.status if self._fault and self._fault.status else 502
                await self.whole(status, _HTML, [("content-type", "text/html")])
                return False
            case "raw":
                await self._raw()
                return False
        return True

    async def whole(self, status: int, body: bytes, headers: Headers) -> None:
        self._call.status = status
        await self._connection.start(status, [*headers, ("content-length", str(len(body)))])
        await self._connection.write(body, more=False)

    async def _raw(self) -> None:
        assert self._fault is not None
        self._call.status = self._fault.status or 200
        await self._connection.start(self._call.status, [("content-type", self._fault.media_type)])
        pieces = self._fault.pieces or [b""]
        for piece in chain(pieces, repeat(pieces[-1])) if self._fault.endless else pieces:
            await self._connection.write(piece, more=True)
            await self._connection.pause(self._fault_delay(0.0))
        await self._connection.write(b"", more=False)

    async def reply(self, reply: Reply) -> None:
        await self._connection.pause(self._pace.first_token(reply.model, reply.usage.reasoning))
        if reply.frames is None:
            await self._body(reply)
        else:
            await self._stream(reply)

    async def _body(self, reply: Reply) -> None:
        visible = reply.usage.output_tokens - reply.usage.reasoning  # `first_token` waited for the reasoning
        await self._connection.pause(self._pace.tokens(reply.model, visible))
        headers = [("content-type", "application/json"), *reply.headers]
        body = reply.body
        match self._kind:
            case "malformed":
                body = body[: len(body) * 2 // 3]
            case "error_in_200":
                body = reply.error
            case "stall":
                await self._connection.until_disconnected(self._fault_delay(DEFAULT_STALL_S))
            case "cut":
                self._call.status = 200
                await self._connection.start(200, [*headers, ("content-length", str(len(body)))])
                await self._connection.write(body[: len(body) // 2], more=True)
                await self._connection.drop(flush=True)
                return
        self._call.usage = reply.usage
        if self._kind == "slow_bytes":
            self._call.status = 200
            await self._connection.start(200, [*headers, ("content-length", str(len(body)))])
            await self._slowly(body)
            await self._connection.write(b"", more=False)
        else:
            await self.whole(200, body, headers)

    async def _stream(self, reply: Reply) -> None:
        assert reply.frames is not None
        self._call.status = 200
        headers = [
            ("content-type", "text/event-stream; charset=utf-8"),
            ("cache-control", "no-cache"),
            *reply.headers,
        ]
        await self._connection.start(200, headers)
        self._call.usage = msgspec.structs.replace(reply.usage, output_tokens=reply.usage.reasoning)
        for number, frame in enumerate(reply.frames):
            if self._strikes(number, frame) and await self._strike(reply):
                return
            await self._frame(frame, reply)
        self._call.usage = reply.usage
        await self._connection.write(b"", more=False)

    def _strikes(self, number: int, frame: Frame) -> bool:
        if self._kind == "no_closing":  # the whole answer arrives without its end marker
            return frame.data.startswith((b"data: [DONE]", b"event: message_stop"))
        after = self._fault.after_chunks if self._fault else None
        if self._kind == "no_done" and after is None:
            return frame.terminal
        return self._kind in {"cut", "stall", "malformed", "error_in_200", "no_done", "noise"} and number == (
            _DROP_AFTER if after is None else after
        )

    async def _strike(self, reply: Reply) -> bool:
        """Apply the fault inside the stream; return True when the stream is over."""
        match self._kind:
            case "cut":
                await self._connection.drop(flush=True)
            case "stall":
                await self._connection.until_disconnected(self._fault_delay(DEFAULT_STALL_S))
                return False
            case "malformed":
                await self._connection.write(reply.broken, more=True)
                return False
            case "noise":
                await self._connection.write(_NOISE, more=True)
                return False
            case "error_in_200":
                await self._connection.write(reply.error, more=False)
            case "no_done" | "no_closing":
                await self._connection.write(b"", more=False)
        return True

    async def _frame(self, frame: Frame, reply: Reply) -> None:
        if self._kind == "slow_bytes":
            await self._slowly(frame.data)
        else:
            await self._connection.write(frame.data, more=True)
        self._call.chunks += 1
        self._call.usage = _with_output(self._call.usage, frame.tokens, reply.usage)
        await self._connection.pause(self._pace.tokens(reply.model, frame.tokens))

    async def _slowly(self, data: bytes) -> None:
        size = self._fault.piece_bytes if self._fault and self._fault.piece_bytes else _SLOW_PIECE
        for start in range(0, len(data), size):
            await self._connection.write(data[start : start + size], more=True)
            await self._connection.pause(self._fault_delay(_SLOW_DELAY_S))

    def _fault_delay(self, default: float) -> float:
        delay_s = self._fault.delay_s if self._fault else None
        return default if delay_s is None else delay_s


@cache
def _bomb() -> bytes:
    """A gzip body of zeros, without the checksum at its end, which no reader reaches.

    One compressed block is repeated: compressing all of it would stop the event loop for a second, and calls
    that wait behind it would time out.
    """
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = packer.compress(bytes(1024 * 1024)) + packer.flush(zlib.Z_FULL_FLUSH)
    return _GZIP_HEADER + block * _BOMB_MB + packer.flush()


def _with_output(usage: Usage, more: int, most: Usage) -> Usage:
    output = min(usage.output_tokens + more, most.output_tokens)
    return msgspec.structs.replace(usage, output_tokens=output)
