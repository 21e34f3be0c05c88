"""RoutePlex's own API. It comes first in the list of doors, so its form of errors is the default."""

from routing.doors.native.errors import error_body
from routing.doors.native.views import NativeView
from routing.doors.shared.door import Door, Route

DOOR = Door(
    name="native",
    routes=(Route("api/v1/chat", NativeView, "api_chat"),),
    error_body=error_body,
    base_paths=("/api",),
)
