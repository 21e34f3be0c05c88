"""Rescue: a stream that was cut goes on from the next arm, and the caller reads one answer.

The next arm is shown the conversation with what was already said and asked to go on from there; it is never
made to continue an assistant's message itself, which several providers refuse. What it repeats is dropped
before it reaches the caller (spec/reliability.md rows 8, 9 and 14).
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

_GO_ON = (
    "Your last message was cut off by a technical fault. Go on exactly where it ends, in the same language "
    "and format. Write only what is missing: no greeting, no apology, nothing that is there already."
)


class DeliveredText:
    """What of an answer has reached the caller: its text, and whether it can be continued as text."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self.continuable = True

    @property
    def text(self) -> str:
        return "".join(self._text)

    def note(self, event: StreamEvent) -> None:
        if isinstance(event, TextDelta):
            self._text.append(event.text)
        elif isinstance(event, ToolCallDelta | RefusalDelta):
            self.continuable = False  # nobody can go on with half a call, or with another's refusal


def can_be_continued(request: ChatRequest) -> bool:
    """Not several choices at once, nor log probabilities: the tokens of a joined text are no one model's."""
    return request.n == 1 and not request.logprobs


def continuation(request: ChatRequest, said: str) -> ChatRequest:
    """The request that asks for the rest.

    A JSON form is asked for in words: a model that is held to it by its provider would begin a new document.
    """
    if not said:
        return request
    ask = _GO_ON + _form(request.response_format)
    more = (Message(Role.ASSISTANT, (Text(said),)), Message(Role.USER, (Text(ask),)))
    return msgspec.structs.replace(request, messages=(*request.messages, *more), response_format=None)


def _form(wanted: ResponseFormat | None) -> str:
    if wanted is None or wanted.kind == "text":
        return ""
    form = (
        " Your last message and what you write now must together be one JSON document, without a code fence."
    )
    if wanted.schema is not None:
        form += " Its JSON Schema: " + msgspec.json.encode(wanted.schema).decode()
    return form
