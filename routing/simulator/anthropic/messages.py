"""Reads the system prompt and messages of a Messages request into turns, with the real order rules."""

import re
from typing import Any

from routing.simulator.anthropic.rules import FIELD_ERRORS
from routing.simulator.model.models import Model
from routing.simulator.model.usage import DOCUMENT_TOKENS, image_tokens
from routing.simulator.shared.errors import ErrorReply, anthropic_error
from routing.simulator.shared.fields import OBJECT, TEXT, Field, check_value
from routing.simulator.shared.prompt import Speaker, Turn
from routing.simulator.shared.signatures import check_thinking
from routing.simulator.shared.wire import encode

_ID = re.compile(r"[a-zA-Z0-9_-]+")


_ROLES: dict[str, Speaker] = {"user": "user", "assistant": "assistant", "system": "system"}
_MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")


_USER_BLOCKS = ("text", "image", "document", "tool_result", "search_result")


_ASSISTANT_BLOCKS = ("text", "thinking", "redacted_thinking", "tool_use", "document")


class Reader:
    """Collects turns, splitting one where the caller put a cache mark."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.marks: list[tuple[int, str]] = []

    def mark(self, block: dict[str, Any]) -> bool:
        control = block.get("cache_control")
        if control is None:
            return False
        self.marks.append((len(self.turns), str(control.get("ttl", "5m"))))
        return True


def read_system(system: Any, reader: Reader) -> None:
    if isinstance(system, str) and system:
        reader.turns.append(Turn("system", system))
    for number, block in enumerate(system if isinstance(system, list) else []):
        path = f"system.{number}"
        check_value(block, Field(OBJECT), FIELD_ERRORS, path)
        reader.turns.append(Turn("system", _text(block, path, "system")))
        reader.mark(block)


def read_messages(body: dict[str, Any], model: Model, version: str, reader: Reader) -> str:
    """Adds the turns and returns the text of a trailing assistant turn."""
    messages: list[Any] = body["messages"]
    pending: list[str] = []
    prefill = ""
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        check_value(message, Field(OBJECT), FIELD_ERRORS, where)
        for needed in ("role", "content"):
            if message.get(needed) is None:
                raise FIELD_ERRORS.missing(f"{where}.{needed}")
        role = _role(message["role"], number, model, where)
        blocks = _blocks(message["content"], where, last=number == len(messages) - 1 and role == "assistant")
        _check_results(blocks, pending, number, role)
        pending = [str(block.get("id")) for block in blocks if block.get("type") == "tool_use"]
        if role == "assistant":
            check_thinking(body, number, blocks, model)
        before = len(reader.turns)
        _read_blocks(blocks, role, where, version, reader)
        if role == "assistant" and number == len(messages) - 1:
            prefill = "".join(turn.text for turn in reader.turns[before:])
            if prefill != prefill.rstrip():
                raise anthropic_error(
                    400, "messages: final assistant content cannot end with trailing whitespace"
                )
    if pending:
        raise _unanswered(pending, len(messages) - 1)
    return prefill


def _role(role: Any, number: int, model: Model, where: str) -> Speaker:
    check_value(role, Field(TEXT), FIELD_ERRORS, f"{where}.role")
    if role == "system":
        if model.quirks.get("mid_conversation_system", "rejected") == "rejected":
            raise anthropic_error(
                400,
                'messages: Unexpected role "system". The Messages API accepts a top-level '
                "`system` parameter, not "
                '"system" as an input message role.',
            )
    elif role not in {"user", "assistant"}:
        raise FIELD_ERRORS.invalid_choice(f"{where}.role", role, ("user", "assistant"))
    if number == 0 and role == "assistant":
        raise anthropic_error(400, 'messages: first message must use the "user" role')
    return _ROLES[role]


def _blocks(content: Any, where: str, *, last: bool) -> list[dict[str, Any]]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}] if content else []
    check_value(content, Field((str, list)), FIELD_ERRORS, f"{where}.content")
    if not content and not last:
        raise anthropic_error(
            400,
            f"{where}: all messages must have non-empty content except for the optional final "
            "assistant message",
        )
    for number, block in enumerate(content):
        check_value(block, Field(OBJECT), FIELD_ERRORS, f"{where}.content.{number}")
    return list(content)


def _check_results(blocks: list[dict[str, Any]], pending: list[str], number: int, role: str) -> None:
    """All results of one assistant turn must stand first in the next user message."""
    results = [str(block.get("tool_use_id")) for block in blocks if block.get("type") == "tool_result"]
    leading = 0
    while leading < len(blocks) and blocks[leading].get("type") == "tool_result":
        leading += 1
    first = set(results[:leading]) if role == "user" else set()
    missing = [call for call in pending if call not in first]
    if missing:
        raise _unanswered(missing, number - 1)
    stray = next((result for result in results if result not in pending), None)
    if stray is not None:
        raise anthropic_error(
            400,
            f"messages.{number}.content.{results.index(stray)}: unexpected `tool_use_id` found in "
            f"`tool_result` blocks: {stray}. Each `tool_result` block must have a corresponding `tool_use` "
            "block in the previous message.",
        )


def _unanswered(missing: list[str], number: int) -> ErrorReply:
    return anthropic_error(
        400,
        f"messages.{number}: `tool_use` ids were found without `tool_result` blocks immediately after: "
        f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
        "next message.",
    )


def _read_blocks(
    blocks: list[dict[str, Any]], role: Speaker, where: str, version: str, reader: Reader
) -> None:
    """One turn for the message, or several when cache marks cut it."""
    texts: list[str] = []
    results: list[str] = []
    calls: list[str] = []
    media = 0

    def close() -> None:
        nonlocal media
        reader.turns.append(Turn(role, "\n".join(texts), tuple(results), tuple(calls), media))
        for collected in (texts, results, calls):
            collected.clear()
        media = 0

    for number, block in enumerate(blocks):
        path = f"{where}.content.{number}"
        kind = block.get("type")
        if kind is None:
            raise FIELD_ERRORS.missing(f"{path}.type")
        allowed = _ASSISTANT_BLOCKS if role == "assistant" else _USER_BLOCKS
        check_value(kind, Field(TEXT, choices=allowed), FIELD_ERRORS, f"{path}.type")
        match kind:
            case "text":
                texts.append(_text(block, path, "messages"))
                if block.get("citations") and role == "user" and version >= "2026-10-21":
                    raise anthropic_error(400, f"{path}.text.citations: Extra inputs are not permitted")
            case "thinking":
                calls.append(str(block.get("thinking", "")))
            case "tool_use":
                calls.append(_call(block, path))
            case "tool_result":
                text, tokens = _result(block, path)
                results.append(text)
                media += tokens
            case "image":
                media += _image(block, path)
            case "document":
                if role == "assistant" and version >= "2026-10-21":
                    raise anthropic_error(
                        400, f"{path}: document blocks are not permitted in assistant messages"
                    )
                media += DOCUMENT_TOKENS
        if block.get("cache_control"):
            close()
            reader.mark(block)
    if texts or results or calls or media or not blocks:
        close()


def _text(block: dict[str, Any], path: str, where: str) -> str:
    text = block.get("text")
    if text is None:
        raise FIELD_ERRORS.missing(f"{path}.text.text")
    check_value(text, Field(TEXT), FIELD_ERRORS, f"{path}.text.text")
    if not text:
        raise anthropic_error(400, f"{where}: text content blocks must be non-empty")
    if not text.strip():
        raise anthropic_error(400, f"{where}: text content blocks must contain non-whitespace text")
    return str(text)


def _call(block: dict[str, Any], path: str) -> str:
    for needed in ("id", "name", "input"):
        if block.get(needed) is None:
            raise FIELD_ERRORS.missing(f"{path}.tool_use.{needed}")
    if not _ID.fullmatch(str(block["id"])):
        raise anthropic_error(400, f"{path}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    check_value(block["input"], Field(OBJECT), FIELD_ERRORS, f"{path}.tool_use.input")
    return encode({"name": block["name"], "input": block["input"]}).decode()


def _result(block: dict[str, Any], path: str) -> tuple[str, int]:
    if block.get("tool_use_id") is None:
        raise FIELD_ERRORS.missing(f"{path}.tool_result.tool_use_id")
    content = block.get("content") or ""
    if isinstance(content, str):
        return content, 0
    texts = [str(part.get("text", "")) for part in content if part.get("type") == "text"]
    images = sum(_image(part, path) for part in content if part.get("type") == "image")
    return "\n".join(texts), images


def _image(block: dict[str, Any], path: str) -> int:
    source = block.get("source")
    if source is None:
        raise FIELD_ERRORS.missing(f"{path}.image.source")
    if source.get("type") == "base64":
        where = f"{path}.image.source.base64.media_type"
        check_value(source.get("media_type"), Field(TEXT, choices=_MEDIA_TYPES), FIELD_ERRORS, where)
        _check_bytes(source, f"{path}.image.source.base64.data")
        return image_tokens("anthropic", str(source.get("data", "")))
    return image_tokens("anthropic", None)


_SIGNATURES = {"iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp"}


def _check_bytes(source: dict[str, Any], path: str) -> None:
    """An image must be of the type it is declared as; the first characters of its base64 show it."""
    data, declared = str(source.get("data", "")), source["media_type"]
    actual = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), declared)
    if actual != declared:
        raise anthropic_error(
            400,
            f"{path}: The image was specified using the {declared} media type, but the image appears to be a "
            f"{actual} image",
        )
