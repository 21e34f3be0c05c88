"""A door is one public API for chats, as a value. `routing/doors/registry.py` lists all doors."""

import json
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path
from rest_framework.views import APIView

from core.errors import ApiError
from routing.doors.shared.errors import header_value


@dataclass(frozen=True)
class Route:
    """A path without its leading slash, and the view class that answers there. `name` is for `reverse()`."""

    path: str
    view_class: type[APIView]
    name: str | None = None


@dataclass(frozen=True)
class Door:
    """Where a public API is, which views answer, and which form its clients expect of errors.

    All routes take the fast path of the ASGI application, so their paths have no parameters. Views receive
    the door as `self.door`.
    """

    name: str  # as the ledger records it; at most 16 characters
    routes: tuple[Route, ...]
    error_body: Callable[[ApiError, str], dict[str, Any]]  # takes the error and the request's id
    base_paths: tuple[str, ...] = ()  # other paths below these are its clients' too, known or not
    request_id_header: str | None = None  # also carries the request's id, beside X-Request-Id
    client_header: str | None = None  # sent by its clients only; decides at base paths that doors share

    @property
    def url_patterns(self) -> list[URLPattern]:
        return [
            path(route.path, route.view_class.as_view(door=self), name=route.name) for route in self.routes
        ]

    @property
    def fast_paths(self) -> list[str]:
        return [f"/{route.path}" for route in self.routes]

    def request_id_headers(self, request_id: str) -> dict[str, str]:
        headers = {"X-Request-Id": request_id}
        return headers | {self.request_id_header: request_id} if self.request_id_header else headers

    def error_response(self, error: ApiError, request_id: str) -> HttpResponse:
        """The error in this door's form, with the error's own headers and the request's id."""
        body = json.dumps(self.error_body(error, request_id), default=str).encode()
        headers = {name: header_value(value) for name, value in error.headers.items()}
        headers |= {"Content-Length": str(len(body))} | self.request_id_headers(request_id)
        return HttpResponse(body, status=error.status, content_type="application/json", headers=headers)


def door_for(doors: Sequence[Door], path: str, headers: Container[str]) -> Door:
    """The door whose form of errors suits a request, also where no view answers.

    The longest route or base path that contains the path decides. Doors may share a base path: clients of
    both OpenAI and Anthropic list models at `/v1/models`. There, a door whose client header was sent
    comes first, then the door without a client header. A path outside all base paths belongs to the first
    door.
    """

    def rank(door: Door) -> tuple[int, int]:
        bases = (*door.fast_paths, *door.base_paths)
        length = max((len(base) for base in bases if _contains(base, path)), default=0)
        if door.client_header is None:
            return length, 0
        return length, 1 if door.client_header in headers else -1

    return max(doors, key=rank)


def _contains(base: str, path: str) -> bool:
    return path == base or path.startswith(f"{base}/")
