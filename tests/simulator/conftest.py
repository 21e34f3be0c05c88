"""A running simulator and the vocabulary of its tests."""

import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest
import uvicorn
from google import genai
from google.genai import types

from routing.simulator.app import create_app


class Running:
    """The simulator on a port of its own, with its control endpoints as methods."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx.Client(base_url=url, timeout=20)

    def fault(self, kind: str, **order: Any) -> None:
        answer = self.http.post("/_control/faults", json={"kind": kind, **order})
        assert answer.status_code == 201, answer.text

    def calls(self, **filters: str) -> list[dict[str, Any]]:
        return self.http.get("/_control/calls", params=filters).json()["calls"]

    def last_call(self) -> dict[str, Any]:
        """The latest call, once it is over."""
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            calls = self.calls()
            if calls and calls[-1]["finished"]:
                return calls[-1]
            time.sleep(0.01)
        raise AssertionError("the call did not end")

    def clear(self) -> None:
        self.http.delete("/_control/faults")
        self.http.delete("/_control/calls")

    def chat(self, model: str = "gpt-4o", prompt: str = "Hello", **fields: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], **fields}
        return self.http.post("/v1/chat/completions", json=body, headers={"authorization": "Bearer key"})

    def responses(self, model: str, input_items: Any = "Hello", **fields: Any) -> httpx.Response:
        body = {"model": model, "input": input_items, **fields}
        return self.http.post("/v1/responses", json=body, headers={"authorization": "Bearer key"})

    def messages(
        self, model: str, prompt: Any = "Hello", *, version: str = "2023-06-01", **fields: Any
    ) -> httpx.Response:
        messages = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
        body = {"model": model, "max_tokens": 1000, "messages": messages, **fields}
        headers = {"x-api-key": "key", "anthropic-version": version}
        return self.http.post("/v1/messages", json=body, headers=headers)

    def gemini(self, model: str, prompt: Any = "Hello", **fields: Any) -> httpx.Response:
        contents = prompt if isinstance(prompt, list) else [{"role": "user", "parts": [{"text": prompt}]}]
        body = {"contents": contents, **fields}
        path = f"/v1beta/models/{model}:generateContent"
        return self.http.post(path, json=body, headers={"x-goog-api-key": "key"})


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(), log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Running(f"http://127.0.0.1:{listening.getsockname()[1]}")
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def simulator(running: Running) -> Iterator[Running]:
    running.clear()
    yield running
    running.clear()


@pytest.fixture
def openai_client(simulator: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{simulator.url}/v1", api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(simulator: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=simulator.url, api_key="key", max_retries=0) as client:
        yield client


@pytest.fixture(params=["v1beta", "v1"])
def gemini_client(simulator: Running, request: pytest.FixtureRequest) -> genai.Client:
    options = types.HttpOptions(base_url=simulator.url, api_version=request.param)
    return genai.Client(api_key="key", vertexai=False, http_options=options)


WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
