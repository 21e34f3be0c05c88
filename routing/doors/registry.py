"""The list of doors. URLs, the ASGI application's fast path and the error handler read it; there is no other.

To add a door, write a folder like those beside this module and add its `DOOR` here.
"""

from collections.abc import Container, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from routing.doors.anthropic_messages.door import DOOR as ANTHROPIC_MESSAGES
from routing.doors.native.door import DOOR as NATIVE
from routing.doors.openai_chat.door import DOOR as OPENAI_CHAT
from routing.doors.openai_responses.door import DOOR as OPENAI_RESPONSES
from routing.doors.shared.door import Door, door_for
from routing.doors.shared.errors import api_error
from routing.language.errors import NotFound
from routing.language.ids import new_request_id

DOORS: tuple[Door, ...] = (NATIVE, OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)


def door_at(path: str, headers: Container[str]) -> Door:
    """The door whose form of errors suits a request with that path and those headers."""
    return door_for(DOORS, path, headers)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's hook: turn what a view raised into the response of its door."""
    request = context["request"]
    return door_at(request.path, request.headers).error_response(api_error(exc), request.request_id)


async def unknown_path(request: HttpRequest) -> HttpResponse:
    """The JSON 404 of the paths below `/api` and `/v1` that nothing answers."""
    request_id: str = getattr(request, "request_id", None) or new_request_id()
    error = NotFound("There is nothing at this path.")
    return door_at(request.path, request.headers).error_response(error, request_id)
