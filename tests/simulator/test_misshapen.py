"""A body with a wrong value anywhere is answered or refused in the provider's shape, never a crash."""

import asyncio
import copy
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from routing.simulator.app import create_app
from tests.simulator.conftest import WEATHER

CHAT = {
    "model": "gpt-4o",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "weather"},
                {"type": "image_url", "image_url": {"url": "https://a/b"}},
            ],
        },
        {
            "role": "assistant",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "x"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": WEATHER, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER}},
    "stop": ["a"],
    "stream": True,
    "stream_options": {"include_usage": True},
    "prediction": {"type": "content", "content": "x"},
}
RESPONSES = {
    "model": "gpt-6-luna",
    "instructions": "x",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "weather"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "x"}]},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": WEATHER}],
    "tool_choice": {"type": "function", "name": "f"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": WEATHER}},
    "reasoning": {"effort": "high", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
}
MESSAGES = {
    "model": "claude-haiku-4-5",
    "max_tokens": 3000,
    "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "weather"},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": "aaaa"},
                },
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "x"}]}
            ],
        },
    ],
    "tools": [{"name": "f", "input_schema": WEATHER, "cache_control": {"type": "ephemeral"}}],
    "tool_choice": {"type": "auto"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"format": {"type": "json_schema", "schema": WEATHER}},
}
GEMINI = {
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "weather"}, {"inlineData": {"mimeType": "image/png", "data": "aaaa"}}],
        },
        {
            "role": "model",
            "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ltOg=="}],
        },
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "x"}}}]},
    ],
    "systemInstruction": {"parts": [{"text": "x"}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": WEATHER}]}],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    "generationConfig": {
        "stopSequences": ["x"],
        "responseMimeType": "application/json",
        "responseJsonSchema": WEATHER,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
    },
}
BODIES = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": RESPONSES,
    "/v1/messages": MESSAGES,
    "/v1beta/models/gemini-3.8-flash:generateContent": GEMINI,
}
WRONG: list[Any] = [None, True, -1, 3.5, "", "x", [], [1], [[]], {}, {"a": 1}, {"type": "x", "pattern": "("}]
HEADERS = [
    (b"authorization", b"Bearer key"),
    (b"x-api-key", b"key"),
    (b"x-goog-api-key", b"key"),
    (b"anthropic-version", b"2023-06-01"),
]


@pytest.mark.parametrize("path", BODIES)
async def test_a_wrong_value_anywhere_is_an_error_reply(path: str) -> None:
    app = create_app()
    assert await status_of(app, path, BODIES[path]) == 200
    refused = 0
    for place in places(BODIES[path]):
        for value in WRONG:
            status = await status_of(app, path, replaced(BODIES[path], place, value))
            assert status in {200, 400, 404}, (place, value)
            refused += status == 400
    assert refused > 200


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield (*at, key)
        yield from places(part, (*at, key))


def replaced(body: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(body)
    target: Any = changed
    for key in place[:-1]:
        target = target[key]
    target[place[-1]] = value
    return changed


async def status_of(app: Any, path: str, body: dict[str, Any]) -> int:
    """Calls the app as a server would, so that an exception of the app is an exception here."""
    sent: list[Any] = []
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": HEADERS}
    bodies = [{"type": "http.request", "body": msgspec.json.encode(body)}]

    async def receive() -> Any:
        if bodies:
            return bodies.pop()
        await asyncio.Event().wait()  # the client stays

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return int(sent[0]["status"])
