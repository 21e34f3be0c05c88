"""HTTP on top of ASGI: reads a request, writes an answer, notices when the client disconnects."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[str, str]]


class ClientDisconnected(Exception):
    """The client closed the connection."""


class Request(msgspec.Struct, frozen=True):
    """One HTTP request, body read. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes
    client: str | None


class Connection:
    """The answering side of one exchange: sends and waits; raises ClientDisconnected if a client leaves."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._gone = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None

    async def read_body(self) -> bytes:
        parts: list[bytes] = []
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnected
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    def watch(self) -> None:
        """Start to listen for the client's disconnect; call after the body is read."""
        self._watcher = asyncio.create_task(self._wait_for_disconnect())

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()

    async def start(self, status: int, headers: Headers) -> None:
        self._check()
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def write(self, body: bytes, *, more: bool) -> None:
        self._check()
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def pause(self, seconds: float) -> None:
        """Sleeps, at least one turn of the loop; raises ClientDisconnected as soon as the client leaves."""
        if seconds <= 0:
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(seconds):
                    await self._gone.wait()
            except TimeoutError:
                return
        self._check()

    async def until_disconnected(self, seconds: float) -> None:
        """Send nothing until the client leaves (raises ClientDisconnected) or `seconds` are over."""
        await self.pause(seconds)

    async def drop(self, *, flush: bool) -> None:
        """Ends the TCP connection without ending the response: `flush` lets written bytes out first.

        ASGI has no word for this, so it reaches for the transport behind uvicorn's `receive`.
        """
        transport = getattr(getattr(self._receive, "__self__", None), "transport", None)
        if transport is None:  # another server: leave the response unfinished, which most answer by closing
            return
        if flush:
            transport.close()
        else:
            transport.abort()
        async with asyncio.timeout(5):
            await self._gone.wait()

    def _check(self) -> None:
        if self._gone.is_set():
            raise ClientDisconnected

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone.set()


def request_of(scope: Scope, raw: bytes) -> Request:
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers={name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        raw=raw,
        client=client[0] if client else None,
    )


def encode(value: Any) -> bytes:
    return msgspec.json.encode(value)
