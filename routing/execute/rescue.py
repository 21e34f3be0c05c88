"""Rescue: the next arm continues a stream that was cut, and the caller reads one answer.

The next arm gets the conversation, the delivered text as the assistant's last message, and a user message
that asks for the rest: several providers refuse a request that ends on an assistant's message. Text that it
repeats is dropped by the continuation joiner before it reaches the caller (docs/reliability.md).
"""

import msgspec

from routing.language.chat import (
    ChatRequest,
    Message,
    RefusalDelta,
    ResponseFormat,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    ToolCallDelta,
)

_CONTINUE = (
    "Your last message was cut off by a technical fault. Go on exactly where it ends, in the same language "
    "and format. Write only what is missing: no greeting, no apology, nothing that is there already."
)


class DeliveredText:
    """The part of an answer that has reached the caller, and whether it can be continued as text."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self.continuable = True

    def __bool__(self) -> bool:
        return bool(self._text)

    @property
    def text(self) -> str:
        """All of it, joined: not for every event."""
        return "".join(self._text)

    def note(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta) and event.text:
            self._text.append(event.text)
        elif isinstance(event, ToolCallDelta | RefusalDelta):
            self.continuable = False  # half a tool call, or another model's refusal, cannot be continued


def can_be_continued(request: ChatRequest) -> bool:
    """Return whether this request's answer may come from two models: not several choices, nor logprobs."""
    return request.n == 1 and not request.logprobs


def continuation(request: ChatRequest, delivered: str) -> ChatRequest:
    """The request for the rest of an answer; the request itself when nothing was delivered.

    A JSON format becomes part of the prompt: if the provider enforced it, the model would begin a new
    document.
    """
    if not delivered:
        return request
    prompt = _CONTINUE + _format_prompt(request.response_format)
    more = (Message(Role.ASSISTANT, (Text(delivered),)), Message(Role.USER, (Text(prompt),)))
    return msgspec.structs.replace(request, messages=(*request.messages, *more), response_format=None)


def _format_prompt(response_format: ResponseFormat | None) -> str:
    if response_format is None or response_format.kind == "text":
        return ""
    prompt = (
        " Your last message and what you write now must together be one JSON document, without a code fence."
    )
    if response_format.schema is not None:
        prompt += " Its JSON Schema: " + msgspec.json.encode(response_format.schema).decode()
    return prompt
