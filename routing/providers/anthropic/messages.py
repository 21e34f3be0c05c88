"""Anthropic Messages API: a conversation as alternating turns of content blocks."""

import base64
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from routing.language.arms import ModelFacts
from routing.language.chat import (
    Audio,
    CacheMark,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Role,
    Text,
    ToolCall,
)
from routing.providers.anthropic.thinking import is_thinking
from routing.providers.shared import quirks
from routing.providers.shared.conversation import wrapped_system
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.media import inline

PLACEHOLDER = "."  # where the API demands text and the caller gave none
# The API's lifetimes of cache marks; OpenAI's lifetimes become the next longer, or the longest
LIFETIMES: dict[str | None, str] = {"5m": "5m", "1h": "1h", "30m": "1h", "12h": "1h"}
IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})

Block = dict[str, Any]

_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def marked(block: Block, mark: CacheMark | None) -> Block:
    if mark is not None:
        block["cache_control"] = {"type": "ephemeral", "ttl": LIFETIMES.get(mark.ttl, "5m")}
    return block


def turns(messages: tuple[Message, ...], model: ModelFacts) -> list[Block]:
    """Alternating turns: neighbours of one role merged, a run's tool results first in one user message."""
    honours_system = model.quirks.get("mid_conversation_system") == quirks.MID_SYSTEM_HONOURED
    turns: list[Block] = []
    for message in messages:
        if message.role is Role.SYSTEM:
            role = "system" if honours_system and turns else "user"
            text = message.text if role == "system" else wrapped_system(message)
            blocks = [text_block(text)] if message.text.strip() else []
        elif message.role is Role.ASSISTANT:
            role, blocks = "assistant", list(_assistant(message, model.provider))
        elif message.role is Role.TOOL:
            role, blocks = "user", [_tool_result(message)]
        else:
            role, blocks = "user", [block for part in message.parts for block in _user_part(part)]
        if not blocks and role != "user":
            continue  # the turns before and after it are merged
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"].extend(blocks)
        else:
            turns.append({"role": role, "content": blocks})
    return _valid_turns(turns, model)


def _valid_turns(turns: list[Block], model: ModelFacts) -> list[Block]:
    for turn in turns:
        turn["content"] = turn["content"] or [text_block(PLACEHOLDER)]
    if turns and turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": [text_block(PLACEHOLDER)]})
    if turns and turns[-1]["role"] == "assistant":
        last = turns[-1]["content"][-1]
        if last["type"] == "text":
            last["text"] = last["text"].rstrip()
        if not quirks.flag(model, "assistant_prefill", default=False):
            turns.append({"role": "user", "content": [text_block("Continue.")]})
    return turns


def _assistant(message: Message, provider: str) -> Iterator[Block]:
    for part in message.parts:  # thinking stands before the text and calls it led to
        if isinstance(part, Opaque) and is_thinking(part, provider):
            yield part.data
    for part in message.parts:
        if isinstance(part, Text | Refusal) and part.text.strip():
            yield marked(text_block(part.text), part.cache if isinstance(part, Text) else None)
    for call in message.tool_calls:
        yield {"type": "tool_use", "id": _tool_id(call.id), "name": call.name, "input": _arguments(call)}


def _arguments(call: ToolCall) -> dict[str, Any]:
    """The call's arguments as an object, which the API demands; other JSON and invalid JSON go in a field."""
    if not call.arguments.strip():
        return {}
    try:
        value = msgspec.json.decode(call.arguments)
    except ValueError:
        return {"invalid_json": call.arguments}
    return value if isinstance(value, dict) else {"value": value}


def _tool_id(identity: str) -> str:
    """The id if the API's pattern allows it, else a stable hash of it."""
    if _TOOL_ID.fullmatch(identity):
        return identity
    return "call_" + hashlib.sha256(identity.encode("utf-8", "replace")).hexdigest()[:24]


def _tool_result(message: Message) -> Block:
    blocks = [block for part in message.parts for block in _user_part(part)]
    result: Block = {"type": "tool_result", "tool_use_id": _tool_id(message.tool_call_id or "")}
    for block in blocks:  # a mark inside ends the same prefix as one on the result, where marks are counted
        result |= {"cache_control": block.pop("cache_control")} if "cache_control" in block else {}
    if blocks:
        result["content"] = blocks
    if message.is_error:
        result["is_error"] = True
    return result


def _user_part(part: Part) -> Iterator[Block]:
    match part:
        case Text() if part.text.strip():
            yield marked(text_block(part.text), part.cache)
        case Image():
            yield marked({"type": "image", "source": _image(part.url)}, part.cache)
        case File():
            document: Block = {"type": "document", "source": _document(part.url)}
            if part.filename:
                document["title"] = part.filename
            yield marked(document, part.cache)
        case Audio():
            raise UpstreamFailure(FailureKind.BAD_REQUEST, "this model takes no audio")


def _image(url: str) -> Block:
    data = inline(url, "image/png")
    if data is None:
        return {"type": "url", "url": url}
    media_type = "image/jpeg" if data.media_type == "image/jpg" else data.media_type
    if media_type not in IMAGE_TYPES:
        raise UpstreamFailure(FailureKind.BAD_REQUEST, f"this model takes no {media_type} images")
    return {"type": "base64", "media_type": media_type, "data": data.data}


def _document(url: str) -> Block:
    data = inline(url, "application/pdf")
    if data is None:
        return {"type": "url", "url": url}
    if data.media_type.startswith("text/"):
        text = base64.b64decode(data.data).decode("utf-8", "replace")
        return {"type": "text", "media_type": "text/plain", "data": text}
    return {"type": "base64", "media_type": "application/pdf", "data": data.data}


def text_block(text: str) -> Block:
    return {"type": "text", "text": text}
