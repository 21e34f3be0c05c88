"""OpenAI's Chat Completions API. Unknown paths below `/v1` get OpenAI's form of errors."""

from routing.doors.openai_chat.views import CompletionsView, GuessedCompletionsView
from routing.doors.shared.door import Door, Route
from routing.doors.shared.openai_errors import error_body

DOOR = Door(
    name="openai",
    routes=(
        Route("v1/chat/completions", CompletionsView, "openai_completions"),
        Route("api/v1/chat/completions", GuessedCompletionsView),
    ),
    error_body=error_body,
    base_paths=("/v1",),
)
