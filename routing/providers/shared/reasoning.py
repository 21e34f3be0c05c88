"""Reasoning that providers want back: what a request has of it, and the request without it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from routing.language.chat import ChatRequest, Message, Opaque
from routing.providers.shared.failures import FailureKind, UpstreamFailure

# Those whose own dialects these are
_MESSAGES_PROVIDER, _RESPONSES_PROVIDER = "anthropic", "openai"
# Of the 400s for reasoning that was altered, is bound to another prefix, or belongs to another model
_WORDS = ("signature", "thinking", "thought", "reasoning", "encrypted")


def replays(request: ChatRequest) -> Iterator[Opaque]:
    for message in request.messages:
        yield from (part for part in message.parts if isinstance(part, Opaque))
        yield from (call.signature for call in message.tool_calls if call.signature is not None)


def are_refused(failure: UpstreamFailure, request: ChatRequest, provider: str) -> bool:
    """Whether the provider would not have its own reasoning back; nothing was answered or charged then."""
    if failure.kind is not FailureKind.BAD_REQUEST or failure.status != 400:
        return False
    said = failure.message.lower()
    return any(word in said for word in _WORDS) and any(
        made.provider == provider for made in replays(request)
    )


def without_replays(request: ChatRequest) -> ChatRequest:
    return msgspec.structs.replace(request, messages=tuple(map(bare, request.messages)))


def bare(message: Message) -> Message:
    """The message without what a provider wants back."""
    if not message.tool_calls and not any(isinstance(part, Opaque) for part in message.parts):
        return message
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    calls = tuple(msgspec.structs.replace(call, signature=None) for call in message.tool_calls)
    return msgspec.structs.replace(message, parts=parts, tool_calls=calls)


def thinking_block(made: Opaque) -> dict[str, Any] | None:
    """The block of the Messages API that this is, if it is one: signed or redacted thinking."""
    if made.provider != _MESSAGES_PROVIDER or not isinstance(made.data, dict):
        return None
    return made.data if made.data.get("type") in ("thinking", "redacted_thinking") else None


def of_thinking_block(block: dict[str, Any]) -> Opaque:
    """Such a block, as the Messages API's own provider gave it."""
    return Opaque(_MESSAGES_PROVIDER, block)


def of_reasoning_item(item: dict[str, Any]) -> Opaque:
    """An encrypted reasoning item, as the Responses API's own provider gave it."""
    return Opaque(_RESPONSES_PROVIDER, item)
