"""Thinking blocks of the Messages API, which go back to it unchanged."""

from typing import Any

from routing.language.chat import Opaque, Part

PROVIDER = "anthropic"  # the provider whose own API the Messages API is
_TYPES = ("thinking", "redacted_thinking")


def is_thinking(part: Part, provider: str) -> bool:
    """Return whether the part is a thinking block that this provider returned."""
    return isinstance(part, Opaque) and part.provider == provider and _is_block(part.data)


def thinking_block(carried: Opaque) -> dict[str, Any] | None:
    """The reasoning as a block of the Messages API; None if it is not one."""
    return carried.data if is_thinking(carried, PROVIDER) else None


def from_thinking_block(block: dict[str, Any]) -> Opaque:
    """A thinking block that a client sent, as its provider returned it."""
    return Opaque(PROVIDER, block)


def _is_block(data: Any) -> bool:
    return isinstance(data, dict) and data.get("type") in _TYPES
