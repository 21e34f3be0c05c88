"""Parse OpenAI's messages and parts into the neutral language, for the native and the chat completions door.

Each function returns what it could parse, and adds an error with the path of the field for the rest.
"""

import binascii
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.language.chat import (
    Audio,
    CacheMark,
    File,
    Image,
    Message,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
    marked_at_end,
)

MAX_MESSAGES = 1000
ROLES = {
    "system": Role.SYSTEM,
    "developer": Role.SYSTEM,
    "user": Role.USER,
    "assistant": Role.ASSISTANT,
    "tool": Role.TOOL,
    "function": Role.TOOL,  # the older form, whose calls have no ids
}
_MARKS = frozenset({"cache_control", "prompt_cache_breakpoint"})
TTLS = ("30m", "12h")  # of OpenAI's cache breakpoints
_FIELDS = frozenset(
    {"role", "content", "name", "refusal", "tool_calls", "tool_call_id", "function_call", replay.FIELD}
    | {"reasoning_content", "cache_control", "prompt_cache_breakpoint"}
)
_PART_FIELDS = frozenset(
    {
        "type",
        "text",
        "refusal",
        "image_url",
        "file",
        "input_audio",
        "cache_control",
        "prompt_cache_breakpoint",
    }
)


def messages(raw: Any, errors: FieldErrors, path: str = "messages") -> tuple[Message, ...]:
    """Parse up to 1000 messages. Doors refuse an empty list themselves, with an error of their own."""
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of messages.")
        return ()
    if len(raw) > MAX_MESSAGES:
        errors.add(path, f"At most {MAX_MESSAGES} messages are possible; there are {len(raw):,}.")
        return ()
    parsed: list[Message] = []
    for position, item in enumerate(raw):
        at = f"{path}[{position}]"
        parsed.append(_message(item, at, errors))
        if isinstance(item, dict) and not _MARKS.isdisjoint(item):
            # A mark on a message ends the prefix at its last part; one of calls alone has none.
            parsed = list(marked_at_end(tuple(parsed), cache_mark(item, at, errors)))
    return _numbered(parsed) if any(_is_older(item) for item in raw) else tuple(parsed)


def _is_older(raw: Any) -> bool:
    return isinstance(raw, dict) and (raw.get("role") == "function" or raw.get("function_call") is not None)


def _numbered(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Give ids to calls of the older form, and to the results that follow them."""
    numbered: list[Message] = []
    last = ""
    for message in messages:
        if any(not call.id for call in message.tool_calls):
            last = f"call_{len(numbered)}"
            calls = tuple(msgspec.structs.replace(call, id=call.id or last) for call in message.tool_calls)
            numbered.append(msgspec.structs.replace(message, tool_calls=calls))
        elif message.role is Role.TOOL and not message.tool_call_id:
            numbered.append(msgspec.structs.replace(message, tool_call_id=last))
        else:
            numbered.append(message)
    return tuple(numbered)


def are_blank(messages: tuple[Message, ...]) -> bool:
    """Return whether there are no messages, or only blank ones."""
    return not any(_has_content(message) for message in messages)


def cache_mark(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> CacheMark | None:
    """Parse Anthropic's `cache_control` or OpenAI's `prompt_cache_breakpoint`."""
    value = raw.get("cache_control")
    return (
        _breakpoint(raw, path, errors) if value is None else mark_of(value, f"{path}.cache_control", errors)
    )


def mark_at(value: Any, errors: FieldErrors, at: str) -> CacheMark | None:
    """Parse `cache_control` of the end of the whole request."""
    return None if value is None else mark_of(value, at, errors)


def mark_of(value: Any, at: str, errors: FieldErrors) -> CacheMark | None:
    """Parse the value of `cache_control`."""
    mark = record(value, at, errors)
    if mark is None:
        return None
    if mark.get("type") != "ephemeral":
        errors.add(f"{at}.type", 'Must be "ephemeral".')
    ttl = mark.get("ttl", "5m")
    if ttl not in ("5m", "1h"):
        errors.add(f"{at}.ttl", 'Must be "5m" or "1h".')
        return None
    return CacheMark(ttl)


def _breakpoint(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> CacheMark | None:
    value = raw.get("prompt_cache_breakpoint")
    if value is None:
        return None
    at = f"{path}.prompt_cache_breakpoint"
    mark = record(value, at, errors)
    if mark is None:
        return None
    if mark.get("mode") != "explicit":
        errors.add(f"{at}.mode", 'Must be "explicit".')
    ttl = mark.get("ttl")
    if ttl not in (None, *TTLS):
        errors.add(f"{at}.ttl", 'Must be "30m" or "12h".')
        return None
    return CacheMark(ttl)


def _has_content(message: Message) -> bool:
    return bool(message.tool_calls) or any(
        bool(part.text.strip()) if isinstance(part, Text | Refusal) else True for part in message.parts
    )


def _message(raw: Any, path: str, errors: FieldErrors) -> Message:
    known = record(raw, path, errors)
    if known is None:
        return Message(Role.USER)
    role_name = known.get("role")
    role = ROLES.get(role_name) if isinstance(role_name, str) else None
    if role is None:
        fault = "This field is required." if role_name is None else f"Must be one of: {', '.join(ROLES)}."
        errors.add(f"{path}.role", fault)
        role = Role.USER
    errors.ignore_unknown(known, _FIELDS, path)
    is_older = role_name == "function"
    calls = _tool_calls(known, role, path, errors)
    parts = _content(known, role, bool(calls), path, errors)
    if role is Role.ASSISTANT:
        parts = (*replay.read_message(known, path, errors), *parts)
    identity = None
    if role is Role.TOOL:
        identity = "" if is_older else text(known, "tool_call_id", path, errors, required=True)
    return Message(
        role=role,
        parts=parts,
        tool_calls=calls,
        tool_call_id=identity,
        name=text(known, "name", path, errors, required=is_older),
        reasoning=text(known, "reasoning_content", path, errors) if role is Role.ASSISTANT else None,
    )


def _content(
    raw: Mapping[str, Any], role: Role, has_calls: bool, path: str, errors: FieldErrors
) -> tuple[Part, ...]:
    at, content = f"{path}.content", raw.get("content")
    parts: tuple[Part, ...] = ()
    if isinstance(content, str):
        parts = (Text(content),)
    elif isinstance(content, list):
        parsed = [_part(item, role, f"{at}[{position}]", errors) for position, item in enumerate(content)]
        parts = tuple(part for part in parsed if part is not None)
    elif content is not None:
        errors.add(at, "Must be a string or a list of parts.")
    elif not (role is Role.ASSISTANT and (has_calls or raw.get("refusal") is not None)):
        errors.add(at, "This field is required.")
    if role is Role.ASSISTANT and (refusal := text(raw, "refusal", path, errors)):
        parts = (*parts, Refusal(refusal))
    return parts


def _part(raw: Any, role: Role, path: str, errors: FieldErrors) -> Part | None:
    known = record(raw, path, errors)
    if known is None:
        return None
    kind = known.get("type")
    parse = _PARTS[role].get(kind) if isinstance(kind, str) else None
    if parse is None:
        if kind is None:
            errors.add(f"{path}.type", "This field is required.")
        else:
            possible = ", ".join(_PARTS[role])
            errors.add(f"{path}.type", f"Must be one of these in a message of role {role}: {possible}.")
        return None
    errors.ignore_unknown(known, _PART_FIELDS, path)
    return parse(known, path, errors)


def _text_part(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    words = text(raw, "text", path, errors)
    if words is None:
        if raw.get("text") is None:
            errors.add(f"{path}.text", "This field is required.")
        return None
    return Text(words, cache_mark(raw, path, errors))


def _refusal_part(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    words = text(raw, "refusal", path, errors, required=True)
    return None if words is None else Refusal(words)


def _image_part(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    at = f"{path}.image_url"
    value = raw.get("image_url")
    image = {"url": value} if isinstance(value, str) else record(value, at, errors)
    if image is None:
        return None
    detail = text(image, "detail", at, errors)
    if detail not in (None, "auto", "low", "high", "original"):
        errors.add(f"{at}.detail", 'Must be "auto", "low", "high" or "original".')
    url = checked_url(image, "url", at, errors, "image/")
    return None if url is None else Image(url, detail, cache_mark(raw, path, errors))


def _file_part(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    at = f"{path}.file"
    file = record(raw.get("file"), at, errors)
    if file is None:
        return None
    if file.get("file_id") is not None:
        errors.add(f"{at}.file_id", "There are no uploaded files here. Send the content in file_data.")
        return None
    filename = text(file, "filename", at, errors)
    url = checked_url(file, "file_data", at, errors, "")
    return None if url is None else File(url, filename, cache_mark(raw, path, errors))


def _audio_part(raw: dict[str, Any], path: str, errors: FieldErrors) -> Part | None:
    at = f"{path}.input_audio"
    audio = record(raw.get("input_audio"), at, errors)
    if audio is None:
        return None
    data = text(audio, "data", at, errors, required=True)
    kind = audio.get("format")
    if kind not in ("wav", "mp3"):
        errors.add(f"{at}.format", 'Must be "wav" or "mp3".')
        return None
    if data is not None and not is_base64(data):
        errors.add(f"{at}.data", "Is not valid base64.")
    return None if data is None else Audio(data, kind)


def checked_url(raw: Mapping[str, Any], name: str, path: str, errors: FieldErrors, media: str) -> str | None:
    """Parse an http(s) URL, or a data: URL whose media type begins with `media`."""
    url, at = text(raw, name, path, errors, required=True), f"{path}.{name}"
    if url is None:
        return None
    scheme = url[:8].lower()
    if scheme.startswith(("http://", "https://")):
        if len(url) > 8192 or not url.split("://", 1)[1].strip("/") or any(c <= " " for c in url):
            errors.add(at, "Is not a valid URL.")
        return url
    if not scheme.startswith("data:"):
        errors.add(at, "Must be an http(s) URL or a data: URL.")
        return url
    head, comma, data = url[5:].partition(",")
    if not comma or not head.lower().endswith(";base64"):
        errors.add(at, "A data: URL must have the form data:TYPE;base64,CONTENT.")
    elif not head.lower().startswith(media):
        errors.add(at, f"The type of the data: URL must be {media}….")
    elif not data or not is_base64(data):
        errors.add(at, "The content of the data: URL is not valid base64.")
    return url


def is_base64(data: str) -> bool:
    try:
        binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _tool_calls(raw: Mapping[str, Any], role: Role, path: str, errors: FieldErrors) -> tuple[ToolCall, ...]:
    value, at = raw.get("tool_calls"), f"{path}.tool_calls"
    older = raw.get("function_call")
    if value is None and older is None:
        return ()
    if role is not Role.ASSISTANT:
        errors.add(at, "Only messages of role assistant have tool calls.")
        return ()
    if value is None:
        return (_function(older, f"{path}.function_call", errors),)
    if older is not None:
        errors.add(f"{path}.function_call", "Cannot be combined with tool_calls.")
    if not isinstance(value, list):
        errors.add(at, "Must be a list.")
        return ()
    return tuple(_tool_call(item, f"{at}[{position}]", errors) for position, item in enumerate(value))


def _tool_call(raw: Any, path: str, errors: FieldErrors) -> ToolCall:
    known = record(raw, path, errors)
    if known is None:
        return ToolCall("", "", "")
    kind = known.get("type", "function")
    call_id = text(known, "id", path, errors, required=True) or ""
    signature = replay.read_call(known, path, errors)
    if kind == "custom":
        at = f"{path}.custom"
        custom = record(known.get("custom"), at, errors) or {"name": "", "input": ""}
        name = text(custom, "name", at, errors)
        return ToolCall(
            call_id, name or "", text(custom, "input", at, errors) or "", signature, is_custom=True
        )
    if kind != "function":
        errors.add(f"{path}.type", 'Must be "function" or "custom".')
    called = _function(known.get("function"), f"{path}.function", errors)
    return msgspec.structs.replace(called, id=call_id, signature=signature)


def _function(raw: Any, path: str, errors: FieldErrors) -> ToolCall:
    """Parse the function of a call; the call has no id yet."""
    function = record(raw, path, errors)
    if function is None:
        return ToolCall("", "", "")
    name = text(function, "name", path, errors, required=True)
    return ToolCall("", name or "", text(function, "arguments", path, errors) or "")


_PartParser = Callable[[dict[str, Any], str, FieldErrors], Part | None]
_PARTS: dict[Role, dict[str, _PartParser]] = {
    Role.SYSTEM: {"text": _text_part},
    Role.USER: {
        "text": _text_part,
        "image_url": _image_part,
        "file": _file_part,
        "input_audio": _audio_part,
    },
    Role.ASSISTANT: {"text": _text_part, "refusal": _refusal_part},
    Role.TOOL: {"text": _text_part, "image_url": _image_part, "file": _file_part},
}
