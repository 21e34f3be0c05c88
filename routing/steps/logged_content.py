"""A request and its answer as stored for accounts that opted in (billing/content): text only."""

from collections.abc import Iterator

from billing.content.store import Content, Turn
from routing.language.chat import Audio, ChatRequest, ChatResult, File, Image, Message, Refusal, Text


def logged_content(request: ChatRequest, result: ChatResult) -> Content:
    prompt = tuple(Turn(message.role, "\n".join(_lines(message))) for message in request.messages)
    answers = []
    for choice in result.choices:
        calls = [f"[call of {call.name}: {call.arguments}]" for call in choice.tool_calls]
        answers.append("\n".join(filter(None, [choice.text, choice.refusal, *calls])))
    return Content(prompt, "\n\n".join(answers))


def _lines(message: Message) -> Iterator[str]:
    for part in message.parts:
        match part:
            case Text() | Refusal():
                yield part.text
            case Image():
                yield "[image]"
            case File():
                yield f"[file {part.filename}]" if part.filename else "[file]"
            case Audio():
                yield "[sound]"
    yield from (f"[call of {call.name}: {call.arguments}]" for call in message.tool_calls)
