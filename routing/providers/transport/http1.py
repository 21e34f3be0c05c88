"""A small HTTP/1.1 client on httptools: one request at a time on kept connections to one origin.

It does what calls to providers need and nothing else: a whole body out, an answer in as it comes, a deadline
for each wait, bounds for all that is buffered. No redirects, no cookies, no proxies. docs/speed.md says what
it saves.

httptools parses strictly: an answer with two lengths, with a length and chunks, or with a folded header is an
error. Whatever arrives after an answer is never read as the next one: the connection is closed.
"""

import asyncio
import re
import socket
import ssl
from collections import deque
from collections.abc import Iterable

import httptools
import httpx
from aiohappyeyeballs import start_connection

from routing.providers.shared.failures import FailureKind, UpstreamFailure

MAX_HEAD_BYTES = 64 * 1024  # of an answer: all bytes beside its body, between two pieces of the body
MAX_HEADERS = 128
MAX_HEADER_BYTES = 16 * 1024  # one field
KEEPALIVE_S = 30.0
_ADDRESSES_S = 60.0  # how long the addresses of a host name are used
_NEXT_ADDRESS_S = 0.25  # before the next address of a host is tried beside the first
_BUFFERED_BYTES = 256 * 1024  # received but not taken: more pauses the connection
_SENDABLE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def header_lines(headers: Iterable[tuple[str, str]]) -> bytes:
    """Headers as they are sent. Raises UpstreamFailure when one holds a character that would end its line."""
    lines = []
    for name, value in headers:
        try:
            raw_name, raw_value = name.encode("ascii"), value.strip().encode("latin-1")
        except UnicodeEncodeError:
            raise _not_sendable(name) from None
        if not _NAME.fullmatch(raw_name) or not _SENDABLE.fullmatch(raw_value):
            raise _not_sendable(name)
        lines.append(b"%s: %s\r\n" % (raw_name, raw_value))
    return b"".join(lines)


class Origin:
    """The connections to one scheme, host and port. Belongs to the event loop that uses it."""

    def __init__(self, url: httpx.URL, tls: ssl.SSLContext, connect_s: float) -> None:
        self._host = url.raw_host.decode("ascii").strip("[]")
        self._tls = tls if url.scheme == "https" else None
        self._port = url.port or (443 if self._tls else 80)
        self._connect_s = connect_s
        self._idle: deque[tuple[float, _Connection]] = deque()  # with the time until which each is kept
        self._sweeping: asyncio.TimerHandle | None = None
        self._addresses: tuple[float, list[tuple[int, int, int, str, tuple]]] = (0.0, [])  # type: ignore[type-arg]

    async def send(self, head: bytes, body: bytes, deadline: float) -> "Exchange":
        """Send a request, and wait for the head of its answer until `deadline` (loop's clock).

        A connection that closes without an answer is a failure even if it was kept: the provider may have
        read the request, so sending it again is an attempt of its own. Raises UpstreamFailure.
        """
        connection = self._idle_connection() or await self._connect(deadline)
        try:
            await connection.request(head, body, deadline)
        except BaseException:
            connection.close()
            raise
        return Exchange(self, connection)

    def keep(self, connection: "_Connection") -> None:
        """Take back a connection whose answer is complete."""
        loop = asyncio.get_running_loop()
        self._idle.append((loop.time() + KEEPALIVE_S, connection))
        if self._sweeping is None:
            self._sweeping = loop.call_later(KEEPALIVE_S, self._sweep)

    def close(self) -> None:
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        while self._idle:
            self._idle.pop()[1].close()

    def _idle_connection(self) -> "_Connection | None":
        """The connection used last, so that those which are not needed expire."""
        now = asyncio.get_running_loop().time()
        while self._idle:
            until, connection = self._idle.pop()
            if until > now and connection.is_usable:
                return connection
            connection.close()
        return None

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._idle and self._idle[0][0] <= now:
            self._idle.popleft()[1].close()
        self._sweeping = loop.call_at(self._idle[0][0], self._sweep) if self._idle else None

    async def _connect(self, deadline: float) -> "_Connection":
        """Name look-up, TCP and TLS, within CONNECT_TIMEOUT_S and the deadline."""
        loop = asyncio.get_running_loop()
        own_deadline = loop.time() + self._connect_s
        try:
            async with asyncio.timeout_at(min(deadline, own_deadline)):
                connected = await self._socket()
                try:
                    _, connection = await loop.create_connection(
                        lambda: _Connection(loop),
                        sock=connected,
                        ssl=self._tls,
                        server_hostname=self._host if self._tls else None,
                    )
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError as error:
            if deadline < own_deadline:
                raise _silent() from error
            message = "the provider did not accept the connection in time"
            raise UpstreamFailure(FailureKind.UNAVAILABLE, message) from error
        except ssl.SSLError as error:
            message = "no secure connection to the provider (TLS)"
            raise UpstreamFailure(FailureKind.UNAVAILABLE, message) from error
        except (socket.gaierror, UnicodeError) as error:
            message = "the provider's name does not resolve (DNS)"
            raise UpstreamFailure(FailureKind.UNAVAILABLE, message) from error
        except OSError as error:
            message = "the provider could not be reached"
            raise UpstreamFailure(FailureKind.UNAVAILABLE, message) from error
        return connection

    async def _socket(self) -> socket.socket:
        until, addresses = self._addresses
        loop = asyncio.get_running_loop()
        if loop.time() > until:
            addresses = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)  # type: ignore[assignment]
            self._addresses = (loop.time() + _ADDRESSES_S, addresses)
        try:
            connected = await start_connection(
                addresses, happy_eyeballs_delay=_NEXT_ADDRESS_S, interleave=1, loop=loop
            )
        except OSError:
            self._addresses = (0.0, [])  # they may have changed
            raise
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connected


class Exchange:
    """An answer whose head is here. Always `close` it; before the end, that closes the connection."""

    def __init__(self, origin: Origin, connection: "_Connection") -> None:
        self.status = connection.status
        self.headers = connection.headers
        self._origin = origin
        self._connection: _Connection | None = connection

    async def take(self, deadline: float) -> bytes | None:
        """The body as far as it has arrived, or its next piece by `deadline`; None at the end.

        Raises UpstreamFailure.
        """
        return None if self._connection is None else await self._connection.take(deadline)

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.is_reusable:
            self._origin.keep(connection)
        else:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection, used for one exchange after another. Its lower half is called by the parser."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set once it is connected
        self._waiter: asyncio.Future[bool] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._is_lost = self._is_spoilt = self._is_paused = self._keeps_alive = False
        self._failure: UpstreamFailure | None = None
        self._begin()
        self._is_complete = True  # nothing is expected before the first request

    def _begin(self) -> None:
        self.status = 0  # 0: the head is not here yet
        self.headers: dict[str, str] = {}
        self._fields = 0
        self._beside = 0  # bytes received beside the body since its last piece
        self._pieces: list[bytes] = []
        self._buffered = 0
        self._until_close = self._is_complete = False

    @property
    def is_usable(self) -> bool:
        """Return whether another request may be sent on this idle connection."""
        return not (self._is_lost or self._is_spoilt or self._transport.is_closing())

    @property
    def is_reusable(self) -> bool:
        """Return whether this exchange is over and leaves the connection as it began."""
        is_over = self._is_complete and self._keeps_alive and not self._pieces
        return bool(is_over and self.is_usable and not self._transport.get_write_buffer_size())

    async def request(self, head: bytes, body: bytes, deadline: float) -> None:
        """Send a request and wait for the head of its answer. Raises UpstreamFailure."""
        self._begin()
        if len(body) < _BUFFERED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.writelines([head, body])
        while not self.status:
            if self._failure is not None:
                raise self._failure
            if self._is_lost:
                message = "the provider closed the connection without an answer"
                raise UpstreamFailure(FailureKind.SERVER, message)
            if not await self._news(deadline):
                raise _silent()

    async def take(self, deadline: float) -> bytes | None:
        while not self._pieces:
            if self._is_complete:
                return None
            if self._is_lost or self._failure is not None:
                message = "the connection broke in the middle of the answer"
                raise UpstreamFailure(FailureKind.TRUNCATED, message, status=self.status)
            if not await self._news(deadline):
                message = "the provider fell silent"
                raise UpstreamFailure(FailureKind.TIMEOUT, message, status=self.status)
        taken = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._buffered = 0
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        return taken

    def close(self) -> None:
        """Close at once: what is not sent yet is not sent."""
        self._is_spoilt = True
        if not self._is_lost:
            self._transport.abort()

    async def _news(self, deadline: float) -> bool:
        """Wait until something has happened; False: `deadline` passed first."""
        waiter = self._waiter = self._loop.create_future()
        self._deadline = deadline
        # Nearly all waits end long before, so there is one timer for many of them.
        if self._timer is None or self._timer_at > deadline:
            self._set_timer()
        try:
            return bool(await waiter)
        finally:
            self._waiter = None

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._deadline
        self._timer = self._loop.call_at(self._deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._waiter is None or self._waiter.done():
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._waiter.set_result(False)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(True)

    def _fail(self, message: str) -> None:
        self._is_spoilt = True
        if self._failure is None:
            self._failure = UpstreamFailure(FailureKind.MALFORMED, message)
        self._transport.abort()

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._is_complete:
            self.close()  # no request was sent: these bytes must not become the next answer
            return
        self._beside += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not self._is_complete:
                self._fail("the provider's answer is not HTTP")
        if self._beside > MAX_HEAD_BYTES and not self._is_complete:
            self._fail("the head of the provider's answer is too long")
        if self._buffered > _BUFFERED_BYTES and not self._is_paused and not self._is_complete:
            self._is_paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        return None  # closes the connection

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._until_close and exc is None and self._failure is None and not self._is_spoilt:
            self._is_complete = True
        self._wake()

    # What the parser calls

    def on_message_begin(self) -> None:
        if self._is_complete:  # a second answer to one request
            self._is_spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._is_complete:
            return
        self._fields += 1
        if self._fields > MAX_HEADERS or len(name) + len(value) > MAX_HEADER_BYTES:
            self._fail("the head of the provider's answer is too long")
        elif not self.status:  # else a trailer, which nothing here reads
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            before = self.headers.get(key)
            self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._is_complete or self._failure is not None:
            return
        if status < 200:  # the answer follows
            self.headers.clear()
            return
        coding = self.headers.get("transfer-encoding", "chunked")
        if coding.strip().lower() != "chunked":
            self._fail(f"unasked transfer encoding {coding[:40]!r}")
            return
        has_no_end = "transfer-encoding" not in self.headers and "content-length" not in self.headers
        self._until_close = has_no_end and status not in (204, 304)
        self.status = status

    def on_body(self, data: bytes) -> None:
        if self._is_complete or self._failure is not None:
            return
        self._beside = 0
        self._pieces.append(data)
        self._buffered += len(data)

    def on_message_complete(self) -> None:
        if self.status and self._failure is None:
            self._is_complete, self._keeps_alive = True, self._parser.should_keep_alive()


def _silent() -> UpstreamFailure:
    return UpstreamFailure(FailureKind.TIMEOUT, "the provider did not answer in time")


def _not_sendable(name: str) -> UpstreamFailure:
    return UpstreamFailure(FailureKind.MALFORMED, f"the header {name[:40]!r} cannot be sent")
