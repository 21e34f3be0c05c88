"""Reasoning that a request carries back to the provider that returned it, and the request without it."""

from collections.abc import Iterator

import msgspec

from routing.language.chat import ChatRequest, Message, Opaque
from routing.providers.shared.failures import FailureKind, UpstreamFailure

# Words in the 400s for reasoning that was altered, is bound to another prefix, or belongs to another model
_WORDS = ("signature", "thinking", "thought", "reasoning", "encrypted")


def carried_reasoning(request: ChatRequest) -> Iterator[Opaque]:
    """Yield every reasoning block and call signature of the request, of any provider."""
    for message in request.messages:
        yield from (part for part in message.parts if isinstance(part, Opaque))
        yield from (call.signature for call in message.tool_calls if call.signature is not None)


def reasoning_refused(failure: UpstreamFailure, request: ChatRequest, provider: str) -> bool:
    """Return whether the provider refused its own reasoning. Such a call answers and costs nothing."""
    if failure.kind is not FailureKind.BAD_REQUEST or failure.status != 400:
        return False
    message = failure.message.lower()
    return any(word in message for word in _WORDS) and any(
        carried.provider == provider for carried in carried_reasoning(request)
    )


def without_reasoning(request: ChatRequest) -> ChatRequest:
    return msgspec.structs.replace(request, messages=tuple(map(message_without_reasoning, request.messages)))


def message_without_reasoning(message: Message) -> Message:
    """The message without reasoning blocks and without the signatures of its calls."""
    if not message.tool_calls and not any(isinstance(part, Opaque) for part in message.parts):
        return message
    parts = tuple(part for part in message.parts if not isinstance(part, Opaque))
    calls = tuple(msgspec.structs.replace(call, signature=None) for call in message.tool_calls)
    return msgspec.structs.replace(message, parts=parts, tool_calls=calls)
