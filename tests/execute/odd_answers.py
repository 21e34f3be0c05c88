"""Answers written by hand, byte for byte, for the simulator's fault "raw"."""

import base64
import json
from typing import Any

from tests.conftest import Simulator

PROVIDERS = {"gpt-4o-mini": "openai", "claude-haiku-4-5": "anthropic", "gemini-2.5-flash": "google"}


def frames(*events: Any) -> bytes:
    """Server-sent events of JSON; bytes go out as the data that they are."""
    data = [event if isinstance(event, bytes) else json.dumps(event).encode() for event in events]
    return b"".join(b"data: %s\n\n" % each for each in data)


def chat(delta: dict[str, Any], finish: str | None = None, index: Any = 0) -> dict[str, Any]:
    """A chunk of Chat Completions."""
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "model": "gpt-4o-mini", "choices": [choice]}


def answer(simulator: Simulator, *pieces: bytes, model: str = "gpt-4o-mini", **fault: Any) -> None:
    """Have the model's next call answered with these bytes."""
    encoded = [base64.b64encode(piece).decode() for piece in pieces]
    simulator.fault(**{"kind": "raw", "model": model, "pieces": encoded, "count": 1} | fault)
