"""The ASGI application: requests to the doors take a fast path, all others Django's usual handler.

Django's handler creates a thread context and runs synchronous middleware for each request, which takes longer
than routing does. The doors need no session, CSRF check or cookies: on the fast path a view gets the request
with its body, read under a limit, and is cancelled as soon as the caller disconnects. On both paths a body is
read only once it is clear who sends it (`request_body`).
"""

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from http import HTTPStatus
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")

import django

django.setup()

from django.conf import settings
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpResponse, HttpResponseBase
from django.urls import resolve

from accounts.authentication import KeyAuthentication
from accounts.caller import Caller
from accounts.permissions import key_is_missing
from core.errors import ApiError
from core.hot_settings import hot
from core.process_memory import release_startup_memory
from routeplex_site import cors
from routeplex_site.client_address import with_client
from routeplex_site.draining import drain_on_sigterm, is_draining
from routeplex_site.fast_request import FastRequest
from routeplex_site.http_protocol import connection_of, limit_heads, send_whole
from routeplex_site.refusals import API_PATHS
from routeplex_site.request_body import Budgets, CallerGone, Receive, RequestBody, return_large_buffers
from routing.doors import registry
from routing.doors.shared.async_view import JsonAnswer
from routing.doors.shared.errors import api_error
from routing.doors.shared.sse import EventStream
from routing.language.errors import BadRequest, InternalError
from routing.language.ids import new_request_id
from routing.state import runtime
from routing.state.refused_calls import note_refusal

logger = logging.getLogger(__name__)

Scope = dict[str, Any]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

LAST_BYTES_S = 10.0  # after the request's end, for a slow caller to read what was written by then
# Requests leave no reference cycles. With Python's 700 objects, the collector looked through those of the
# requests under way after every fourth request, found nothing, and took 3 % of the processor time.
_GC_THRESHOLDS = (10_000, 10, 10)
_WITH_BODY = ("POST", "PUT", "PATCH")


class Handler(ASGIHandler):
    """Django's handler with the fast path, and with the process's startup and shutdown."""

    def __init__(self) -> None:
        super().__init__()
        self._fast_routes = {
            path: (door, resolve(path).func) for door in registry.DOORS for path in door.fast_paths
        }
        self._authentication = KeyAuthentication()
        self._bodies = Budgets()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if is_draining():
            send = _closing(send)
        if scope["type"] == "http":
            scope = with_client(scope, receive)
        if scope["type"] == "lifespan":
            await _run_lifespan(receive, send)
        elif scope["type"] == "http" and scope["path"].startswith(API_PATHS):
            await self._answer_api(scope, receive, send)
        elif scope["type"] == "http":
            await self._answer_slowly(scope, receive, send)
        else:
            await _refuse_websocket(scope, receive, send)

    async def _answer_api(self, scope: Scope, receive: Receive, send: Send) -> None:
        if cors.is_preflight(scope):
            await cors.answer_preflight(scope, send)
            return
        send = cors.with_origin(scope, send)
        answer = self._answer_fast if scope["path"] in self._fast_routes else self._answer_slowly
        await answer(scope, receive, send)

    async def _answer_fast(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = new_request_id()
        request, caller = None, None
        with RequestBody(scope["headers"], receive, self._bodies) as body:
            try:
                request = _request(scope)
                request.request_id = request_id  # type: ignore[attr-defined]
                has_body = scope["method"] in _WITH_BODY
                if has_body:
                    caller = await self._caller(request)
                whole = await body.read(_most_bytes if has_body else _keyless_bytes)
                request.receive_body(whole)
            except CallerGone:
                return
            except Exception as error:
                refusal = api_error(error)
                if request is not None:
                    door, _ = self._fast_routes[scope["path"]]
                    note_refusal(refusal, request, caller, door.name)
                await self._refuse(refusal, scope, request_id, send)
                return
            await self._answer_until_gone(request, scope, receive, send)

    async def _caller(self, request: FastRequest) -> Caller:
        """Raises the error of a key that may not call, and of one that is missing."""
        known = await self._authentication.aauthenticate(request)
        if known is None:
            raise key_is_missing()
        return known[1]

    async def _answer_slowly(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As Django does, with a body that a caller without a valid API key cannot make large."""

        async def limit(size: int) -> int:
            if size <= hot.KEYLESS_BODY_BYTES or not scope["path"].startswith(API_PATHS):
                return int(hot.KEYLESS_BODY_BYTES)
            try:
                known = await self._authentication.aauthenticate(_request(scope))
            except ApiError:
                known = None
            return int(hot.KEYLESS_BODY_BYTES if known is None else hot.MAX_BODY_BYTES)

        with RequestBody(scope["headers"], receive, self._bodies) as body:
            try:
                whole = await body.read(limit)
            except CallerGone:
                return
            except Exception as error:
                await self._refuse(api_error(error), scope, new_request_id(), send)
                return
            await super().__call__(scope, _replaying(whole, receive), send)

    async def _answer_until_gone(
        self, request: FastRequest, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # A caller who disconnects needs no answer. One who does not take the answer is cut off: by then the
        # request is settled, and only its last bytes wait in this process.
        cancelling = _Cancelling(receive)
        cancelling.begin()
        longest_s = hot.REQUEST_TIMEOUT_S + settings.DATABASE_PATIENCE_S + LAST_BYTES_S
        timer = asyncio.get_running_loop().call_later(longest_s, cancelling.cut_off)
        try:
            await self._respond(request, scope, send)
        except asyncio.CancelledError:
            if not cancelling.has_begun:
                raise
        except Exception:
            request_id = request.request_id  # type: ignore[attr-defined]
            logger.exception("sending a response failed, request %s", request_id)
        finally:
            timer.cancel()
            cancelling.end()

    async def _respond(self, request: FastRequest, scope: Scope, send: Send) -> None:
        door, respond = self._fast_routes[scope["path"]]
        try:
            response = await respond(request)
        except Exception:
            request_id: str = request.request_id  # type: ignore[attr-defined]
            logger.exception("a chat view failed, request %s", request_id)
            error = InternalError("Something went wrong on our side. Try again.")
            response = door.error_response(error, request_id)
        await self._send_and_close(response, send)

    async def _refuse(self, error: ApiError, scope: Scope, request_id: str, send: Send) -> None:
        """Answer without a view; below the API's paths in the form of the door whose path it is."""
        if scope["path"].startswith(API_PATHS):
            names = {name.decode("latin-1") for name, _ in scope["headers"]}
            response = registry.door_at(scope["path"], names).error_response(error, request_id)
        else:
            response = HttpResponse(error.message, "text/plain", error.status, headers=error.headers)
            response.headers["Content-Length"] = str(len(response.content))
        await self._send_and_close(response, send)

    async def _send_and_close(self, response: HttpResponseBase, send: Send) -> None:
        if type(response) in (HttpResponse, JsonAnswer) and not response.cookies:
            await _send_whole(cast(HttpResponse, response), send)
        elif isinstance(response, EventStream) and not response.cookies:
            await _send_stream(response, send)
        else:
            await self.send_response(response, send)
        # Not `response.close()`: it also runs the signal receivers that close database connections, and the
        # fast path has none.
        for closer in response._resource_closers:  # type: ignore[attr-defined]
            closer()


def _request(scope: Scope) -> FastRequest:
    """The request without its body. Raises BadRequest when the query is not UTF-8."""
    try:
        return FastRequest(scope)
    except UnicodeDecodeError:
        raise BadRequest("The query of the address is not valid UTF-8.") from None


async def _most_bytes(size: int) -> int:
    return int(hot.MAX_BODY_BYTES)


async def _keyless_bytes(size: int) -> int:
    return int(hot.KEYLESS_BODY_BYTES)


def _replaying(body: bytes, receive: Receive) -> Receive:
    """`receive` for a body that was read already."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Mapping[str, Any]:
        return waiting.pop() if waiting else await receive()

    return next_message


async def _refuse_websocket(scope: Scope, receive: Receive, send: Send) -> None:
    """No path speaks WebSocket. Servers with the extension answer with a body, others with a plain 403."""
    if scope["type"] != "websocket":
        return
    await receive()  # the connection has to be announced before it is refused
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close"})
        return
    body = b"RoutePlex does not speak WebSocket. Send HTTP requests; answers stream as server-sent events."
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    status = HTTPStatus.NOT_IMPLEMENTED
    await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


class _Cancelling:
    """Cancels the task that creates it, at most once: when its caller disconnects, or takes too long."""

    def __init__(self, receive: Receive) -> None:
        self.has_begun = False
        self._receive, self._task = receive, asyncio.current_task()
        self._watch: asyncio.Task[None] | None = None
        self._connection: Any = None

    def begin(self) -> None:
        """Watch the connection: uvicorn's calls back when it is lost; a task reads the messages of others."""
        connection = connection_of(self._receive)
        if connection is None:
            self._watch = asyncio.create_task(self._when_gone())
        elif connection.disconnected:
            self._cancel()
        else:
            connection.when_lost = self._cancel
            self._connection = connection

    def end(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if self._connection is not None:
            self._connection.when_lost = None

    async def _when_gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._cancel()

    def cut_off(self) -> None:
        _abort(self._receive)
        self._cancel()

    def _cancel(self) -> None:
        if not self.has_begun and self._task is not None:
            self.has_begun = True
            self._task.cancel()


async def _send_whole(response: HttpResponse, send: Send) -> None:
    """As Django sends a response without cookies, in two messages."""
    if isinstance(response, JsonAnswer) and send_whole(
        send, response.status_code, response.headers.lines(), response.content
    ):
        return
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.content, "more_body": False})


async def _send_stream(response: EventStream, send: Send) -> None:
    """As Django sends a stream: long frames in pieces, for each of which the caller is waited for."""
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    async with aclosing(response.frames) as frames:
        async for frame in frames:
            for start in range(0, len(frame), ASGIHandler.chunk_size):
                piece = frame[start : start + ASGIHandler.chunk_size]  # of a short frame, the frame itself
                await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


def _abort(receive: Receive) -> None:
    """Close the connection without waiting until its caller has read what is written.

    ASGI has no word for this, so it reaches for the transport behind uvicorn's `receive`.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()


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
                return_large_buffers()
                limit_heads(getattr(getattr(receive, "__self__", None), "config", None))
                await runtime.running()
                if settings.DRAIN_S:
                    drain_on_sigterm(settings.DRAIN_S)
            except Exception as error:
                logger.exception("cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            gc.freeze()  # objects loaded at startup live as long as the process: never scan them again
            release_startup_memory()
            gc.set_threshold(*_GC_THRESHOLDS)
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


application = Handler()
