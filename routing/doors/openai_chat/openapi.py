"""The answers of OpenAI's chat completions, for the OpenAPI document."""

from typing import Annotated, Any

import msgspec

from routing.doors.shared.openapi import OPENAI_ERRORS, answers, doc


class Completion(msgspec.Struct):
    """OpenAI's `chat.completion` with `x_routeplex`."""

    id: str
    object: str
    created: int
    model: Annotated[str, doc("The model that answered.")]
    choices: list[dict[str, Any]]
    usage: dict[str, Any]
    service_tier: str | None
    system_fingerprint: None
    x_routeplex: dict[str, Any]


RESPONSES = answers(Completion, streams=True) | OPENAI_ERRORS
