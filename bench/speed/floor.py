"""A bare ASGI application that answers every request at once: what the server alone costs."""

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"T%016x%016x tok"}}]}\n\n'


async def application(
    scope: Mapping[str, Any],
    receive: Callable[[], Awaitable[Mapping[str, Any]]],
    send: Callable[[Mapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer like bench/speed/upstream.c, times included, but streams without pauses."""
    if scope["type"] != "http":
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    request = json.loads(body or b"{}")
    is_stream = bool(request.get("stream"))
    kind = b"text/event-stream" if is_stream else b"application/json"
    headers = [(b"content-type", kind)]
    head = {"type": "http.response.start", "status": 200, "headers": headers}
    now = time.monotonic_ns()
    if is_stream:
        await send(head)
        for _ in range(100):
            event = _EVENT % (now, time.monotonic_ns())
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})
        return
    answer = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"T%016x%016x"}}]}' % (now, now)
    headers.append((b"content-length", str(len(answer)).encode()))
    await send(head)
    await send({"type": "http.response.body", "body": answer})
