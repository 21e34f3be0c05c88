"""The HTTP/1.1 client: answers in any pieces, kept connections, and servers that break the protocol."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport import http1
from routing.providers.transport.http1 import MAX_HEADERS, Exchange, Origin, header_lines

HEAD = b"POST /x HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def answer(body: bytes, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 200 OK\r\n%scontent-length: %d\r\n\r\n%s" % (extra, len(body), body)


class Server:
    """A socket server that runs `talk` for each request; `connections` counts the connections."""

    def __init__(self, talk: Talk) -> None:
        self._talk, self.connections, self.requests = talk, 0, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(2)
                self.requests += 1
                await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def reached(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Origin, Server]]:
    """An origin that leads to a server which talks like that."""
    server = Server(talk)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
    port = listening.sockets[0].getsockname()[1]
    scheme = "https" if tls else "http"
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    origin = Origin(httpx.URL(f"{scheme}://127.0.0.1:{port}"), trusting, 2.0)
    try:
        yield origin, server
    finally:
        origin.close()
        listening.close()


def sending(*pieces: bytes, close: bool = False) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if close:
            writer.close()

    return talk


def soon(seconds: float = 2.0) -> float:
    return asyncio.get_running_loop().time() + seconds


async def begun(origin: Origin) -> Exchange:
    return await origin.send(HEAD, b"{}", soon())


async def body_of(origin: Origin) -> bytes:
    exchange = await begun(origin)
    try:
        pieces = []
        while (piece := await exchange.take(soon())) is not None:
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        await exchange.close()


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted({place % (len(data) + 1) for place in places}), len(data)]
    return [data[first:last] for first, last in pairwise(edges) if first < last]


@given(
    chunks=st.lists(st.binary(min_size=1, max_size=300), max_size=5),
    form=st.sampled_from(["length", "chunked", "trailer", "close", "informed"]),
    places=st.lists(st.integers(0, 5000), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_an_answer_is_read_whole_in_any_pieces(chunks: list[bytes], form: str, places: list[int]) -> None:
    body = b"".join(chunks)
    framed = b"".join(b"%x;note=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    raw = {
        "length": answer(body),
        "chunked": CHUNKED + framed + b"0\r\n\r\n",
        "trailer": CHUNKED + framed + b"0\r\nx-sum: 1\r\n\r\n",
        "close": b"HTTP/1.1 200 OK\r\n\r\n" + body,
        "informed": b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + answer(body),
    }[form]

    async def run() -> None:
        async with reached(sending(*cut(raw, places), close=form == "close")) as (origin, server):
            assert await body_of(origin) == body
            assert await body_of(origin) == body
            assert server.connections == (2 if form == "close" else 1)

    asyncio.run(run())


_BROKEN = st.one_of(
    st.binary(max_size=400),
    st.builds(
        lambda place, byte: (lambda raw: raw[:place] + bytes([byte]) + raw[place + 1 :])(
            CHUNKED + b"5\r\nhello\r\n0\r\n\r\n" + answer(b"other")
        ),
        st.integers(0, 100),
        st.integers(0, 255),
    ),
    st.builds(lambda end: (CHUNKED + b"5\r\nhello\r\n0\r\nx: y\r\n\r\n")[:end], st.integers(0, 80)),
)


@given(raw=_BROKEN, places=st.lists(st.integers(0, 500), max_size=4))
@settings(max_examples=150, deadline=None)
def test_any_bytes_end_in_an_answer_or_a_named_failure(raw: bytes, places: list[int]) -> None:
    async def run() -> FailureKind | None:
        async with reached(sending(*cut(raw, places), close=True)) as (origin, _):
            try:
                await asyncio.wait_for(body_of(origin), 5)
            except UpstreamFailure as failure:
                return failure.kind
        return None

    assert asyncio.run(run()) in (None, FailureKind.SERVER, FailureKind.MALFORMED, FailureKind.TRUNCATED)


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n folded\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\n\r\n" * 4000,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * http1.MAX_HEAD_BYTES,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * (MAX_HEADERS + 1) + b"\r\n",
    ],
    ids=["both lengths", "two lengths", "negative", "stacked", "folded", "upgrade", "hints", "long", "many"],
)
async def test_an_ambiguous_or_endless_head_is_refused(raw: bytes) -> None:
    async with reached(sending(raw)) as (origin, _):
        with pytest.raises(UpstreamFailure) as caught:
            await body_of(origin)
        assert caught.value.kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    "raw",
    [
        CHUNKED + b"fffffffffffffffff\r\nhello",
        CHUNKED + b"5\r\nhelloXX",
        CHUNKED + b"5\r\nhello\r\n0\r\n" + b"x: y\r\n" * 20_000,
        CHUNKED + b"5\r\nhello\r\n5;" + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
    ],
    ids=["chunk size", "chunk end", "trailers", "chunk extension", "short"],
)
async def test_a_damaged_body_is_truncated(raw: bytes) -> None:
    async with reached(sending(raw, close=True)) as (origin, _):
        with pytest.raises(UpstreamFailure) as caught:
            await body_of(origin)
        assert caught.value.kind is FailureKind.TRUNCATED


async def test_a_second_answer_is_never_read_as_the_next_one() -> None:
    async with reached(sending(answer(b"right") + answer(b"smuggled"))) as (origin, server):
        assert [await body_of(origin) for _ in range(3)] == [b"right"] * 3
        assert server.connections == 3


async def test_bytes_on_an_idle_connection_close_it() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"right"))
        await writer.drain()
        await asyncio.sleep(0.02)
        writer.write(answer(b"smuggled"))

    async with reached(talk) as (origin, server):
        assert await body_of(origin) == b"right"
        await asyncio.sleep(0.05)
        assert await body_of(origin) == b"right"
        assert server.connections == 2


async def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    async with reached(sending(answer(b"hi", b"connection: close\r\n"))) as (origin, server):
        await body_of(origin)
        await body_of(origin)
        assert server.connections == 2


async def test_an_answer_that_is_left_closes_its_connection() -> None:
    async with reached(sending(CHUNKED + b"5\r\nhello\r\n")) as (origin, server):
        for _ in range(2):
            exchange = await begun(origin)
            assert await exchange.take(soon()) == b"hello"
            await exchange.close()
        assert server.connections == 2


async def test_a_kept_connection_that_its_server_has_closed_is_not_used() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(b"hi"))
        await writer.drain()
        writer.close()

    async with reached(talk) as (origin, server):
        for _ in range(3):
            assert await body_of(origin) == b"hi"
            await asyncio.sleep(0.05)
        assert server.connections == 3


async def test_a_kept_connection_that_closes_without_an_answer_is_not_tried_again() -> None:
    """The server may have read the request; whether it is sent again is decided where it is recorded."""
    answered = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        if answered == 2:
            writer.close()
        else:
            writer.write(answer(b"hi"))

    async with reached(talk) as (origin, server):
        await body_of(origin)
        with pytest.raises(UpstreamFailure) as caught:
            await body_of(origin)
        assert caught.value.kind is FailureKind.SERVER
        assert await body_of(origin) == b"hi"
        assert server.requests == 3


async def test_a_kept_connection_that_began_to_answer_is_not_tried_again() -> None:
    answered = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        answered += 1
        writer.write(answer(b"hi") if answered == 1 else b"HTTP/1.1 200")
        if answered == 2:
            writer.close()

    async with reached(talk) as (origin, server):
        await body_of(origin)
        with pytest.raises(UpstreamFailure):
            await body_of(origin)
        assert server.requests == 2


async def test_a_fast_server_does_not_fill_the_memory() -> None:
    sent = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(CHUNKED)
        while sent < 64 << 20:
            writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
            sent += 0x10000
            await writer.drain()

    async with reached(talk) as (origin, _):
        exchange = await begun(origin)
        await asyncio.sleep(0.3)
        assert sent < 32 << 20  # the rest waits in the server: sockets have buffers of some MB
        received = len(await exchange.take(soon()) or b"")
        assert received <= 2 << 20
        await exchange.close()


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """Of a server that no client trusts."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    command += ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_connections_over_tls_are_kept(tls: ssl.SSLContext) -> None:
    async with reached(sending(answer(b"hi")), tls) as (origin, server):
        assert [await body_of(origin) for _ in range(3)] == [b"hi"] * 3
        assert server.connections == 1


@pytest.mark.parametrize("header", [("x", "a\r\ny: b"), ("x\n", "a"), ("x y", "a"), ("x", "\u2713")])
def test_a_header_cannot_hold_the_end_of_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(UpstreamFailure):
        header_lines([header])
