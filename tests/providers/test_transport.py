"""Upstreams that misbehave below HTTP end in one named failure, in time and in bounded memory."""

import asyncio
import gzip
import json
import socket
import time
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from routing.language.arms import ModelFacts
from routing.language.chat import Finished, Started, StreamEvent, TextDelta
from routing.providers.call import ERROR_BODY_S
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.upstreams import Upstreams
from tests.providers.conftest import QUICK, misbehaving
from tests.providers.facts import LOCAL, asking

RAW = msgspec.structs.replace(LOCAL, provider="raw")
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"

either_way = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def chunk(text: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c1", "model": "m", "choices": [choice]}).encode() + b"\n\n"


def framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def whole(text: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps(
        {"id": "c1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    ).encode()


def response(body: bytes, kind: str = "application/json", status: str = "200 OK", extra: str = "") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{extra}\r\n"
    return head.encode() + body


async def ask(upstreams: Upstreams, *, stream: bool = True, model: ModelFacts = RAW) -> list[StreamEvent]:
    batches = upstreams.complete(asking(), model, None, stream=stream)
    return [event async for batch in batches for event in batch]


async def listen(upstreams: Upstreams, events: list[StreamEvent]) -> None:
    async for batch in upstreams.complete(asking(), RAW, None, stream=True):
        events += batch


async def failure(upstreams: Upstreams, *, stream: bool = True) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await asyncio.wait_for(ask(upstreams, stream=stream), 10)
    assert "s3cret-key" not in caught.value.message
    return caught.value


def sending(*pieces: bytes, then: str = "close") -> Any:
    """A server that writes the pieces and then closes, resets, keeps silent or keeps the connection."""

    async def behaviour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        match then:
            case "close":
                writer.close()
            case "reset":
                writer.transport.abort()
            case "silence":
                await reader.read()  # until the client hangs up
                writer.close()

    return behaviour


@either_way
async def test_silence_after_accept_is_a_timeout(stream: bool) -> None:
    async with misbehaving(sending(then="silence")) as upstreams:
        assert (await failure(upstreams, stream=stream)).kind is FailureKind.TIMEOUT


@either_way
async def test_headers_and_then_silence_is_a_timeout(stream: bool) -> None:
    async with misbehaving(sending(SSE if stream else response(b"")[:-4], then="silence")) as upstreams:
        assert (await failure(upstreams, stream=stream)).kind is FailureKind.TIMEOUT


async def test_pings_do_not_put_off_the_first_token_deadline() -> None:
    async def pinging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE)
        while not writer.is_closing():
            writer.write(b": ping\n\n" + chunk(None))
            await writer.drain()
            await asyncio.sleep(0.02)

    async with misbehaving(pinging) as upstreams:
        assert (await failure(upstreams)).kind is FailureKind.TIMEOUT


async def test_the_caller_may_wait_longer_for_the_first_byte() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        writer.write(response(whole("late")))

    async with misbehaving(late) as upstreams:
        completion = upstreams.complete(asking(), RAW, None, stream=False, first_byte_s=5)
        assert TextDelta("late") in [event async for batch in completion for event in batch]


async def test_a_stall_after_content_is_a_timeout() -> None:
    events: list[StreamEvent] = []
    async with misbehaving(sending(SSE, chunk("Hello"), then="silence")) as upstreams:
        with pytest.raises(UpstreamFailure) as caught:
            await listen(upstreams, events)
    assert events == [Started("m", "c1"), TextDelta("Hello")]
    assert caught.value.kind is FailureKind.TIMEOUT


async def test_one_byte_at_a_time_without_a_whole_event_is_a_timeout() -> None:
    async def trickling(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE + chunk("Hello") + b"data: {")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with misbehaving(trickling) as upstreams:
        assert (await failure(upstreams)).kind is FailureKind.TIMEOUT


@either_way
@pytest.mark.parametrize("then", ["reset", "close"])
async def test_a_connection_closed_before_the_answer_is_a_servers_failure(stream: bool, then: str) -> None:
    async with misbehaving(sending(then=then)) as upstreams:
        failed = await failure(upstreams, stream=stream)
    assert failed.kind is FailureKind.SERVER
    assert failed.scope == "model"


@pytest.mark.parametrize("then", ["reset", "close"])
@pytest.mark.parametrize("head", [SSE, CHUNKED], ids=["until close", "chunked"])
async def test_a_stream_cut_in_the_middle_is_truncated(head: bytes, then: str) -> None:
    piece = chunk("Hello") if head is SSE else framed(chunk("Hello"))
    async with misbehaving(sending(head, piece, then=then)) as upstreams:
        assert (await failure(upstreams)).kind is FailureKind.TRUNCATED


async def test_a_body_cut_in_the_middle_is_truncated() -> None:
    async with misbehaving(sending(response(whole("Hello"))[:-10])) as upstreams:
        assert (await failure(upstreams, stream=False)).kind is FailureKind.TRUNCATED


@pytest.mark.parametrize("then", ["reset", "close", "silence"])
async def test_no_done_but_a_finish_reason_is_whole(then: str) -> None:
    async with misbehaving(sending(SSE, chunk("Hello"), chunk(None, "stop"), then=then)) as upstreams:
        assert [type(event) for event in await ask(upstreams)] == [Started, TextDelta, Finished]


async def test_a_heartbeat_in_plain_text_is_skipped() -> None:
    pieces = (SSE, b"data: OK\n\n", chunk("Hello"), b"data:\n\n", chunk(None, "stop"), b"data: [DONE]\n\n")
    async with misbehaving(sending(*pieces)) as upstreams:
        assert TextDelta("Hello") in await ask(upstreams)


async def test_a_malformed_frame_is_malformed() -> None:
    async with misbehaving(sending(SSE, chunk("Hello"), b'data: {"choi\n\n', chunk("!"))) as upstreams:
        assert (await failure(upstreams)).kind is FailureKind.MALFORMED


@either_way
@pytest.mark.parametrize(
    ("body", "kind", "status", "expected"),
    [
        (b"<html>Bad Gateway</html>", "text/html", "502 Bad Gateway", FailureKind.SERVER),
        (b"<html>Welcome</html>", "text/html", "200 OK", FailureKind.MALFORMED),
        (b"", "application/json", "200 OK", FailureKind.MALFORMED),
        (b"not json", "application/json", "200 OK", FailureKind.MALFORMED),
        (b"{}", "application/json", "200 OK", FailureKind.MALFORMED),
        (
            b'{"error":{"code":"insufficient_quota"}}',
            "application/json",
            "200 OK",
            FailureKind.QUOTA,
        ),
        (b"", "text/html", "302 Found", FailureKind.SERVER),
    ],
)
async def test_invalid_answers_have_their_failure_kind(
    stream: bool, body: bytes, kind: str, status: str, expected: FailureKind
) -> None:
    location = "location: http://127.0.0.1:1/elsewhere\r\n"
    async with misbehaving(sending(response(body, kind, status, location))) as upstreams:
        assert (await failure(upstreams, stream=stream)).kind is expected


async def test_an_answer_is_read_by_its_media_type() -> None:
    async with misbehaving(sending(response(whole("Hello")))) as upstreams:
        assert TextDelta("Hello") in await ask(upstreams, stream=True)
    stream = chunk("Hello") + chunk(None, "stop") + b"data: [DONE]\n\n"
    async with misbehaving(sending(response(stream, "text/event-stream; charset=utf-8"))) as upstreams:
        assert TextDelta("Hello") in await ask(upstreams, stream=False)


@either_way
async def test_compressed_answers_are_read(stream: bool) -> None:
    body = chunk("Hello") + chunk(None, "stop") if stream else whole("Hello")
    kind = "text/event-stream" if stream else "application/json"
    packed = response(gzip.compress(body), kind, extra="content-encoding: gzip\r\n")
    async with misbehaving(sending(packed)) as upstreams:
        assert TextDelta("Hello") in await ask(upstreams, stream=stream)


@either_way
async def test_a_gzip_bomb_is_malformed(stream: bool) -> None:
    bomb = gzip.compress(b"x" * (100 << 20), 9)
    kind = "text/event-stream" if stream else "application/json"
    async with misbehaving(sending(response(bomb, kind, extra="content-encoding: gzip\r\n"))) as upstreams:
        assert (await failure(upstreams, stream=stream)).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"no gzip", "gzip"), (gzip.compress(gzip.compress(b"{}")), "gzip, gzip"), (b"", "br")],
    ids=["broken", "stacked", "unasked"],  # gzip stamps the time: the bytes are no name for a test
)
async def test_broken_stacked_or_unrequested_compression_is_malformed(body: bytes, encoding: str) -> None:
    packed = response(body, extra=f"content-encoding: {encoding}\r\n")
    async with misbehaving(sending(packed)) as upstreams:
        assert (await failure(upstreams, stream=False)).kind is FailureKind.MALFORMED


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\n" + b"".join(b"x-%d: y\r\n" % i for i in range(50_000)) + b"\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * (1 << 20) + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
    ],
    ids=["many headers", "long header", "not http"],
)
async def test_a_header_flood_or_another_protocol_is_malformed(flood: bytes) -> None:
    async with misbehaving(sending(flood)) as upstreams:
        assert (await failure(upstreams)).kind in (FailureKind.MALFORMED, FailureKind.SERVER)


async def test_a_refused_connection_and_a_name_that_does_not_resolve_are_unavailable() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    for url in (closed, "http://no-such-host.invalid"):
        upstreams = Upstreams([Provider("raw", "openai", url, "s3cret-key")], QUICK)
        failed = await failure(upstreams)
        assert failed.kind is FailureKind.UNAVAILABLE
        assert failed.scope == "provider"
        await upstreams.aclose()


async def test_a_server_without_tls_is_unavailable_over_https() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstreams = Upstreams([Provider("raw", "openai", f"https://127.0.0.1:{port}")], QUICK)
    assert (await failure(upstreams)).kind is FailureKind.UNAVAILABLE
    await upstreams.aclose()
    server.close()


async def test_an_unknown_provider_is_unavailable() -> None:
    assert (await failure(Upstreams([]))).kind is FailureKind.UNAVAILABLE


async def test_events_come_while_the_stream_goes_on_and_closing_hangs_up() -> None:
    hung_up = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(CHUNKED + framed(chunk("Hello")))
        await reader.read()
        hung_up.set()
        writer.close()

    async with misbehaving(endless, deadlines=Deadlines()) as upstreams:
        async with aclosing(upstreams.complete(asking(), RAW, None, stream=True)) as batches:
            assert await anext(batches) == [Started("m", "c1"), TextDelta("Hello")]
            assert not hung_up.is_set()
        await asyncio.wait_for(hung_up.wait(), 5)


@either_way
async def test_cancelling_hangs_up(stream: bool) -> None:
    received, hung_up = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        received.set()
        await reader.read()
        hung_up.set()
        writer.close()

    async with misbehaving(silent, deadlines=Deadlines()) as upstreams:
        task = asyncio.create_task(ask(upstreams, stream=stream))
        await asyncio.wait_for(received.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(hung_up.wait(), 5)


@either_way
async def test_connections_are_used_again_after_a_whole_answer(stream: bool) -> None:
    connections = set()
    done = framed(b"data: [DONE]\n\n")

    async def keeping_open(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer)
        if not stream:
            writer.write(response(whole("Hello")))
            return
        writer.write(CHUNKED + framed(chunk("Hello")) + framed(chunk(None, "stop")) + done)
        await writer.drain()
        writer.write(b"0\r\n\r\n")

    async with misbehaving(keeping_open) as upstreams:
        for _ in range(3):
            await ask(upstreams, stream=stream)
    assert len(connections) == 1


async def test_cookies_are_not_sent_back() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            heads.append(head.lower())
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(response(whole("Hello"), extra="set-cookie: session=1\r\n"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstreams = Upstreams([Provider("raw", "openai", f"http://127.0.0.1:{port}/v1", "k", {"X-Org": "o"})])
    await ask(upstreams, stream=False)
    await ask(upstreams, stream=False)
    await upstreams.aclose()
    server.close()
    assert all(b"cookie" not in head and b"x-org: o" in head for head in heads)
    assert len(heads) == 2


@pytest.mark.parametrize(
    ("dialect", "header"),
    [("openai", "authorization"), ("anthropic", "x-api-key"), ("gemini", "x-goog-api-key")],
)
async def test_the_credential_goes_in_a_header_never_in_the_address(dialect: str, header: str) -> None:
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().lower())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = Provider("raw", dialect, f"http://127.0.0.1:{port}", "s3cret-key")  # type: ignore[arg-type]
    upstreams = Upstreams([provider], QUICK)
    await failure(upstreams)
    await upstreams.aclose()
    server.close()
    first, *rest = heads[0].split("\r\n")
    assert "s3cret" not in first
    assert [line.partition(":")[0] for line in rest if "s3cret-key" in line] == [header]
    assert "s3cret" not in repr(provider)


async def test_an_echoed_credential_is_taken_out_of_the_message() -> None:
    body = b'{"error":{"message":"What is s3cret-key?"}}'
    async with misbehaving(sending(response(body, status="500 Oops"))) as upstreams:
        assert (await failure(upstreams)).message == "What is …?"


async def test_a_configured_proxy_is_used() -> None:
    lines: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines.append(await reader.readline())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(response(whole("Hello"), extra="connection: close\r\n"))
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    provider = Provider("raw", "openai_chat", "http://upstream.test/v1", proxy=f"http://127.0.0.1:{port}")
    upstreams = Upstreams([provider])
    assert TextDelta("Hello") in await ask(upstreams, stream=False)
    assert lines == [b"POST http://upstream.test/v1/chat/completions HTTP/1.1\r\n"]
    await upstreams.aclose()
    server.close()


async def test_the_next_arm_does_not_wait_for_an_error_that_comes_byte_by_byte() -> None:
    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with misbehaving(dripping) as upstreams:
        began = time.monotonic()
        assert (await failure(upstreams)).kind is FailureKind.OVERLOADED
        assert time.monotonic() - began < ERROR_BODY_S + 1
