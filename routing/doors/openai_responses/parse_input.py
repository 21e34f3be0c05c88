"""Parse the input items of the Responses API into the neutral language.

Each function returns what it could parse, and adds an error with the path of the field for the rest.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from routing.doors.openai_responses.parse_options import full_name
from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.doors.shared.opaque import decode_opaque, is_encoded_opaque
from routing.doors.shared.openai_messages import MAX_MESSAGES, cache_mark, checked_url
from routing.language.chat import (
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    marked_at_end,
)
from routing.providers.openai.reasoning import from_reasoning_item

MAX_ITEMS = 4 * MAX_MESSAGES  # a message, its reasoning and its calls are items of their own
DETAILS = ("auto", "low", "high", "original")
_ITEMS = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "additional_tools",
)
_PART_FIELDS = frozenset(
    {"type", "text", "refusal", "detail", "image_url", "file_url", "file_data", "filename", "file_id"}
    | {"prompt_cache_breakpoint", "cache_control", "annotations", "logprobs", "parsed"}
)
_ITEM_FIELDS = frozenset(
    {"type", "id", "status", "role", "content", "phase", "call_id", "name", "namespace", "arguments"}
    | {"input", "output", "summary", "encrypted_content", "tools", "caller", "created_by", replay.FIELD}
    | {"cache_control", "prompt_cache_breakpoint"}
)
_UPLOADED = "There are no uploaded files here. Send the content or a URL."
_ROLES = {
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
}


def items(raw: Any, errors: FieldErrors, path: str = "input") -> tuple[Message, ...]:
    """Parse a text, or items. The texts, reasoning and calls of an assistant's turn become one message."""
    if isinstance(raw, str):
        return (Message(Role.USER, (Text(raw),)),)
    if not isinstance(raw, list):
        errors.add(path, "Must be a string or a list of items.")
        return ()
    if len(raw) > MAX_ITEMS:
        errors.add(path, f"At most {MAX_ITEMS:,} items are possible; there are {len(raw):,}.")
        return ()
    turns = _Turns()
    for position, raw_item in enumerate(raw):
        at = f"{path}[{position}]"
        item = record(raw_item, at, errors)
        if item is not None:
            _item(item, turns, at, errors)
    return turns.done()


class _Turns:
    """Collects messages. The pieces of an assistant's turn are separate items, so they wait for its end."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._parts: list[Part] = []
        self._calls: list[ToolCall] = []

    def add(self, message: Message) -> None:
        self._end_turn()
        self._messages.append(message)

    def say(self, parts: tuple[Part, ...]) -> None:
        """Add an assistant's message. A second message begins another turn."""
        if any(isinstance(part, Text | Refusal) for part in self._parts):
            self._end_turn()
        self._parts.extend(parts)

    def think(self, reasoning: Opaque) -> None:
        self._parts.append(reasoning)

    def call(self, call: ToolCall) -> None:
        self._calls.append(call)

    def done(self) -> tuple[Message, ...]:
        self._end_turn()
        return tuple(self._messages)

    def _end_turn(self) -> None:
        if self._parts or self._calls:
            self._messages.append(Message(Role.ASSISTANT, tuple(self._parts), tuple(self._calls)))
        self._parts, self._calls = [], []


def _item(item: dict[str, Any], turns: _Turns, path: str, errors: FieldErrors) -> None:
    errors.ignore_unknown(item, _ITEM_FIELDS, path)
    match item.get("type", "message"):
        case "message":
            _message(item, turns, path, errors)
        case "function_call":
            turns.call(_call(item, "arguments", path, errors))
        case "custom_tool_call":
            turns.call(msgspec.structs.replace(_call(item, "input", path, errors), is_custom=True))
        case "function_call_output" | "custom_tool_call_output":
            turns.add(_output(item, path, errors))
        case "reasoning":
            reasoning = _reasoning(item, path, errors)
            if reasoning is not None:
                turns.think(reasoning)
        case "additional_tools":
            pass  # the tools of all items are parsed together
        case "item_reference":
            errors.add(f"{path}.id", "Is not the id of a stored item. Send the item itself.")
        case _:
            errors.add(f"{path}.type", f"Must be one of: {', '.join(_ITEMS)}.")


def _message(item: dict[str, Any], turns: _Turns, path: str, errors: FieldErrors) -> None:
    name = item.get("role")
    role = _ROLES.get(name) if isinstance(name, str) else None
    if role is None:
        fault = "This field is required." if name is None else f"Must be one of: {', '.join(_ROLES)}."
        errors.add(f"{path}.role", fault)
        return
    parts = _content(item.get("content"), role, f"{path}.content", errors)
    (message,) = marked_at_end((Message(role, parts),), cache_mark(item, path, errors))
    if role is Role.ASSISTANT:
        turns.say(message.parts)
    else:
        turns.add(message)


def _call(item: dict[str, Any], field: str, path: str, errors: FieldErrors) -> ToolCall:
    """Parse a call. `field` is the name of the field that holds its arguments."""
    call_id = text(item, "call_id", path, errors, required=True)
    name = full_name(item, path, errors)
    arguments = text(item, field, path, errors)
    if item.get(field) is None:
        errors.add(f"{path}.{field}", "This field is required.")
    signature = replay.read_call(item, path, errors)
    return ToolCall(call_id or "", name or "", arguments or "", signature)


def _output(item: dict[str, Any], path: str, errors: FieldErrors) -> Message:
    """Parse the result of a call. Without the id of its call it is a text of the user's."""
    parts = _content(item.get("output"), Role.TOOL, f"{path}.output", errors)
    call_id = text(item, "call_id", path, errors)
    output = Message(Role.TOOL, parts, tool_call_id=call_id) if call_id else Message(Role.USER, parts)
    return marked_at_end((output,), cache_mark(item, path, errors))[0]


def _reasoning(item: dict[str, Any], path: str, errors: FieldErrors) -> Opaque | None:
    """Parse a reasoning item. Without encrypted content no provider takes it back, so it is dropped."""
    summary = item.get("summary")
    if summary is not None and not isinstance(summary, list):
        errors.add(f"{path}.summary", "Must be a list.")
    encrypted = text(item, "encrypted_content", path, errors)
    if not encrypted:
        return None
    if not is_encoded_opaque(encrypted):
        fields = {name: item.get(name) for name in ("type", "id", "summary", "encrypted_content")}
        return from_reasoning_item(fields | {"summary": summary or []})
    reasoning = decode_opaque(encrypted)
    if reasoning is None:
        errors.add(f"{path}.encrypted_content", "Is damaged. Send it back as it came, or leave the item out.")
    return reasoning


def _content(raw: Any, role: Role, path: str, errors: FieldErrors) -> tuple[Part, ...]:
    if isinstance(raw, str):
        return (Text(raw),)
    if not isinstance(raw, list):
        errors.add(path, "This field is required." if raw is None else "Must be a string or a list of parts.")
        return ()
    parts = [_part(item, _PARTS[role], f"{path}[{position}]", errors) for position, item in enumerate(raw)]
    return tuple(part for part in parts if part is not None)


def _part(raw: Any, known: Mapping[str, "_PartParser"], path: str, errors: FieldErrors) -> Part | None:
    part = record(raw, path, errors)
    if part is None:
        return None
    kind = part.get("type")
    parse = known.get(kind) if isinstance(kind, str) else None
    if parse is None:
        fault = (
            "This field is required." if kind is None else f"Must be one of these here: {', '.join(known)}."
        )
        errors.add(f"{path}.type", fault)
        return None
    errors.ignore_unknown(part, _PART_FIELDS, path)
    return parse(part, path, errors)


def _text(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    words = text(raw, "text", path, errors)
    if raw.get("text") is None:
        errors.add(f"{path}.text", "This field is required.")
    return None if words is None else Text(words, cache_mark(raw, path, errors))


def _refusal(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    words = text(raw, "refusal", path, errors, required=True)
    return None if words is None else Refusal(words)


def _image(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    if raw.get("file_id") is not None:
        errors.add(f"{path}.file_id", _UPLOADED)
        return None
    detail = text(raw, "detail", path, errors)
    if detail is not None and detail not in DETAILS:
        errors.add(f"{path}.detail", f"Must be one of: {', '.join(DETAILS)}.")
    url = checked_url(raw, "image_url", path, errors, "image/")
    return None if url is None else Image(url, detail, cache_mark(raw, path, errors))


def _file(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    if raw.get("file_id") is not None:
        errors.add(f"{path}.file_id", _UPLOADED)
        return None
    name = "file_url" if raw.get("file_url") is not None else "file_data"
    filename = text(raw, "filename", path, errors)
    url = checked_url(raw, name, path, errors, "")
    return None if url is None else File(url, filename, cache_mark(raw, path, errors))


_PartParser = Callable[[dict[str, Any], str, FieldErrors], Part | None]
_SHOWN: dict[str, _PartParser] = {"input_text": _text, "input_image": _image, "input_file": _file}
_PARTS: dict[Role, dict[str, _PartParser]] = {
    Role.USER: _SHOWN,
    Role.TOOL: _SHOWN,
    Role.SYSTEM: {"input_text": _text},
    Role.ASSISTANT: {"output_text": _text, "refusal": _refusal, "input_text": _text},
}
