"""Reasoning that goes back to its server unchanged: encrypted items of Responses, plain fields of Chat."""

from typing import Any

from routing.language.chat import Opaque, Part

# Plain reasoning in Chat Completions: of vLLM and DeepSeek; of Ollama and OpenRouter
REASONING_FIELDS = ("reasoning_content", "reasoning")
PROVIDER = "openai"  # the provider whose own API the Responses API is


def is_reasoning_item(part: Part, provider: str) -> bool:
    """Return whether the part is a reasoning item that this provider returned."""
    if not isinstance(part, Opaque) or part.provider != provider:
        return False
    return isinstance(part.data, dict) and part.data.get("type") == "reasoning"


def from_reasoning_item(item: dict[str, Any]) -> Opaque:
    """A reasoning item that a client sent, as its provider returned it."""
    return Opaque(PROVIDER, item)
