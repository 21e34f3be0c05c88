"""How the keyed endpoints read their input and answer in the native envelope."""

from collections.abc import Mapping
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse

from routing.doors.shared.errors import flat_details, meta, validation_error
from routing.doors.shared.fields import StrictSerializer


def told(request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
    """The native envelope around data; `more` stands beside it."""
    envelope = {"success": True, "data": data} | more | {"meta": meta(request.request_id)}  # type: ignore[attr-defined]
    return HttpResponse(msgspec.json.encode(envelope), content_type="application/json")


def checked(serializer: type[StrictSerializer], sent: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, read; null as good as absent. Raises ValidationError naming every wrong field."""
    read = serializer(data=sent)
    if not read.is_valid():
        raise validation_error(list(flat_details(read.errors)))
    return {name: value for name, value in read.validated_data.items() if value is not None}
