"""Reads the messages of a Chat Completions request into turns, with the real order rules."""

from typing import Any

from routing.simulator.model.usage import AUDIO_TOKENS, DOCUMENT_TOKENS, image_tokens
from routing.simulator.openai.rules import FIELD_ERRORS
from routing.simulator.shared.errors import openai_error
from routing.simulator.shared.fields import OBJECT, TEXT, Field, check_value
from routing.simulator.shared.prompt import Speaker, Turn
from routing.simulator.shared.wire import encode

_ROLES: dict[str, Speaker] = {
    "system": "system",
    "assistant": "assistant",
    "user": "user",
    "function": "tool",
    "tool": "tool",
    "developer": "system",
}


_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")


def read_turns(messages: list[Any]) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    waiting: dict[str, None] = {}  # tool call ids that still need their result
    for number, message in enumerate(messages):
        where = f"messages[{number}]"
        check_value(message, Field(OBJECT), FIELD_ERRORS, where)
        role = message.get("role")
        if role is None:
            raise FIELD_ERRORS.missing(f"{where}.role")
        check_value(role, Field(TEXT, choices=tuple(_ROLES)), FIELD_ERRORS, f"{where}.role")
        if role == "tool":
            if message.get("tool_call_id") is None:
                raise FIELD_ERRORS.missing(f"{where}.tool_call_id")
            if message["tool_call_id"] not in waiting:
                text = (
                    "Invalid parameter: messages with role 'tool' must be a response to "
                    "a preceeding message with 'tool_calls'."
                )
                raise openai_error(400, text, param=f"messages.[{number}].role")
            del waiting[message["tool_call_id"]]
        elif waiting:
            raise _unanswered(waiting, number)
        turns.append(_turn(message, role, where))
        if role == "assistant":
            waiting = {str(call.get("id")): None for call in message.get("tool_calls") or []}
    if waiting:
        raise _unanswered(waiting, len(messages))
    return tuple(turns)


def _unanswered(waiting: dict[str, None], number: int) -> Exception:
    message = (
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(waiting)}"
    )
    return openai_error(400, message, param=f"messages.[{number}].role")


def _turn(message: dict[str, Any], role: str, where: str) -> Turn:
    content = message.get("content")
    calls = message.get("tool_calls") or []
    if content is None and not (
        role == "assistant" and (calls or message.get("refusal") or message.get("audio"))
    ):
        text = "Invalid value for 'content': expected a string, got null."
        raise openai_error(400, text, param=where.replace("[", ".[") + ".content")
    text, media = _content(content, where)
    called = tuple(
        encode(_read_call(call, f"{where}.tool_calls[{i}]")).decode() for i, call in enumerate(calls)
    )
    if role == "tool":
        return Turn("tool", results=(text,))
    neutral = _ROLES[role]
    return Turn(neutral, text=text, calls=called, media=media)


def _content(content: Any, where: str) -> tuple[str, int]:
    if content is None or isinstance(content, str):
        return content or "", 0
    check_value(content, Field((str, list), low=0), FIELD_ERRORS, f"{where}.content")
    texts: list[str] = []
    media = 0
    for number, part in enumerate(content):
        path = f"{where}.content[{number}]"
        check_value(part, Field(OBJECT), FIELD_ERRORS, path)
        kind = part.get("type")
        if kind is None:
            raise FIELD_ERRORS.missing(f"{path}.type")
        check_value(kind, Field(TEXT, choices=_PARTS), FIELD_ERRORS, f"{path}.type")
        for name in part:
            if name not in {"type", kind, "prompt_cache_breakpoint"}:
                raise FIELD_ERRORS.unknown(f"{path}.{name}")
        if kind not in part:
            raise FIELD_ERRORS.missing(f"{path}.{kind}")
        match kind:
            case "text" | "refusal":
                texts.append(str(part[kind]))
            case "image_url":
                media += _image(part["image_url"], path)
            case "input_audio":
                media += AUDIO_TOKENS
            case _:
                media += DOCUMENT_TOKENS
    return "\n".join(texts), media


def _image(image: Any, path: str) -> int:
    check_value(image, Field(OBJECT), FIELD_ERRORS, f"{path}.image_url")
    url = str(image.get("url", ""))
    if not url.startswith(("http://", "https://", "data:image/")):
        message = (
            f"Invalid '{path}.image_url.url'. Expected a valid URL, but got a value with an invalid format."
        )
        raise openai_error(400, message, param=f"{path}.image_url.url", code="invalid_value")
    return image_tokens("openai", None, image.get("detail"))


def _read_call(call: Any, path: str) -> dict[str, Any]:
    check_value(call, Field(OBJECT), FIELD_ERRORS, path)
    if call.get("id") is None:
        raise FIELD_ERRORS.missing(f"{path}.id")
    function = call.get("function") or call.get("custom")
    if function is None:
        raise FIELD_ERRORS.missing(f"{path}.function")
    if "function" in call:
        check_value(function.get("arguments"), Field(TEXT), FIELD_ERRORS, f"{path}.function.arguments")
    return {"name": function.get("name"), "arguments": function.get("arguments", function.get("input"))}
