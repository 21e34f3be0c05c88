"""Row 32 of docs/reliability.md: large, slow and half-sent requests leave the process unharmed."""

import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from django.test import override_settings

CHAT_PATHS = ["/api/v1/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages"]
PUBLIC_PATHS = ["/api/v1/chat/estimate", "/api/v1/chat/enhance"]
MB = 1024 * 1024
ASK = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
OTHER_PATHS = ["/api/v1/feedback", "/accounts/login/"]
JSON = {"Content-Type": "application/json"}


@contextmanager
def connected(server: str) -> Iterator[socket.socket]:
    host, _, port = server.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        yield connection


def seconds_until_closed(connection: socket.socket) -> tuple[bytes, float]:
    """The bytes until the server closes, and how long that takes."""
    began, received = time.monotonic(), b""
    while piece := connection.recv(65536):
        received += piece
    return received, time.monotonic() - began


def answered(connection: socket.socket) -> bytes:
    """The head and, where its length is stated, the body of one answer."""
    received = b""
    while piece := connection.recv(65536):
        received += piece
        before, _, body = received.partition(b"\r\n\r\n")
        stated = re.search(rb"content-length: (\d+)", before)
        if stated is not None and len(body) >= int(stated[1]):
            break
    return received


def head(path: str, *lines: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


def unknown_fields(size: int) -> bytes:
    body = json.dumps({f"field_{number}": 1 for number in range(size // 20)}).encode()
    assert len(body) <= size
    return body[:1] + b" " * max(0, size - len(body)) + body[1:]


@pytest.mark.parametrize("path", [*CHAT_PATHS, *PUBLIC_PATHS, *OTHER_PATHS])
def test_row_32_without_a_key_a_large_body_is_refused_early(server: str, path: str) -> None:
    body = unknown_fields(19_800_000)
    began = time.monotonic()
    with httpx.Client(base_url=server, timeout=20) as anonymous:
        response = anonymous.post(path, content=body, headers=JSON)
    assert response.status_code in (401, 413)
    assert len(response.content) < 10_000
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("path", CHAT_PATHS)
def test_row_32_a_chat_body_is_read_after_its_key(server: str, path: str) -> None:
    with connected(server) as connection:
        connection.sendall(head(path, "Content-Type: application/json", "Content-Length: 1000000"))
        answer = answered(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    with connected(server) as connection:
        connection.sendall(head(path, "Authorization: Bearer rp_live_wrong", "Content-Length: 1000000"))
        answer = answered(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"invalid_api_key" in answer or b"authentication_error" in answer


def test_row_32_the_list_of_faults_ends_at_twenty(http: httpx.Client) -> None:
    for path in ("/api/v1/chat", *PUBLIC_PATHS):
        response = http.post(path, content=unknown_fields(900_000), headers=JSON)
        error = response.json()["error"]
        assert response.status_code == 400
        assert len(error["details"]) == 20
        assert "at least 19 more" in error["message"]
    long = http.post("/api/v1/chat", json=ASK | {"x" * 500_000: 1})
    assert long.status_code == 400
    assert len(long.content) < 1_000


def test_row_32_messages_with_many_faults_are_not_read_to_their_end(http: httpx.Client) -> None:
    parts = [{"type": "film"}] * 50_000
    for path in CHAT_PATHS[1:]:
        field = "input" if path == "/v1/responses" else "messages"
        body = {"model": "auto", "max_tokens": 9, field: [{"role": "user", "content": parts}]}
        response = http.post(path, json=body)
        assert response.status_code == 400
        assert "at least 19 more" in response.text
        assert len(response.content) < 10_000


def test_row_32_all_bodies_together_have_a_limit(server: str, api_key: str, http: httpx.Client) -> None:
    key = f"Authorization: Bearer {api_key}"
    large = ASK | {"metadata": {}, "user": "u", "stop": [" " * (MB // 2)]}
    with override_settings(BODIES_IN_FLIGHT_BYTES=MB), connected(server) as first:
        first.sendall(head("/api/v1/chat", key, f"Content-Length: {MB}") + b" " * (MB - 300_000))
        time.sleep(0.3)
        refused = http.post("/api/v1/chat", json=large)
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "2"
        assert http.post("/api/v1/chat", json=ASK).status_code == 200, "an ordinary request is served"
        first.close()
        time.sleep(0.3)
        assert http.post("/api/v1/chat", json=large).status_code == 200


def test_row_32_bodies_without_a_key_crowd_out_no_others(server: str, http: httpx.Client) -> None:
    large = ASK | {"stop": [" " * (MB // 2)]}
    with (
        override_settings(BODIES_IN_FLIGHT_BYTES=MB),
        connected(server) as first,
        connected(server) as second,
    ):
        for connection in (first, second):
            connection.sendall(head(PUBLIC_PATHS[0], f"Content-Length: {MB}") + b" " * 150_000)
            time.sleep(0.3)
        assert answered(second).startswith(b"HTTP/1.1 503 ")
        assert http.post("/api/v1/chat", json=large).status_code == 200


@pytest.mark.parametrize("path", [*CHAT_PATHS, *PUBLIC_PATHS, *OTHER_PATHS])
async def test_row_32_a_caller_that_goes_on_sending_gets_its_answer(server: str, path: str) -> None:
    body = b"x" * 19_000_000
    async with httpx.AsyncClient(base_url=server, timeout=20) as anonymous:
        response = await anonymous.post(path, content=body, headers=JSON)
        assert response.status_code in (401, 413)
        assert (await anonymous.get("/healthz")).status_code == 200


def test_row_32_a_half_sent_head_is_closed(server: str) -> None:
    with override_settings(HEAD_TIMEOUT_S=0.5), ThreadPoolExecutor(50) as pool:

        def half_sent(piece: bytes) -> tuple[bytes, float]:
            with connected(server) as connection:
                connection.sendall(piece)
                return seconds_until_closed(connection)

        pieces = [b"", b"P", b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-Slow: "] * 30
        for received, waited in pool.map(half_sent, pieces):
            assert received == b""
            assert waited < 3


def test_row_32_a_second_head_that_is_half_sent_is_closed(server: str) -> None:
    with override_settings(HEAD_TIMEOUT_S=0.5), connected(server) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\nX-")
        received, waited = seconds_until_closed(connection)
    assert received.count(b"HTTP/1.1 200 ") == 1
    assert waited < 3


def test_row_32_a_head_without_end_is_refused(server: str) -> None:
    with connected(server) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-More: 1\r\n" * 10_000)
        received, waited = seconds_until_closed(connection)
    assert received.startswith(b"HTTP/1.1 431 ")
    assert waited < 3


@pytest.mark.parametrize("path", [*CHAT_PATHS, *OTHER_PATHS])
def test_row_32_a_half_sent_body_is_answered_and_closed(server: str, api_key: str, path: str) -> None:
    lines = (f"Authorization: Bearer {api_key}", "Content-Type: application/json", "Content-Length: 1000")
    with override_settings(BODY_TIMEOUT_S=0.5, HEAD_TIMEOUT_S=1), connected(server) as connection:
        connection.sendall(head(path, *lines) + b'{"messages": ')
        received, waited = seconds_until_closed(connection)
    assert received.startswith(b"HTTP/1.1 400 ")
    assert b"did not arrive within 0.5 s" in received
    assert waited < 9


def test_a_drip_of_bytes_after_the_answer_keeps_no_connection(server: str) -> None:
    def dripping(connection: socket.socket) -> float:
        began = time.monotonic()
        while time.monotonic() - began < 5:
            try:
                connection.sendall(b" ")
            except OSError:
                break
            time.sleep(0.05)
        return time.monotonic() - began

    with override_settings(HEAD_TIMEOUT_S=0.5), connected(server) as connection:
        connection.sendall(head("/v1/chat/completions", "Content-Length: 1000000"))
        assert connection.recv(65536).startswith(b"HTTP/1.1 401 ")
        assert dripping(connection) < 3


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/v1/realtime", "/healthz"])
def test_row_34_a_websocket_upgrade_is_refused(server: str, path: str, caplog: Any) -> None:
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    lines = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key)
    with connected(server) as connection:
        connection.sendall(head(path, *lines).replace(b"POST", b"GET"))
        answer = answered(connection)
    assert answer.startswith((b"HTTP/1.1 501 ", b"HTTP/1.1 403 "))
    assert not [record for record in caplog.records if record.exc_info]


def test_a_query_that_is_not_utf8_is_a_bad_request(server: str, api_key: str) -> None:
    with connected(server) as connection:
        lines = (f"Authorization: Bearer {api_key}", "Content-Length: 2")
        connection.sendall(head("/v1/chat/completions?a=XX", *lines).replace(b"XX", b"\xff") + b"{}")
        answer = answered(connection)
    assert answer.startswith(b"HTTP/1.1 400 ")
