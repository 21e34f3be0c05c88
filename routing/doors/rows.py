"""How the keyed endpoints reach the database, read their input and answer in the native envelope."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeVar

import msgspec
from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse

from routing.doors.errors import field_errors, meta, validation_error
from routing.doors.fields import StrictSerializer

P = ParamSpec("P")
T = TypeVar("T")


async def from_database(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run what asks the database in a thread of its own, so that chat requests need not wait for it."""

    def here() -> T:
        close_old_connections()  # the one this thread kept may be broken since
        return work(*args, **kwargs)

    read: T = await sync_to_async(here, thread_sensitive=False)()
    return read


def told(request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
    """The native envelope around data; `more` stands beside it."""
    envelope = {"success": True, "data": data} | more | {"meta": meta(request.request_id)}  # type: ignore[attr-defined]
    return HttpResponse(msgspec.json.encode(envelope), content_type="application/json")


def checked(serializer: type[StrictSerializer], sent: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent, read; null as good as absent. Raises ValidationError naming every wrong field."""
    read = serializer(data=sent)
    if not read.is_valid():
        raise validation_error(list(field_errors(read.errors)))
    return {name: value for name, value in read.validated_data.items() if value is not None}
