"""Catalog models as the adapters see them, and small requests to build from."""

import json
from pathlib import Path
from typing import Any

from routing.catalog.facts import facts_of
from routing.catalog.models import Model
from routing.language.arms import Capability, ModelFacts
from routing.language.chat import ChatRequest, Message, Part, Role, Text, Tool, ToolCall
from routing.providers.adapters import ADAPTERS
from routing.providers.shared.tools.forms import Plain, plain

CATALOG = json.loads((Path(__file__).parents[2] / "routing/catalog/data/catalog.json").read_text())["models"]
DIALECTS = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
WEATHER = Tool(
    "get_weather",
    "Current weather of a city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)


def _facts(row: dict[str, Any]) -> ModelFacts:
    """As the catalog itself reads the row."""
    listed = Model(
        id=row["id"],
        provider=row["provider"],
        name=row["name"],
        status=row["status"],
        tier="default",
        context_window=row["context_window"],
        max_input_tokens=row["max_input_tokens"],
        max_output_tokens=row["max_output_tokens"],
        capabilities=[name for name, has in row["capabilities"].items() if has],
        quirks=row["quirks"],
    )
    return facts_of(listed, DIALECTS[row["provider"]])


MODELS = {row["id"]: _facts(row) for row in CATALOG}

# One a kind: a request built for it shows what its dialect does
CHAT = MODELS["gpt-4o"]
REASONING_CHAT = MODELS["gpt-5"]
RESPONSES = MODELS["gpt-6.2-sol"]
CLAUDE = MODELS["claude-opus-5"]
OLD_CLAUDE = MODELS["claude-sonnet-4-5"]
UNFORCED_CLAUDE = MODELS["claude-opus-5-5"]
GEMINI = MODELS["gemini-3.5-flash"]
OLD_GEMINI = MODELS["gemini-2.5-flash"]
LOCAL = ModelFacts(
    id="llama",
    provider="local",
    dialect="openai_chat",
    upstream_id="llama3:8b",
    name="Llama",
    status="current",
    tier="default",
    context_window=8192,
    max_input_tokens=8192,
    max_output_tokens=2048,
    capabilities=frozenset({Capability.N}),
)


def user(*parts: Part | str) -> Message:
    return Message(Role.USER, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def system(text: str) -> Message:
    return Message(Role.SYSTEM, (Text(text),))


def assistant(text: str = "", *calls: ToolCall) -> Message:
    return Message(Role.ASSISTANT, (Text(text),) if text else (), calls)


def call(identity: str, name: str = "get_weather", arguments: str = '{"city":"Oslo"}') -> ToolCall:
    return ToolCall(identity, name, arguments)


def result(identity: str, text: str = "4 °C", *, is_error: bool = False) -> Message:
    return Message(Role.TOOL, (Text(text),), tool_call_id=identity, is_error=is_error)


def asking(*messages: Message, **fields: Any) -> ChatRequest:
    return ChatRequest(messages or (user("What is the capital of France?"),), **fields)


def in_plain_forms(request: ChatRequest, model: ModelFacts) -> Plain:
    """The request with the tool forms that the model's API takes."""
    return plain(request, model, native=ADAPTERS[model.dialect].has_custom_tools)
