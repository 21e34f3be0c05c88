"""Gives every request its id and says it in the response."""

from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.decorators import sync_and_async_middleware

from routing.ids import new_request_id

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
