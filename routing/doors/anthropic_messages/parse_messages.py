"""Parse Anthropic's messages and system blocks into the neutral language.

Each function returns what it could parse, and adds an error with the path of the field for the rest.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from routing.doors.shared import reasoning_extension as replay
from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.doors.shared.opaque import decode_opaque, is_encoded_opaque
from routing.doors.shared.openai_messages import MAX_MESSAGES, cache_mark, checked_url, is_base64
from routing.language.chat import (
    CacheMark,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Role,
    Text,
    ToolCall,
    marked_at_end,
)
from routing.providers.anthropic.thinking import from_thinking_block

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_FIELDS = frozenset(
    {"type", "text", "source", "title", "context", "content", "citations", "cache_control"}
    | {"thinking", "signature", "data", "parsed_output", "tool_name"}
)
_CALL_FIELDS = frozenset({"type", "id", "name", "input", "caller", replay.FIELD})
_RESULT_FIELDS = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_ROLES = ("user", "assistant", "system")
_UPLOADED = "There are no uploaded files here. Send the content or a URL."


def messages(raw: Any, errors: FieldErrors, path: str = "messages") -> tuple[Message, ...]:
    """Parse up to 1000 messages; each tool result becomes a message of its own."""
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of messages.")
        return ()
    if len(raw) > MAX_MESSAGES:
        errors.add(path, f"At most {MAX_MESSAGES} messages are possible; there are {len(raw):,}.")
        return ()
    parsed: list[Message] = []
    for position, item in enumerate(raw):
        at = f"{path}[{position}]"
        parsed += _message(item, at, errors)
        if isinstance(item, dict) and "cache_control" in item:
            parsed = list(marked_at_end(tuple(parsed), cache_mark(item, at, errors)))
    return tuple(parsed)


def system(raw: Any, errors: FieldErrors, path: str = "system") -> tuple[Message, ...]:
    """Parse the system prompt: a text or text blocks."""
    if raw is None:
        return ()
    parts = _texts(raw, path, errors)
    return (Message(Role.SYSTEM, parts),) if parts else ()


def _marked_last(parts: tuple[Part, ...], mark: CacheMark | None) -> tuple[Part, ...]:
    """Set the cache mark on the last part, unless it has its own or cannot have one."""
    last = parts[-1] if parts else None
    if mark is None or not isinstance(last, Text | Image | File) or last.cache is not None:
        return parts
    return (*parts[:-1], msgspec.structs.replace(last, cache=mark))


def _message(raw: Any, path: str, errors: FieldErrors) -> tuple[Message, ...]:
    known = record(raw, path, errors)
    if known is None:
        return ()
    errors.ignore_unknown(known, frozenset({"role", "content", "cache_control"}), path)
    role, at = known.get("role"), f"{path}.content"
    if role not in _ROLES:
        fault = "This field is required." if role is None else f"Must be one of: {', '.join(_ROLES)}."
        errors.add(f"{path}.role", fault)
        return ()
    content = known.get("content")
    if content is None:
        errors.add(at, "This field is required.")
        return ()
    if role == "system":
        return (Message(Role.SYSTEM, _texts(content, at, errors)),)
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list):
        errors.add(at, "Must be a string or a list of blocks.")
        return ()
    return (_assistant(blocks, at, errors),) if role == "assistant" else _user(blocks, at, errors)


def _texts(raw: Any, path: str, errors: FieldErrors) -> tuple[Part, ...]:
    if isinstance(raw, str):
        return (Text(raw),)
    if not isinstance(raw, list):
        errors.add(path, "Must be a string or a list of text blocks.")
        return ()
    return _blocks(raw, {"text": _text}, path, errors)


def _user(blocks: list[Any], path: str, errors: FieldErrors) -> tuple[Message, ...]:
    """Parse a user's blocks in order: a message for each tool result, and one for the blocks between two."""
    messages: list[Message] = []
    parts: list[Part] = []
    for position, block in enumerate(blocks):
        at = f"{path}[{position}]"
        if isinstance(block, dict) and block.get("type") == "tool_result":
            if parts:
                messages.append(Message(Role.USER, tuple(parts)))
                parts = []
            messages.append(_tool_result(block, at, errors))
        else:
            parts.extend(_block(block, _USER, at, errors, others=("tool_result",)))
    if parts or not messages:
        messages.append(Message(Role.USER, tuple(parts)))
    return tuple(messages)


def _assistant(blocks: list[Any], path: str, errors: FieldErrors) -> Message:
    parts: list[Part] = []
    calls: list[ToolCall] = []
    for position, block in enumerate(blocks):
        at = f"{path}[{position}]"
        if isinstance(block, dict) and block.get("type") == "tool_use":
            calls.append(_tool_use(block, at, errors))
        else:
            parts.extend(_block(block, _ASSISTANT, at, errors, others=("tool_use",)))
    return Message(Role.ASSISTANT, tuple(parts), tuple(calls))


def _tool_use(raw: dict[str, Any], path: str, errors: FieldErrors) -> ToolCall:
    call_id = text(raw, "id", path, errors, required=True)
    name = text(raw, "name", path, errors, required=True)
    errors.ignore_unknown(raw, _CALL_FIELDS, path)
    arguments = record(raw.get("input"), f"{path}.input", errors) or {}
    signature = replay.read_call(raw, path, errors)
    return ToolCall(call_id or "", name or "", msgspec.json.encode(arguments).decode(), signature)


def _tool_result(raw: dict[str, Any], path: str, errors: FieldErrors) -> Message:
    call_id = text(raw, "tool_use_id", path, errors, required=True)
    is_error = raw.get("is_error")
    if is_error is not None and not isinstance(is_error, bool):
        errors.add(f"{path}.is_error", "Must be true or false.")
    content, at = raw.get("content"), f"{path}.content"
    parts: tuple[Part, ...] = ()
    if isinstance(content, str):
        parts = (Text(content),)
    elif isinstance(content, list):
        parts = _blocks(content, _RESULT, at, errors)
    elif content is not None:
        errors.add(at, "Must be a string or a list of blocks.")
    errors.ignore_unknown(raw, _RESULT_FIELDS, path)
    parts = _marked_last(parts, cache_mark(raw, path, errors))
    return Message(Role.TOOL, parts, tool_call_id=call_id or "", is_error=is_error is True)


_BlockParser = Callable[[dict[str, Any], str, FieldErrors], tuple[Part, ...]]


def _blocks(
    raw: list[Any], known: Mapping[str, _BlockParser], path: str, errors: FieldErrors
) -> tuple[Part, ...]:
    return tuple(
        part
        for position, block in enumerate(raw)
        for part in _block(block, known, f"{path}[{position}]", errors)
    )


def _block(
    raw: Any, known: Mapping[str, _BlockParser], path: str, errors: FieldErrors, others: tuple[str, ...] = ()
) -> tuple[Part, ...]:
    block = record(raw, path, errors)
    if block is None:
        return ()
    kind = block.get("type")
    parse = known.get(kind) if isinstance(kind, str) else None
    if parse is None:
        possible = ", ".join((*known, *others))
        fault = "This field is required." if kind is None else f"Must be one of these here: {possible}."
        errors.add(f"{path}.type", fault)
        return ()
    errors.ignore_unknown(block, _FIELDS, path)
    return parse(block, path, errors)


def _text(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    words = text(raw, "text", path, errors)
    if raw.get("text") is None:
        errors.add(f"{path}.text", "This field is required.")
    mark = cache_mark(raw, path, errors)
    return () if words is None else (Text(words, mark),)


def _image(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    url = _source(raw, path, errors, IMAGE_TYPES)
    mark = cache_mark(raw, path, errors)
    return () if url is None else (Image(url, None, mark),)


def _document(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    """Parse a document. A PDF becomes a file; a text document becomes text, which every model takes."""
    title = text(raw, "title", path, errors)
    before = tuple(Text(words) for words in (title, text(raw, "context", path, errors)) if words)
    _refuse_citations(raw, path, errors)
    source, at, mark = raw.get("source"), f"{path}.source", cache_mark(raw, path, errors)
    kind = source.get("type") if isinstance(source, dict) else None
    if isinstance(source, dict) and kind == "text":
        words = text(source, "data", at, errors, required=True)
        return () if words is None else (*before, Text(words, mark))
    if isinstance(source, dict) and kind == "content":
        content = source.get("content")
        if isinstance(content, str):
            return (*before, Text(content, mark))
        if isinstance(content, list):
            inner = _blocks(content, {"text": _text, "image": _image}, f"{at}.content", errors)
            return (*before, *_marked_last(inner, mark))
        errors.add(f"{at}.content", "Must be a string or a list of blocks.")
        return ()
    url = _source(raw, path, errors, ("application/pdf",), others=("text", "content"))
    return () if url is None else (*before[1 if title else 0 :], File(url, title, mark))


def _search_result(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    """Parse a search result into a text with its title and source, which every model takes."""
    title = text(raw, "title", path, errors, required=True)
    source = text(raw, "source", path, errors, required=True)
    content = raw.get("content")
    if not isinstance(content, list):
        errors.add(f"{path}.content", "Must be a list of text blocks.")
        return ()
    _refuse_citations(raw, path, errors)
    texts = [
        part
        for part in _blocks(content, {"text": _text}, f"{path}.content", errors)
        if isinstance(part, Text)
    ]
    mark = cache_mark(raw, path, errors) or next((part.cache for part in texts if part.cache), None)
    body = "\n\n".join(part.text for part in texts)
    return (Text(f"{title} ({source})\n\n{body}", mark),)


def _tool_reference(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    """Parse the name of a tool that a search brought up. Every tool is offered to the model anyway."""
    name = text(raw, "tool_name", path, errors, required=True)
    mark = cache_mark(raw, path, errors)
    return () if name is None else (Text(f"The tool {name} is available.", mark),)


def _refuse_citations(raw: dict[str, Any], path: str, errors: FieldErrors) -> None:
    cited = raw.get("citations")
    if cited is not None and (not isinstance(cited, dict) or cited.get("enabled")):
        errors.add(f"{path}.citations", "Citations are not possible here. Leave them out or disabled.")


def _source(
    raw: dict[str, Any],
    path: str,
    errors: FieldErrors,
    media: tuple[str, ...],
    others: tuple[str, ...] = (),
) -> str | None:
    """The URL of a source: its own, or a data: URL with its base64."""
    at = f"{path}.source"
    source = record(raw.get("source"), at, errors)
    if source is None:
        return None
    kind = source.get("type")
    if kind == "url":
        url = checked_url(source, "url", at, errors, "")
        if url is not None and url[:5].lower() == "data:":
            errors.add(f"{at}.url", "Must be an http(s) URL.")
        return url
    if kind == "file":
        errors.add(f"{at}.type", _UPLOADED)
        return None
    if kind != "base64":
        errors.add(f"{at}.type", f"Must be one of: {', '.join(('base64', 'url', *others))}.")
        return None
    media_type, data = source.get("media_type"), text(source, "data", at, errors, required=True)
    if media_type not in media:
        errors.add(f"{at}.media_type", f"Must be one of: {', '.join(media)}.")
    if data is not None and not is_base64(data):
        errors.add(f"{at}.data", "Is not valid base64.")
    return f"data:{media_type};base64,{data}"


def _thinking(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    """Parse a thinking block. Without a signature no provider takes it back, so it is dropped."""
    words, signature = text(raw, "thinking", path, errors), text(raw, "signature", path, errors)
    for name, value in (("thinking", words), ("signature", signature)):
        if value is None and raw.get(name) is None:
            errors.add(f"{path}.{name}", "This field is required.")
    if words is None or not signature:
        return ()
    if is_encoded_opaque(signature):
        return _carried_reasoning(signature, f"{path}.signature", errors)
    return (from_thinking_block({"type": "thinking", "thinking": words, "signature": signature}),)


def _redacted(raw: dict[str, Any], path: str, errors: FieldErrors) -> tuple[Part, ...]:
    data = text(raw, "data", path, errors, required=True)
    if data is None:
        return ()
    if is_encoded_opaque(data):
        return _carried_reasoning(data, f"{path}.data", errors)
    return (from_thinking_block({"type": "redacted_thinking", "data": data}),)


def _carried_reasoning(encoded: str, path: str, errors: FieldErrors) -> tuple[Opaque, ...]:
    reasoning = decode_opaque(encoded)
    if reasoning is None:
        errors.add(path, "Is damaged. Send it back as it came, or leave the block out.")
        return ()
    return (reasoning,)


_USER: dict[str, _BlockParser] = {
    "text": _text,
    "image": _image,
    "document": _document,
    "search_result": _search_result,
}
_RESULT = _USER | {"tool_reference": _tool_reference}
_ASSISTANT: dict[str, _BlockParser] = {"text": _text, "thinking": _thinking, "redacted_thinking": _redacted}
