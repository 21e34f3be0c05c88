"""Tool names as a provider's API takes them: others get a short form, and in calls their own again."""

import hashlib
import re
from collections.abc import Mapping

import msgspec

from routing.language.chat import ChatRequest, Message, StreamEvent, ToolCallDelta

SHORTENED = "names this API does not take are shortened"
_DIGEST = 8  # characters that tell apart names of one beginning
_BEGINNING = 64 - _DIGEST - 1  # every provider takes 64 characters


def short_names(request: ChatRequest, allowed: re.Pattern[str]) -> dict[str, str]:
    """The short form of each tool name of the request that `allowed` does not match."""
    names = {tool.name for tool in request.tools}
    names |= {call.name for message in request.messages for call in message.tool_calls}
    return {name: _short(name) for name in names if name and not allowed.fullmatch(name)}


def with_names(request: ChatRequest, names: Mapping[str, str]) -> ChatRequest:
    """The request with these names replaced, in tools, choice and earlier calls."""
    choice = request.tool_choice
    if choice is not None:
        choice = msgspec.structs.replace(
            choice,
            name=None if choice.name is None else names.get(choice.name, choice.name),
            allowed=tuple(names.get(name, name) for name in choice.allowed),
        )
    return msgspec.structs.replace(
        request,
        tools=tuple(
            msgspec.structs.replace(tool, name=names.get(tool.name, tool.name)) for tool in request.tools
        ),
        tool_choice=choice,
        messages=tuple(_message(message, names) for message in request.messages),
    )


def restored(event: StreamEvent, full: Mapping[str, str]) -> StreamEvent:
    """The event with the name the caller knows. `full`: the name by its short form."""
    if isinstance(event, ToolCallDelta) and event.name is not None and event.name in full:
        return msgspec.structs.replace(event, name=full[event.name])
    return event


def _message(message: Message, names: Mapping[str, str]) -> Message:
    if not message.tool_calls:
        return message
    calls = tuple(
        msgspec.structs.replace(call, name=names.get(call.name, call.name)) for call in message.tool_calls
    )
    return msgspec.structs.replace(message, tool_calls=calls)


def _short(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", name)
    plain = plain if re.match(r"[A-Za-z_]", plain) else f"t_{plain}"
    digest = hashlib.blake2b(name.encode("utf-8", "replace"), digest_size=_DIGEST // 2).hexdigest()
    return f"{plain[:_BEGINNING]}_{digest}"
