"""The list of doors. URLs, the ASGI application's fast path and the error handler read it; there is no other.

To add a door, write a folder like those beside this module and add its `DOOR` here.
"""

from collections.abc import Container, Mapping
from typing import Any

from django.http import HttpRequest, HttpResponse

from accounts.authentication import OptionalKeyAuthentication
from routing.doors.anthropic_messages.door import DOOR as ANTHROPIC_MESSAGES
from routing.doors.native.door import DOOR as NATIVE
from routing.doors.openai_chat.door import DOOR as OPENAI_CHAT
from routing.doors.openai_responses.door import DOOR as OPENAI_RESPONSES
from routing.doors.shared.door import Door, door_for
from routing.doors.shared.errors import api_error
from routing.doors.wrong_paths import wrong_path
from routing.language.errors import NotFound
from routing.language.ids import new_request_id
from routing.state.refused_calls import note_refusal

DOORS: tuple[Door, ...] = (NATIVE, OPENAI_CHAT, OPENAI_RESPONSES, ANTHROPIC_MESSAGES)


_authentication = OptionalKeyAuthentication()


def door_at(path: str, headers: Container[str]) -> Door:
    """The door whose form of errors suits a request with that path and those headers."""
    return door_for(DOORS, path, headers)


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's hook: turn what a view raised into the response of its door."""
    request = context["request"]
    return door_at(request.path, request.headers).error_response(api_error(exc), request.request_id)


async def unknown_path(request: HttpRequest) -> HttpResponse:
    """The JSON 404 of the paths below `/api` and `/v1` that nothing answers, and of wrong base URLs."""
    request_id: str = getattr(request, "request_id", None) or new_request_id()
    request.request_id = request_id  # type: ignore[attr-defined]
    wrong = wrong_path(request.path)
    error = NotFound(wrong.advice if wrong else "There is nothing at this path.")
    is_outside = wrong is not None and not request.path.startswith(("/api", "/v1/"))
    path = wrong.door_path if wrong and is_outside else request.path
    door = door_at(path, request.headers)
    known = await _authentication.aauthenticate(request)
    note_refusal(error, request, known[1] if known else None, door.name)
    return door.error_response(error, request_id)
