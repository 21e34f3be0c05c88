"""Every answer of the OpenAI-shaped doors matches OpenAI's published schema, whichever provider answered."""

import json
from typing import Any

import httpx
import pytest

from tests.conformance import chat
from tests.conformance.matrix import COLUMNS, Urls
from tests.conformance.published import faults
from tests.conftest import Simulator

MODELS = [model for model, _ in COLUMNS.values()]
# Those whose answers differ in form; each is request of every provider, and may be refused.
FORMS = [
    "text", "tools", "parallel tools", "tool results", "json_schema", "reasoning effort", "logprobs", "n",
    "output limit reached", "a custom tool", "functions, the older form", "refusal", "json_object",
]  # fmt: skip
# The published schema of chunks lacks custom tool calls, which the one of whole answers has.
UNPUBLISHED = "'custom' is not one of ['function']"
# OpenAI's own API answers null here, which clients in typed languages need and the published schema lacks.
NULL_FINGERPRINT = "$.system_fingerprint: None is not of type 'string'"
NAMED = {feature.name: feature.fields for feature in chat.features(Urls())}


def frames(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", FORMS)
def test_completions_and_their_chunks(http: httpx.Client, model: str, name: str) -> None:
    fields = {"model": model, **NAMED[name]}
    whole = http.post("/v1/chat/completions", json=fields)
    if whole.status_code != 200:
        assert faults("ErrorResponse", whole.json()) == []
        return
    assert set(faults("CreateChatCompletionResponse", whole.json())) <= {NULL_FINGERPRINT}
    for options in ({}, {"stream_options": {"include_usage": True}}):
        streamed = frames(http.post("/v1/chat/completions", json=fields | {"stream": True} | options))
        assert len(streamed) >= 2
        for chunk in streamed:
            mismatches = faults("CreateChatCompletionStreamResponse", chunk)
            known = (UNPUBLISHED, NULL_FINGERPRINT)
            assert [fault for fault in mismatches if not any(each in fault for each in known)] == [], chunk


RESPONSES: dict[str, dict[str, Any]] = {
    "text": {"input": "What is the capital of France?"},
    "tools": {
        "input": "What is the weather in Paris? Use the get weather tool.",
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "parameters": {
                    "type": "object",
                    "properties": {"city": {"type": "string"}},
                    "required": ["city"],
                    "additionalProperties": False,
                },
                "strict": True,
            }
        ],
    },
    "a form": {
        "input": "Describe Paris as a city.",
        "text": {
            "format": {
                "type": "json_schema",
                "name": "city",
                "schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
                "strict": True,
            }
        },
    },
    "reasoning": {"input": "Prove that 17 is prime.", "reasoning": {"effort": "low", "summary": "auto"}},
    "output limit reached": {
        "input": "Explain in detail how a compiler works.",
        "max_output_tokens": 20,
    },
}


@pytest.mark.parametrize("model", [*MODELS, "claude-opus-5", "gpt-6.2-sol"])
@pytest.mark.parametrize("name", RESPONSES)
def test_responses_and_their_events(http: httpx.Client, model: str, name: str) -> None:
    fields = {"model": model, **RESPONSES[name]}
    whole = http.post("/v1/responses", json=fields)
    assert whole.status_code == 200, whole.text
    assert faults("Response", whole.json()) == []
    for event in frames(http.post("/v1/responses", json=fields | {"stream": True})):
        assert faults("ResponseStreamEvent", event) == [], event


@pytest.mark.parametrize("door", ["chat/completions", "responses"])
def test_errors(http: httpx.Client, simulator: Simulator, door: str) -> None:
    request: dict[str, Any] = (
        {"messages": chat.user_turn("Hi")} if door == "chat/completions" else {"input": "Hi"}
    )
    for wrong in ({"model": "no-such-model"}, {"model": "auto", "temperature": 9}):
        refused = http.post(f"/v1/{door}", json=request | wrong)
        assert refused.status_code == 400
        assert faults("ErrorResponse", refused.json()) == []
    simulator.fault(kind="status", status=500, count=4)
    failed = http.post(f"/v1/{door}", json=request | {"model": "gpt-4.1"})
    assert failed.status_code >= 500
    assert faults("ErrorResponse", failed.json()) == []


def test_models(http: httpx.Client) -> None:
    listed = http.get("/v1/models").json()
    assert faults("ListModelsResponse", listed) == []
    assert faults("Model", http.get("/v1/models/gpt-4.1").json()) == []


def test_the_schema_check_finds_faults() -> None:
    assert faults("CreateChatCompletionResponse", {"object": "chat.completion"})
    assert faults("ErrorResponse", {"error": {"message": "no code"}})
