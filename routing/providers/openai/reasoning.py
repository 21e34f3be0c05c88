"""Encrypted reasoning items of the Responses API, which go back to it unchanged."""

from typing import Any

from routing.language.chat import Opaque, Part

PROVIDER = "openai"  # the provider whose own API the Responses API is


def is_reasoning_item(part: Part, provider: str) -> bool:
    """Return whether the part is a reasoning item that this provider returned."""
    if not isinstance(part, Opaque) or part.provider != provider:
        return False
    return isinstance(part.data, dict) and part.data.get("type") == "reasoning"


def from_reasoning_item(item: dict[str, Any]) -> Opaque:
    """A reasoning item that a client sent, as its provider returned it."""
    return Opaque(PROVIDER, item)
