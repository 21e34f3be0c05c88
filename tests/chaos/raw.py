"""A server that answers as no HTTP server should; a model's name says what its caller gets (row 20)."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import subprocess
import zlib
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.chaos.services import free_port

BOMB_MB = 300
_FLOOD_MB = 64
_DRIP_S = 0.8  # a byte: within the idle deadline, so that only a deadline of the whole can end it
_CHUNK = {"id": "chatcmpl-raw", "object": "chat.completion.chunk", "created": 1, "model": "raw"}
BEHAVIOURS = (
    "reset",
    "garbage",
    "html",
    "html502",
    "empty",
    "error200",
    "bomb",
    "flood",
    "endless",
    "drip",
)
# Upstreams that are never reached: no listener, no such name, an untrusted certificate, no TLS at all.
UNREACHABLE = ("refused", "dns", "tls", "notls")


class Raw:
    """The server, with and without TLS. `upstreams`: what the setting of that name needs to know of it."""

    def __init__(self, directory: Path) -> None:
        self.port, self._tls_port, self._closed_port = free_port(), free_port(), free_port()
        self._directory = directory

    def upstreams(self) -> list[dict[str, Any]]:
        """Models without prices: they answer requests that name them, and are no fallback for others."""
        addresses = dict.fromkeys(BEHAVIOURS, f"http://127.0.0.1:{self.port}/v1") | {
            "refused": f"http://127.0.0.1:{self._closed_port}/v1",
            "dns": "http://nowhere.invalid/v1",
            "tls": f"https://127.0.0.1:{self._tls_port}/v1",
            "notls": f"https://127.0.0.1:{self.port}/v1",
        }
        return [
            {
                "name": f"raw-{name}{alone}",
                "base_url": address,
                "api_key": "raw",
                "models": [
                    {
                        "id": f"raw/{name}{alone}",
                        "upstream_id": name,
                        "name": f"Raw {name}",
                        "context_window": 32768,
                        "max_output_tokens": 8192,
                    }
                ],
            }
            for name, address in addresses.items()
            for alone in (
                "",
                "-alone",
            )  # a second time, with breakers of its own
        ]

    async def __aenter__(self) -> Self:
        self._plain = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self._certificate())
        self._tls = await asyncio.start_server(self._answer, "127.0.0.1", self._tls_port, ssl=context)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in (self._plain, self._tls):
            server.close()

    def _certificate(self) -> tuple[Path, Path]:
        """Self-signed, so no client trusts it."""
        certificate, key = self._directory / "raw.crt", self._directory / "raw.key"
        if not key.exists():
            subject = ["-subj", "/CN=127.0.0.1", "-days", "1", "-nodes", "-newkey", "rsa:2048"]
            command = ["openssl", "req", "-x509", *subject, "-out", str(certificate), "-keyout", str(key)]
            subprocess.run(command, check=True, capture_output=True)
        return certificate, key

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(_header(head, b"content-length") or 0)
            body = json.loads(await reader.readexactly(length))
            await _ANSWERS[body["model"]](writer, body.get("stream") is True)
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError, ValueError, KeyError, asyncio.LimitOverrunError):
            return
        finally:
            with contextlib.suppress(OSError):
                writer.close()


def _header(head: bytes, name: bytes) -> bytes | None:
    for line in head.split(b"\r\n"):
        if line.lower().startswith(name + b":"):
            return line.split(b":", 1)[1].strip()
    return None


def _head(media: str, *more: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-type: {media}", "connection: close", *more]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _media(streamed: bool) -> str:
    return "text/event-stream" if streamed else "application/json"


async def _reset(writer: asyncio.StreamWriter, streamed: bool) -> None:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _garbage(writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(b"\x16\x03\x01 220 mail.example.com ESMTP ready\r\n\r\n" * 3)


async def _html(writer: asyncio.StreamWriter, streamed: bool) -> None:
    page = b"<!doctype html><title>Welcome</title><h1>It works!</h1>"
    writer.write(_head("text/html", f"content-length: {len(page)}") + page)


async def _html502(writer: asyncio.StreamWriter, streamed: bool) -> None:
    page = b"<html><head><title>502 Bad Gateway</title></head></html>"
    writer.write(_head("text/html", f"content-length: {len(page)}", status="502 Bad Gateway") + page)


async def _empty(writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(_head(_media(streamed), "content-length: 0"))


async def _error200(writer: asyncio.StreamWriter, streamed: bool) -> None:
    error = json.dumps({"error": {"message": "The server had an error.", "type": "server_error"}})
    body = f"data: {error}\n\n".encode() if streamed else error.encode()
    writer.write(_head(_media(streamed), f"content-length: {len(body)}") + body)


async def _bomb(writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(_head(_media(streamed), "content-encoding: gzip") + _packed())


@cache
def _packed() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    start = packer.compress(b'data: {"')
    spaces = b" " * 1024 * 1024
    return start + b"".join(packer.compress(spaces) for _ in range(BOMB_MB)) + packer.flush()


async def _flood(writer: asyncio.StreamWriter, streamed: bool) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(_FLOOD_MB * 256):
        writer.write(f"x-flood-{number}: ".encode() + b"f" * 4000 + b"\r\n")
        await writer.drain()


async def _endless(writer: asyncio.StreamWriter, streamed: bool) -> None:
    """A body, or one line of a stream, that never ends."""
    writer.write(_head(_media(streamed)) + b'data: {"')
    piece = b"x" * 65536
    while True:
        writer.write(piece)
        await writer.drain()


async def _drip(writer: asyncio.StreamWriter, streamed: bool) -> None:
    message = {"role": "assistant", "content": "slow " * 40}
    choice = {"index": 0, "finish_reason": "stop", ("delta" if streamed else "message"): message}
    usage = {"prompt_tokens": 10, "completion_tokens": 40, "total_tokens": 50}
    body = json.dumps(_CHUNK | {"choices": [choice], "usage": usage})
    writer.write(_head(_media(streamed)))
    for byte in (f"data: {body}\n\ndata: [DONE]\n\n" if streamed else body).encode():
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(_DRIP_S)


_ANSWERS = {
    "reset": _reset,
    "garbage": _garbage,
    "html": _html,
    "html502": _html502,
    "empty": _empty,
    "error200": _error200,
    "bomb": _bomb,
    "flood": _flood,
    "endless": _endless,
    "drip": _drip,
}
