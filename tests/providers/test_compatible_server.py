"""A compatible server that wants its reasoning back in a tool loop gets it, whatever the client sends."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from django.test import override_settings

from routing.catalog.upstreams import UpstreamModel
from routing.language.arms import Capability

THOUGHT = "The switch must be pressed."
TOOL = {"type": "function", "function": {"name": "lamp", "parameters": {"type": "object", "properties": {}}}}
QUESTION = {"role": "user", "content": "Light the kitchen."}


class Thinker:
    """Refuses a conversation that lacks the reasoning of an earlier call, in closed tool loops too."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length"))
        self.bodies.append(json.loads(await reader.readexactly(int(length.split(":")[1]))))
        status, document = self._answer(self.bodies[-1]["messages"])
        text = json.dumps(document)
        lines = [f"HTTP/1.1 {status}", "content-type: application/json", f"content-length: {len(text)}"]
        writer.write("\r\n".join([*lines, "connection: close", "", text]).encode())
        writer.close()

    def _answer(self, messages: list[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
        call = {"id": "call_1", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}
        message: dict[str, Any] = {"role": "assistant", "content": None, "tool_calls": [call]}
        message["reasoning_content"] = THOUGHT
        earlier = [message for message in messages if message.get("tool_calls")]
        if any(message.get("reasoning_content") != THOUGHT for message in earlier):
            return "400 Bad Request", {"error": {"message": "reasoning_content must be passed back"}}
        if earlier:
            message = {"role": "assistant", "content": "It is lit."}
        return "200 OK", {"id": "c", "model": "thinker", "choices": [{"index": 0, "message": message}]}


@pytest.fixture
def model(live_db: None) -> Iterator[str]:
    from routing.catalog.live import catalog

    row = UpstreamModel("thinker-1", 8000, 1000, capabilities=(Capability.TOOLS,)).row("cave")
    row.save()
    yield row.id
    row.delete()
    catalog.refresh_now()


@pytest_asyncio.fixture
async def http(model: str, api_key: str) -> AsyncIterator[tuple[httpx.AsyncClient, Thinker]]:
    from routeplex_site.asgi import application
    from routing.state import runtime

    thinker = Thinker()
    server = await asyncio.start_server(thinker.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    provider = {"name": "cave", "dialect": "openai_chat", "base_url": url, "api_key": "k"}
    with override_settings(PROVIDERS=[provider]):
        transport = httpx.ASGITransport(application)
        headers = {"Authorization": f"Bearer {api_key}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            yield client, thinker
        await runtime.stop()
    server.close()


def _as_it_came(message: dict[str, Any]) -> dict[str, Any]:
    return message


def _as_openai_knows_it(message: dict[str, Any]) -> dict[str, Any]:
    calls = [{name: call[name] for name in ("id", "type", "function")} for call in message["tool_calls"]]
    return {"role": "assistant", "content": message["content"], "tool_calls": calls}


def _with_plain_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    return _as_openai_knows_it(message) | {"reasoning_content": message["reasoning_content"]}


@pytest.mark.parametrize("sent_back", [_as_it_came, _as_openai_knows_it, _with_plain_reasoning])
async def test_the_second_turn_of_a_tool_loop_has_the_reasoning(
    http: tuple[httpx.AsyncClient, Thinker], model: str, sent_back: Any
) -> None:
    client, thinker = http
    body = {"model": model, "tools": [TOOL], "messages": [QUESTION]}
    first = (await client.post("/v1/chat/completions", json=body)).json()["choices"][0]["message"]
    assert first["reasoning_content"] == THOUGHT
    result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "lit"}
    again = body | {"messages": [QUESTION, sent_back(first), result]}
    second = await client.post("/v1/chat/completions", json=again)
    assert second.status_code == 200, second.text
    assert second.json()["choices"][0]["message"]["content"] == "It is lit."
    spoken = [{"role": "assistant", "content": "It is lit."}, {"role": "user", "content": "Thank you."}]
    later = body | {"messages": [*again["messages"], *spoken]}
    assert (await client.post("/v1/chat/completions", json=later)).status_code == 200
    assert len(thinker.bodies) == 3


async def test_plain_reasoning_is_enough_without_a_store(
    http: tuple[httpx.AsyncClient, Thinker], model: str
) -> None:
    client, _ = http
    call = {"id": "call_of_another_day", "type": "function", "function": {"name": "lamp", "arguments": "{}"}}
    message = {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": THOUGHT}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "lit"}
    body = {"model": model, "tools": [TOOL], "messages": [QUESTION, message, result]}
    assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
