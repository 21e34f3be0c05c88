"""The connections to one upstream: bytes out, a limited number of bytes in, network failures named.

Providers are reached through `http1`; with a proxy or HTTP/2, through httpx's own transport, which takes
several times as much processor time (docs/speed.md).
"""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx

from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.transport.http1 import KEEPALIVE_S, Origin, header_lines

MAX_BODY_BYTES = 32 * 1024 * 1024  # decompressed; a gzip bomb ends here
MAX_ERROR_BYTES = 256 * 1024  # of an error page, the start suffices
_KNOWN_PATHS = 256  # whose request lines are kept
_PACKED = ("gzip", "deflate")  # one at a time: stacked encodings multiply a gzip bomb


class Exchange(Protocol):
    """An answer whose head is here, of either transport. Header names are in lower case."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def take(self, deadline: float) -> bytes | None:
        """The next piece of the body by `deadline`; None at the end. Raises UpstreamFailure."""

    async def close(self) -> None: ...


class Reply:
    """An answer being received. Always `aclose` it; unread, that closes the connection."""

    def __init__(self, exchange: Exchange) -> None:
        self.status, self.headers = exchange.status, exchange.headers
        self.media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._exchange, self._size = exchange, 0
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity", *_PACKED):
            raise UpstreamFailure(FailureKind.MALFORMED, f"unasked content encoding {encoding!r}")
        self._unpacker = _Unpacker(encoding) if encoding in _PACKED else None

    async def chunk(self, deadline: float) -> bytes | None:
        """The next piece; None at the end. `deadline`: on the loop's clock. Raises UpstreamFailure."""
        while (piece := await self._exchange.take(deadline)) is not None:
            if self._unpacker is not None:
                piece = self._unpacked(piece)
            self._size += len(piece)
            if self._size > MAX_BODY_BYTES:
                raise UpstreamFailure(FailureKind.MALFORMED, f"the answer exceeds {MAX_BODY_BYTES} bytes")
            if piece:
                return piece
        return None

    async def read(self, deadline: float, idle_s: float, limit: int = MAX_BODY_BYTES) -> bytes:
        """The body, or its first `limit` bytes: the first piece by `deadline`, the others `idle_s` apart."""
        pieces: list[bytes] = []
        size = 0
        clock = asyncio.get_running_loop().time
        while size < limit and (piece := await self.chunk(deadline)) is not None:
            pieces.append(piece)
            size += len(piece)
            deadline = clock() + idle_s
        return b"".join(pieces)[:limit]

    async def aclose(self) -> None:
        await self._exchange.close()

    def _unpacked(self, piece: bytes) -> bytes:
        assert self._unpacker is not None
        try:
            return self._unpacker.unpack(piece, MAX_BODY_BYTES + 1 - self._size)
        except zlib.error as error:
            message = "the answer's compression is broken"
            raise UpstreamFailure(FailureKind.MALFORMED, message, status=self.status) from error


class _Unpacker:
    """Decompresses in bounded steps. Some servers send `deflate` without the zlib header it should have."""

    def __init__(self, encoding: str) -> None:
        self._may_be_raw = encoding == "deflate"
        self._inner = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def unpack(self, piece: bytes, most: int) -> bytes:
        """At most `most` bytes. Raises zlib.error."""
        try:
            unpacked = self._inner.decompress(piece, most)
        except zlib.error:
            if not self._may_be_raw:
                raise
            self._inner = zlib.decompressobj(-zlib.MAX_WBITS)
            unpacked = self._inner.decompress(piece, most)
        self._may_be_raw = False
        return unpacked


class Transport:
    """Keep-alive connections to one provider. `headers` go with every call."""

    def __init__(
        self, provider: Provider, headers: list[tuple[str, str]], deadlines: Deadlines, tls: ssl.SSLContext
    ) -> None:
        self._base, self._headers = provider.base_url.rstrip("/"), headers
        self._connect_s = deadlines.connect_s
        is_direct = not (provider.proxy or provider.http2)
        self._origin = Origin(httpx.URL(self._base), tls, deadlines.connect_s) if is_direct else None
        self._other = None if is_direct else _httpx_transport(provider, tls)
        self._heads: dict[str, bytes] = {}  # by path: the request line and the headers of all calls

    async def post(
        self, path: str, headers: tuple[tuple[str, str], ...], body: bytes, deadline: float
    ) -> Reply:
        """Send, and wait for the answer's head until `deadline` (loop's clock). Raises UpstreamFailure."""
        exchange: Exchange
        if self._origin is not None:
            own = header_lines(headers) if headers else b""
            head = b"%s%scontent-length: %d\r\n\r\n" % (self._head(path), own, len(body))
            exchange = await self._origin.send(head, body, deadline)
        else:
            exchange = await self._post_by_httpx(path, headers, body, deadline)
        try:
            return Reply(exchange)
        except UpstreamFailure:
            await exchange.close()
            raise

    async def aclose(self) -> None:
        if self._origin is not None:
            self._origin.close()
        if self._other is not None:
            await self._other.aclose()

    def _head(self, path: str) -> bytes:
        head = self._heads.get(path)
        if head is None:
            url = httpx.URL(self._base + path)
            head = b"POST %s HTTP/1.1\r\nhost: %s\r\n" % (url.raw_path, url.netloc)
            head += header_lines(self._headers)
            if len(self._heads) < _KNOWN_PATHS:
                self._heads[path] = head
        return head

    async def _post_by_httpx(
        self, path: str, headers: tuple[tuple[str, str], ...], body: bytes, deadline: float
    ) -> "_HttpxExchange":
        assert self._other is not None
        request = httpx.Request(
            "POST",
            self._base + path,
            headers=[*self._headers, *headers],
            content=body,
            extensions={"timeout": {"connect": self._connect_s, "pool": self._connect_s}},
        )
        try:
            async with asyncio.timeout_at(deadline):
                return _HttpxExchange(await self._other.handle_async_request(request))
        except (TimeoutError, httpx.HTTPError, OSError) as error:
            raise _not_answered(error) from error


class _HttpxExchange:
    """An answer that httpx receives. The transport is used without `httpx.AsyncClient`, whose cookies,
    redirects and hooks are not needed.
    """

    def __init__(self, response: httpx.Response) -> None:
        self.status, self.headers = response.status_code, response.headers
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._pieces: AsyncIterator[bytes] = aiter(response.stream)

    async def take(self, deadline: float) -> bytes | None:
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(self._pieces, None)
        except TimeoutError as error:
            message = "the provider fell silent"
            raise UpstreamFailure(FailureKind.TIMEOUT, message, status=self.status) from error
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            message = "the connection broke in the middle of the answer"
            raise UpstreamFailure(FailureKind.TRUNCATED, message, status=self.status) from error

    async def close(self) -> None:
        try:
            await self._stream.aclose()
        except (httpx.HTTPError, OSError):
            return  # closed is closed


def tls_context() -> ssl.SSLContext:
    """One for all providers: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()


def _httpx_transport(provider: Provider, tls: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(
        verify=tls,
        http2=provider.http2,
        proxy=provider.proxy,
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S
        ),
    )


def _not_answered(error: BaseException) -> UpstreamFailure:
    """The failure before the head of an answer."""
    cause = error.__context__ if isinstance(error, httpx.ConnectError) and error.__context__ else error
    if isinstance(cause, ssl.SSLError) or isinstance(error, ssl.SSLError):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "no secure connection to the provider (TLS)")
    if isinstance(error, httpx.ConnectTimeout):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "the provider did not accept the connection in time")
    if isinstance(error, httpx.ConnectError | httpx.PoolTimeout | httpx.ProxyError):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "the provider could not be reached")
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return UpstreamFailure(FailureKind.TIMEOUT, "the provider did not answer in time")
    if isinstance(error, httpx.ProtocolError) and not isinstance(error, httpx.RemoteProtocolError):
        return UpstreamFailure(FailureKind.MALFORMED, "the provider's answer is not HTTP")
    return UpstreamFailure(FailureKind.SERVER, "the provider closed the connection without an answer")


async def drained(reply: Reply, within_s: float) -> None:
    """Read the rest of the answer if it arrives in time, so that the connection can be reused."""
    deadline = asyncio.get_running_loop().time() + within_s
    try:
        while await reply.chunk(deadline) is not None:
            pass
    except UpstreamFailure:
        return
