"""A tool call of a whole answer, as both chat doors show it: it can be sent back as it is."""

from typing import Any

from routing.doors.shared import reasoning_extension as replay
from routing.language.chat import ToolCall


def tool_call(call: ToolCall) -> dict[str, Any]:
    if call.is_custom:
        told: dict[str, Any] = {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        told = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return {"id": call.id, **told, **replay.of_call(call.signature)}
