"""The Responses door's answers, for the OpenAPI document."""

from typing import Annotated, Any

import msgspec

from routing.doors.shared.openapi import OPENAI_ERRORS, answers, doc


class Response(msgspec.Struct):
    """OpenAI's `response` with `x_routeplex`, which repeats the settings of its request."""

    id: str
    object: str
    created_at: int
    status: str
    incomplete_details: dict[str, Any] | None
    model: Annotated[str, doc("The model that answered.")]
    output: list[dict[str, Any]]
    usage: dict[str, Any]
    x_routeplex: dict[str, Any]


class CountedInput(msgspec.Struct):
    object: str
    input_tokens: int


RESPONSES = answers(Response, streams=True) | OPENAI_ERRORS
COUNT_RESPONSES = answers(CountedInput) | OPENAI_ERRORS
