"""The fast path's own request and response objects are what Django and uvicorn make."""

import asyncio
import io
from types import SimpleNamespace
from typing import Any

from django.core.handlers.asgi import ASGIRequest
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from routeplex_site.fast_request import FastRequest
from routeplex_site.http_protocol import send_whole
from routing.doors.shared.async_view import JsonAnswer

HEADERS = [
    (b"content-type", b"application/json; charset=utf-8"),
    (b"x-twice", b"one"),
    (b"x-twice", "zwei \xfc".encode("latin-1")),
    (b"x_hidden", b"left out"),
    (b"authorization", b"Bearer key"),
]


def scope(**changes: Any) -> dict[str, Any]:
    usual = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"a=1"}
    return {**usual, "headers": HEADERS, "client": ("192.0.2.7", 0), "server": ("x", 80), **changes}


def test_headers_are_those_of_djangos_request() -> None:
    fast, usual = FastRequest(scope()), ASGIRequest(scope(), io.BytesIO())
    assert dict(fast.headers.items()) == dict(usual.headers.items())
    for name in ("X-Twice", "x-twice", "X_TWICE", "Content-Type", "X-Hidden", "X-Missing"):
        assert fast.headers.get(name) == usual.headers.get(name)
        assert (name in fast.headers) == (name in usual.headers)
    assert fast.META == usual.META
    assert (fast.path, fast.method, fast.GET) == (usual.path, usual.method, usual.GET)
    assert fast.client_address == usual.META["REMOTE_ADDR"]


class Wire:
    def __init__(self) -> None:
        self.sent, self.is_closed = b"", False

    def write(self, data: bytes) -> None:
        self.sent += data

    def close(self) -> None:
        self.is_closed = True


def exchange(wire: Wire, *, keep_alive: bool, method: str = "POST") -> Any:
    cycle = RequestResponseCycle(
        scope=scope(method=method),  # type: ignore[arg-type]
        transport=wire,  # type: ignore[arg-type]
        flow=SimpleNamespace(write_paused=False),  # type: ignore[arg-type]
        logger=None,  # type: ignore[arg-type]
        access_logger=None,  # type: ignore[arg-type]
        access_log=False,
        default_headers=[(b"server", b"uvicorn")],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=keep_alive,
        on_response=lambda: None,
    )
    cycle.when_lost = None  # type: ignore[attr-defined]
    return cycle


async def test_a_whole_response_is_sent_as_uvicorn_sends_it() -> None:
    response = JsonAnswer(b'{"a":1}', {"X-Request-Id": "req_1", "X-RoutePlex-Model": "gpt"})
    response.headers["Content-Length"] = "7"
    for keep_alive in (True, False):
        ours, theirs = Wire(), Wire()
        assert send_whole(
            exchange(ours, keep_alive=keep_alive).send, 200, response.headers.lines(), response.content
        )
        usual = exchange(theirs, keep_alive=keep_alive)
        headers = [(name.encode(), value.encode()) for name, value in response.headers.items()]
        await usual.send({"type": "http.response.start", "status": 200, "headers": headers})
        await usual.send({"type": "http.response.body", "body": response.content})
        assert (ours.sent, ours.is_closed) == (theirs.sent, theirs.is_closed)


async def test_what_is_not_a_whole_response_of_uvicorn_is_left_to_it() -> None:
    wire = Wire()
    assert not send_whole(exchange(wire, keep_alive=True, method="HEAD").send, 200, "", b"")

    async def wrapped(message: Any) -> None:
        raise AssertionError("nothing is sent")

    assert not send_whole(wrapped, 200, "", b"")
    assert not wire.sent
