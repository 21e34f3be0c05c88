"""Gives every request an id, keeps pages private, and answers 503 when the database is unavailable."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from core.database import AWAY
from routeplex_site.refusals import database_away
from routing.language.ids import new_request_id

Respond = Callable[[HttpRequest], HttpResponseBase] | Callable[[HttpRequest], Awaitable[HttpResponseBase]]


@sync_and_async_middleware
def request_id(get_response: Respond) -> Respond:
    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            request.request_id = new_request_id()  # type: ignore[attr-defined]
            response: HttpResponseBase = await get_response(request)
            response.headers.setdefault("X-Request-Id", request.request_id)  # type: ignore[attr-defined]
            return response

        return respond

    def respond_sync(request: HttpRequest) -> HttpResponseBase:
        request.request_id = new_request_id()  # type: ignore[attr-defined]
        response = get_response(request)
        response.headers.setdefault("X-Request-Id", request.request_id)  # type: ignore[attr-defined, union-attr]
        return response  # type: ignore[return-value]

    return respond_sync


@sync_and_async_middleware
def private_pages(get_response: Respond) -> Respond:
    """Keep the pages of signed-in people out of every cache, the browser's included."""

    def kept_private(request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        if request.session.accessed and not response.has_header("Cache-Control"):
            response.headers["Cache-Control"] = "private, no-store"
        return response

    if iscoroutinefunction(get_response):

        async def respond(request: HttpRequest) -> HttpResponseBase:
            return kept_private(request, await get_response(request))

        return respond

    def respond_sync(request: HttpRequest) -> HttpResponseBase:
        return kept_private(request, get_response(request))  # type: ignore[arg-type]

    return respond_sync


class DatabaseAway:
    """Turn a lost database into a 503 response that says when to retry."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Respond) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> object:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        return database_away(request) if isinstance(error, AWAY) else None
