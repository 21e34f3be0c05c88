"""The connections to one upstream: bytes out, a limited number of bytes in, network failures named.

httpx's transport interface over aiohttp, which takes a third of the time of httpx's own transport; with a
proxy or HTTP/2, httpx's own. It is used without `httpx.AsyncClient`: its cookies, redirects and hooks are
not needed and would double the time of a call.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.config import Deadlines, Provider

MAX_BODY_BYTES = 32 * 1024 * 1024  # decompressed; a gzip bomb ends here
MAX_ERROR_BYTES = 256 * 1024  # of an error page, the start suffices
MAX_HEADER_BYTES = 16 * 1024  # one field; aiohttp allows 128 fields
KEEPALIVE_S = 30.0
_ENCODINGS = (
    "",
    "identity",
    "gzip",
    "deflate",
)  # one at a time: stacked encodings multiply a gzip bomb


class Reply:
    """An answer being received. Always `aclose` it; unread, that closes the connection."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        self._response = response
        encoded = response.headers.get("content-encoding", "").strip().lower()
        if encoded not in _ENCODINGS:
            raise UpstreamFailure(FailureKind.MALFORMED, f"unasked content encoding {encoded!r}")
        self._chunks = response.aiter_bytes() if encoded in ("gzip", "deflate") else _plain(response)
        self._size = 0

    async def chunk(self, deadline: float) -> bytes | None:
        """The next piece; None at the end. `deadline`: on the loop's clock. Raises UpstreamFailure."""
        try:
            async with asyncio.timeout_at(deadline):
                piece = await anext(self._chunks, None)
        except TimeoutError as error:
            raise UpstreamFailure(
                FailureKind.TIMEOUT, "the provider fell silent", status=self.status
            ) from error
        except httpx.DecodingError as error:
            raise UpstreamFailure(
                FailureKind.MALFORMED, "the answer's compression is broken", status=self.status
            ) from error
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as error:
            raise UpstreamFailure(
                FailureKind.TRUNCATED, "the connection broke in the middle of the answer", status=self.status
            ) from error
        if piece is not None:
            self._size += len(piece)
            if self._size > MAX_BODY_BYTES:
                raise UpstreamFailure(FailureKind.MALFORMED, f"the answer exceeds {MAX_BODY_BYTES} bytes")
        return piece

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
        try:
            await self._response.aclose()
        except (httpx.HTTPError, aiohttp.ClientError, OSError):
            return  # closed is closed


class Transport:
    """Keep-alive connections to one provider."""

    def __init__(self, provider: Provider, deadlines: Deadlines, tls: ssl.SSLContext) -> None:
        self._base = provider.base_url.rstrip("/")
        self._timeouts = {"connect": deadlines.connect_s, "pool": deadlines.connect_s}
        self._urls: dict[str, httpx.URL] = {}
        self._inner = _own_transport(provider, tls) if provider.proxy or provider.http2 else _fast(tls)

    async def post(self, path: str, headers: list[tuple[str, str]], body: bytes, deadline: float) -> Reply:
        """Send, and wait for the answer's head until `deadline` (loop's clock). Raises UpstreamFailure."""
        request = httpx.Request(
            "POST",
            self._url(path),
            headers=headers,
            content=body,
            extensions={"timeout": self._timeouts},
        )
        try:
            async with asyncio.timeout_at(deadline):
                response = await self._inner.handle_async_request(request)
        except (TimeoutError, httpx.HTTPError, aiohttp.ClientError, OSError) as error:
            raise _not_answered(error) from error
        response.request = request
        try:
            return Reply(response)
        except UpstreamFailure:
            await response.aclose()
            raise

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _url(self, path: str) -> httpx.URL:
        url = self._urls.get(path)
        if url is None:
            url = httpx.URL(self._base + path)
            if len(self._urls) < 256:
                self._urls[path] = url
        return url


def tls_context() -> ssl.SSLContext:
    """One for all providers: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()


def _fast(tls: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,  # admission limits concurrency, not the pool
                ssl=tls,
                keepalive_timeout=KEEPALIVE_S,
                ttl_dns_cache=60,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            trust_env=False,
        )

    return AiohttpTransport(verify=tls, client=session)


def _own_transport(provider: Provider, tls: ssl.SSLContext) -> httpx.AsyncBaseTransport:
    return httpx.AsyncHTTPTransport(
        verify=tls,
        http2=provider.http2,
        proxy=provider.proxy,
        limits=httpx.Limits(
            max_connections=None, max_keepalive_connections=100, keepalive_expiry=KEEPALIVE_S
        ),
    )


_UNREACHED = (
    aiohttp.ClientConnectorError,  # refused, DNS, TLS
    aiohttp.ConnectionTimeoutError,
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    ssl.SSLError,
)


def _not_answered(error: BaseException) -> UpstreamFailure:
    """The failure before the head of an answer. httpx wraps aiohttp's errors: the cause is more precise."""
    cause = error.__cause__ if isinstance(error, httpx.HTTPError) and error.__cause__ else error
    if isinstance(cause, aiohttp.ClientConnectorCertificateError | aiohttp.ClientSSLError | ssl.SSLError):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "no secure connection to the provider (TLS)")
    if isinstance(cause, aiohttp.ClientConnectorDNSError):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "the provider's name does not resolve (DNS)")
    if isinstance(cause, aiohttp.ConnectionTimeoutError | httpx.ConnectTimeout):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "the provider did not accept the connection in time")
    if isinstance(cause, _UNREACHED):
        return UpstreamFailure(FailureKind.UNAVAILABLE, "the provider could not be reached")
    if isinstance(cause, TimeoutError | httpx.TimeoutException):
        return UpstreamFailure(FailureKind.TIMEOUT, "the provider did not answer in time")
    if isinstance(cause, aiohttp.ClientResponseError | httpx.ProtocolError) and not isinstance(
        cause, httpx.RemoteProtocolError
    ):
        return UpstreamFailure(FailureKind.MALFORMED, "the provider's answer is not HTTP")
    return UpstreamFailure(FailureKind.SERVER, "the provider closed the connection without an answer")


def _plain(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes; httpx's own iterators cost more than the transport's."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return aiter(response.stream)


async def drained(reply: Reply, within_s: float) -> None:
    """Read the rest of the answer if it arrives in time, so that the connection can be reused."""
    deadline = asyncio.get_running_loop().time() + within_s
    try:
        while await reply.chunk(deadline) is not None:
            pass
    except UpstreamFailure:
        return
