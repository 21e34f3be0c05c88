"""The HTTP client for URLs that callers supply: public addresses only, bounded in size and time.

A host name is resolved once, and all its addresses are checked before any connection is made. The connection
goes to a checked address; TLS and the Host header still use the host name. There is no second lookup, so a
name whose address changes (DNS rebinding) gains nothing. Redirects are followed only on request, and each hop
passes the same checks.

Libraries evaluated: httpx-secure connects before it checks (a denied host still sees a TCP connection, so
ports can be scanned) and checks one address only; safehttpx only does GET; others are too new. The code here
is small and uses only public parts of httpx.
"""

import asyncio
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import httpx
from django.conf import settings

from core.public_addresses import is_public

MOST_REDIRECTS = 3
_LONGEST_URL = 2000
_PORTS = {"https": (443, 8443), "http": (80, 8080)}  # other ports belong to services not meant to be called
_CONNECT_S = 5.0
_REDIRECTS = (301, 302, 303, 307, 308)
# The same message for a missing and for a private host, so that callers can't probe the names of our network.
_NOT_FOUND = "The host {} cannot be found on the public internet."
_POST_ANSWER_BYTES = 2000  # read of the answer to a POST: enough to see what went wrong


class OutboundError(Exception):
    """A URL could not be called; the message may be shown to the person who supplied it."""


class RefusedUrl(OutboundError):
    """The URL is not allowed."""


class Unreachable(OutboundError):
    """No valid answer: DNS, connection, TLS or HTTP failed."""


class TooSlow(OutboundError):
    """The answer was not complete in time."""


class TooLarge(OutboundError):
    """The answer exceeds the size limit, as sent or decompressed."""


@dataclass(frozen=True)
class Answer:
    """`body` is decompressed; `url` is the last one, after redirects."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


async def fetch(url: str, *, most_bytes: int, within_s: float, redirects: int = MOST_REDIRECTS) -> Answer:
    """GET a whole answer of any status. Raises OutboundError."""
    async with _deadline(within_s):
        for _ in range(min(redirects, MOST_REDIRECTS) + 1):
            answer = await _send("GET", url, {}, b"", most_bytes, cut=False)
            if answer.status not in _REDIRECTS or "location" not in answer.headers:
                return answer
            url = _next_hop(url, answer.headers["location"])
        raise RefusedUrl(f"The URL redirects more than {redirects} times.")


async def post(url: str, content: bytes, headers: Mapping[str, str], *, within_s: float) -> Answer:
    """POST, and read the beginning of the answer; redirects are not followed. Raises OutboundError."""
    async with _deadline(within_s):
        return await _send("POST", url, headers, content, _POST_ANSWER_BYTES, cut=True)


def check_url(text: str) -> httpx.URL:
    """Check a URL without the network. Raises RefusedUrl, whose message says what to change."""
    if len(text) > _LONGEST_URL:
        raise RefusedUrl(f"The URL is longer than {_LONGEST_URL} characters.")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise RefusedUrl("This is not a URL.") from None
    host = _host(url)
    if not host:
        raise RefusedUrl("The URL names no host. It looks like https://example.com/path.")
    is_allowed = _is_listed(host, _port(url))
    if url.scheme not in _PORTS or (
        url.scheme == "http" and not (settings.OUTBOUND_ALLOW_HTTP or is_allowed)
    ):
        raise RefusedUrl("The URL must begin with https://.")
    if url.userinfo:
        raise RefusedUrl("The URL must not hold a user name or password.")
    if not is_allowed and _port(url) not in _PORTS[url.scheme]:
        ports = " or ".join(map(str, _PORTS[url.scheme]))
        raise RefusedUrl(f"The URL's port must be {ports}.")
    return url.copy_with(fragment=None)


async def checked_addresses(url: httpx.URL) -> list[str]:
    """The addresses of a URL's host, if all of them may be called. Raises RefusedUrl or Unreachable."""
    host = _host(url)
    addresses = await resolve(host, _port(url))
    if not addresses:
        raise Unreachable(_NOT_FOUND.format(host))
    if not _is_listed(host, _port(url)) and not all(is_public(address) for address in addresses):
        raise RefusedUrl(_NOT_FOUND.format(host))
    return addresses


async def resolve(host: str, port: int) -> list[str]:
    """The addresses from the system's resolver, in its order; it also parses 127.1 and 0x7f000001."""
    try:
        results = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unreachable(_NOT_FOUND.format(host)) from None
    return list(dict.fromkeys(str(result[4][0]) for result in results))


def _is_listed(host: str, port: int) -> bool:
    """Return True if OUTBOUND_ALLOWED_HOSTS lists this host, with this port or without one."""
    names = {name.strip().lower() for name in settings.OUTBOUND_ALLOWED_HOSTS}
    shown = f"[{host}]" if ":" in host else host
    return bool(names & {host.lower(), shown.lower(), f"{shown}:{port}".lower()})


def _host(url: httpx.URL) -> str:
    """In ASCII, without brackets or a final dot."""
    return url.raw_host.decode("ascii").strip("[]").rstrip(".")


def _port(url: httpx.URL) -> int:
    return url.port or _PORTS.get(url.scheme, (0,))[0]


def _next_hop(url: str, location: str) -> str:
    try:
        return str(httpx.URL(url).join(location))
    except (httpx.InvalidURL, ValueError):
        raise RefusedUrl("The URL redirects to something that is not a URL.") from None


async def _send(
    method: str, text: str, headers: Mapping[str, str], content: bytes, most_bytes: int, *, cut: bool
) -> Answer:
    url = check_url(text)
    error: OutboundError = Unreachable("No server answered.")
    for address in await checked_addresses(url):
        try:
            return await _send_to(address, method, url, headers, content, most_bytes, cut=cut)
        except _NotConnected as failed:  # nothing was sent yet, so the host's next address may be tried
            error = Unreachable(str(failed))
    raise error


class _NotConnected(Exception):
    """No connection to this address of the host."""


async def _send_to(
    address: str,
    method: str,
    url: httpx.URL,
    headers: Mapping[str, str],
    content: bytes,
    most_bytes: int,
    *,
    cut: bool,
) -> Answer:
    """One exchange with one address, on its own transport: hosts never share a connection."""
    host = url.netloc.decode("ascii")
    request = httpx.Request(
        method,
        url.copy_with(host=address),
        headers={**headers, "Host": host, "Accept-Encoding": "gzip, deflate", "User-Agent": "RoutePlex"},
        content=content or None,
        extensions={
            "sni_hostname": _host(url),
            "timeout": {"connect": _CONNECT_S, "read": None, "write": None, "pool": None},
        },
    )
    transport = httpx.AsyncHTTPTransport(verify=_tls(), trust_env=False, retries=0)
    async with transport:
        try:
            response = await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout) as failed:
            raise _NotConnected(f"No connection to {url.host}: {_reason(failed)}") from None
        except (httpx.HTTPError, httpx.InvalidURL) as failed:
            raise Unreachable(f"{url.host} did not answer: {_reason(failed)}") from None
        try:
            body = await _body(response, most_bytes, cut=cut)
        except httpx.HTTPError as failed:
            raise Unreachable(f"{url.host} cut its answer off: {_reason(failed)}") from None
        finally:
            await response.aclose()
        return Answer(response.status_code, response.headers, body, str(url))


async def _body(response: httpx.Response, most_bytes: int, *, cut: bool) -> bytes:
    """At most `most_bytes`; more raises TooLarge, or is cut off. Decompresses in bounded steps."""
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate", ""):
        if cut:
            return b""
        raise Unreachable(f"The answer is encoded as {encoding[:40]}, which was not requested.")
    unpack = zlib.decompressobj(wbits=47) if encoding not in ("identity", "") else None
    body = bytearray()
    received = 0
    async for chunk in response.aiter_raw():
        received += len(chunk)
        try:
            body += unpack.decompress(chunk, most_bytes + 1 - len(body)) if unpack else chunk
        except zlib.error:
            if cut:
                break
            raise Unreachable("The answer's compression is invalid.") from None
        if len(body) > most_bytes or received > most_bytes:
            if cut:
                break
            raise TooLarge(f"The answer is larger than {most_bytes:,} bytes.")
    return bytes(body[:most_bytes])


@asynccontextmanager
async def _deadline(seconds: float) -> AsyncIterator[None]:
    """Limits a whole call, with name lookups and redirects. Raises TooSlow."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise TooSlow(f"No complete answer within {seconds:g} s.") from None


@cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:200]
