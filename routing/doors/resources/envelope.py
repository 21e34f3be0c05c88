"""The native envelope around the answers of the resource endpoints."""

from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse

from routing.doors.shared.errors import meta


def told(request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
    """The native envelope around data; `more` stands beside it."""
    envelope = {"success": True, "data": data} | more | {"meta": meta(request.request_id)}  # type: ignore[attr-defined]
    return HttpResponse(msgspec.json.encode(envelope), content_type="application/json")
