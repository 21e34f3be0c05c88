"""The ASGI application: requests to the doors take a fast path, all others Django's usual handler.

Django's handler creates a thread context and runs synchronous middleware for each request, which takes longer
than routing does. The doors need no session, CSRF check or cookies: on the fast path a view gets the request
with its body, read under a limit, and is cancelled as soon as the caller disconnects.
"""

import asyncio
import gc
import io
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")

import django

django.setup()

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler, ASGIRequest
from django.http import HttpResponseBase
from django.urls import resolve

from core.errors import ApiError
from routeplex_site.draining import drain_on_sigterm, is_draining
from routing.doors import registry
from routing.language.errors import BadRequest, InternalError, PayloadTooLarge
from routing.language.ids import new_request_id
from routing.state import runtime

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class CallerGone(Exception):
    """The connection closed before the whole body arrived."""


class Handler(ASGIHandler):
    """Django's handler with the fast path, and with the process's startup and shutdown."""

    def __init__(self) -> None:
        super().__init__()
        self._fast_routes = {
            path: (door, resolve(path).func) for door in registry.DOORS for path in door.fast_paths
        }

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if is_draining():
            send = _closing(send)
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"] in self._fast_routes:
            await self._answer_fast(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _answer_fast(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        try:
            async with asyncio.timeout(settings.REQUEST_TIMEOUT_S):
                body = await _read_body(receive, settings.MAX_BODY_BYTES)
        except CallerGone:
            return
        except TimeoutError:
            await self._refuse(
                BadRequest("The request body did not arrive in time."), scope, request_id, send
            )
            return
        except ApiError as error:
            await self._refuse(error, scope, request_id, send)
            return
        # Whichever ends first cancels the other: an answered request needs no watch on the connection, and a
        # caller who disconnects needs no answer.
        work = asyncio.create_task(self._respond(scope, body, request_id, send))
        watch = asyncio.create_task(_until_gone(receive))
        try:
            await asyncio.wait((work, watch), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, watch):
                task.cancel()
            outcome, _ = await asyncio.gather(work, watch, return_exceptions=True)
            if isinstance(outcome, Exception):
                logger.error("sending a response failed, request %s", request_id, exc_info=outcome)

    async def _respond(self, scope: Scope, body: bytes, request_id: str, send: Send) -> None:
        door, respond = self._fast_routes[scope["path"]]
        try:
            request = ASGIRequest(scope, io.BytesIO(body))
            request.request_id = request_id  # type: ignore[attr-defined]
            response = await respond(request)
        except Exception:
            logger.exception("a chat view failed, request %s", request_id)
            error = InternalError("Something went wrong on our side. Try again.")
            response = door.error_response(error, request_id)
        await self._send_and_close(response, send)

    async def _refuse(self, error: ApiError, scope: Scope, request_id: str, send: Send) -> None:
        door, _ = self._fast_routes[scope["path"]]
        await self._send_and_close(door.error_response(error, request_id), send)

    async def _send_and_close(self, response: HttpResponseBase, send: Send) -> None:
        await self.send_response(response, send)
        # Not `response.close()`: it also runs the signal receivers that close database connections, and the
        # fast path has none.
        for closer in response._resource_closers:  # type: ignore[attr-defined]
            closer()


async def _read_body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises PayloadTooLarge as soon as it exceeds `limit` (bytes), CallerGone."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"The request body is larger than {limit:,} bytes. Send less.")
        chunks.append(chunk)
        if not message.get("more_body"):
            return b"".join(chunks)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _closing(send: Send) -> Send:
    """`send`, but with a header that closes the connection after the response."""

    async def closing(message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await send(message)

    return closing


async def _run_lifespan(receive: Receive, send: Send) -> None:
    """Start and stop the runtime when the ASGI server says so."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            try:
                await runtime.running()
                if settings.DRAIN_S:
                    drain_on_sigterm(settings.DRAIN_S)
            except Exception as error:
                logger.exception("cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            gc.freeze()  # objects loaded at startup live as long as the process: never scan them again
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = Handler()
