"""The Messages door's answers and errors, for the OpenAPI document."""

from typing import Annotated, Any

import msgspec

from routing.doors.shared.openapi import answers, doc, errors


class Message(msgspec.Struct):
    """Anthropic's message with `x_routeplex`."""

    id: str
    type: str
    role: str
    model: Annotated[str, doc("The model that answered.")]
    content: list[dict[str, Any]]
    stop_reason: str
    stop_sequence: str | None
    usage: dict[str, Any]
    x_routeplex: dict[str, Any]


class CountedTokens(msgspec.Struct):
    input_tokens: int


class MessagesErrorDetail(msgspec.Struct):
    type: str
    message: str
    details: Annotated[dict[str, Any], doc("error_code, and param where one parameter is wrong.")]


class MessagesError(msgspec.Struct):
    type: str
    error: MessagesErrorDetail
    request_id: str


_ERRORS = errors(MessagesError)
RESPONSES = answers(Message, streams=True) | _ERRORS
COUNT_RESPONSES = answers(CountedTokens) | _ERRORS
