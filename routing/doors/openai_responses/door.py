"""OpenAI's Responses API."""

from routing.doors.openai_responses.views import InputTokensView, ResponsesView
from routing.doors.shared.door import Door, Route
from routing.doors.shared.openai_errors import error_body

DOOR = Door(
    name="responses",
    routes=(
        Route("v1/responses", ResponsesView, "responses"),
        Route("v1/responses/input_tokens", InputTokensView, "responses_input_tokens"),
    ),
    error_body=error_body,
)
