"""Anthropic's Messages API.

Its clients send `anthropic-version` with every request and read the request's id from `request-id`.
"""

from routing.doors.anthropic_messages.errors import error_body
from routing.doors.anthropic_messages.views import MessagesCountView, MessagesView
from routing.doors.shared.door import Door, Route

DOOR = Door(
    name="messages",
    routes=(
        Route("v1/messages", MessagesView, "messages"),
        Route("v1/messages/count_tokens", MessagesCountView, "messages_count_tokens"),
    ),
    error_body=error_body,
    base_paths=("/v1",),
    request_id_header="request-id",
    client_header="anthropic-version",
)
