"""uvicorn's HTTP protocol with limits for the head of a request, and with a callback for a lost connection.

uvicorn limits neither the time nor the bytes of a head, so that a client which never finishes one holds its
connection for ever. And it reports a lost connection only to a task that waits for it: a task for each
request takes longer than a callback.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from core.hot_settings import hot

logger = logging.getLogger(__name__)

MAX_HEAD_BYTES = 64 * 1024  # request line and all headers


def limit_heads(server_config: Any) -> None:
    """Have connections from now on use the protocol below. `server_config`: uvicorn's, or None elsewhere."""
    protocol = getattr(server_config, "http_protocol_class", None)
    if protocol is HttpToolsProtocol:
        server_config.http_protocol_class = LimitedHeads
    elif protocol is not LimitedHeads:
        logger.warning("not served by uvicorn with httptools: the time of request heads is not limited")


def connection_of(receive: Any) -> Any:
    """The exchange behind uvicorn's `receive` or `send`; None: those of another server, or wrapped."""
    exchange = getattr(receive, "__self__", None)
    return exchange if hasattr(exchange, "when_lost") else None


def has_arrived(receive: Any) -> bool:
    """Return whether the whole body is here, so that `receive` returns at once; False: perhaps not."""
    exchange = connection_of(receive)
    return exchange is not None and not exchange.more_body


def send_whole(send: Any, status: int, headers: str, body: bytes) -> bool:
    """Send a whole response in one piece, as uvicorn's own `send` does with two messages; False: not here.

    `headers`: lines of printable ASCII, with a Content-Length, and without a Connection.
    """
    exchange = connection_of(send)
    if (
        exchange is None
        or exchange.disconnected
        or exchange.response_started
        or exchange.flow.write_paused
        or exchange.access_log
        or exchange.scope["method"] == "HEAD"
    ):
        return False
    default = b"".join([b"%b: %b\r\n" % header for header in exchange.default_headers])
    end = b"\r\n" if exchange.keep_alive else b"connection: close\r\n\r\n"
    exchange.response_started, exchange.waiting_for_100_continue = True, False
    exchange.chunked_encoding = False
    exchange.transport.write(b"".join((STATUS_LINE[status], default, headers.encode("ascii"), end, body)))
    exchange.response_complete = True
    exchange.message_event.set()
    if not exchange.keep_alive:
        exchange.transport.close()
    exchange.on_response()
    return True


class LimitedHeads(HttpToolsProtocol):
    """Closes a connection whose next request head is not complete in time, or too long.

    The time begins with the connection and with the first byte after a response, which may belong to the rest
    of a refused body. Without bytes, an idle connection is closed by uvicorn's keep-alive timeout.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = self._is_in_body = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_here()
        super().connection_lost(exc)
        when_lost = getattr(self.cycle, "when_lost", None)
        if when_lost is not None:
            when_lost()

    def data_received(self, data: bytes) -> None:
        if self._head_timer is None and self.cycle is not None and self.cycle.response_complete:
            self._await_head()
        was_in_body = self._is_in_body
        super().data_received(data)
        if self._is_in_head and not was_in_body:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        if self._head_timer is None:  # a pipelined request
            self._await_head()

    def on_headers_complete(self) -> None:
        self._head_is_here()
        self._is_in_head, self._is_in_body = False, True
        super().on_headers_complete()
        if self.cycle is not None and not hasattr(self.cycle, "when_lost"):
            self.cycle.when_lost = None  # type: ignore[attr-defined]  # set while somebody wants to know

    def on_message_complete(self) -> None:
        self._is_in_body = False
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(hot.HEAD_TIMEOUT_S, self._close)

    def _head_is_here(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_head(self) -> None:
        if not self.transport.is_closing() and (self.cycle is None or self.cycle.response_complete):
            self.transport.write(STATUS_LINE[431] + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        self._close()

    def _close(self) -> None:
        self._head_is_here()
        self.transport.close()
