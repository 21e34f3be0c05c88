"""Cross-origin requests to the API (CORS), which carry an API key and never a cookie.

Browsers may call the API from the origins of `CORS_ORIGINS`. Credentials are never allowed, so a page of
another origin cannot use anybody's session.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from django.conf import settings

Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

METHODS = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_MOST_AGE_S = b"7200"  # the longest that Chrome keeps a permission


def allowed_origin(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The value of Access-Control-Allow-Origin; None: no page of another allowed origin asks."""
    origin = next((value for name, value in headers if name == b"origin"), None)
    if origin is None:
        return None
    if "*" in settings.CORS_ORIGINS:
        return b"*"
    return origin if origin.decode("latin-1").rstrip("/") in settings.CORS_ORIGINS else None


def is_preflight(scope: Mapping[str, Any]) -> bool:
    return scope["method"] == "OPTIONS" and any(
        name == b"access-control-request-method" for name, _ in scope["headers"]
    )


async def answer_preflight(scope: Mapping[str, Any], send: Send) -> None:
    """Answer the request that a browser sends before the actual one. It carries no key."""
    headers: Headers = [(b"content-length", b"0"), (b"vary", b"Origin, Access-Control-Request-Headers")]
    if (origin := allowed_origin(scope["headers"])) is not None:
        wanted = next(
            (value for name, value in scope["headers"] if name == b"access-control-request-headers"), b""
        )
        headers += [
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", METHODS),
            (b"access-control-allow-headers", wanted or b"*"),
            (b"access-control-max-age", _MOST_AGE_S),
        ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def with_origin(scope: Mapping[str, Any], send: Send) -> Send:
    """`send`, with the headers that let a page of an allowed origin read the response."""
    origin = allowed_origin(scope["headers"])
    if origin is None:
        return send
    added = [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"*"),
        (b"vary", b"Origin"),
    ]

    async def sending(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return sending
