"""LiteLLM's SDK: RoutePlex as an `openai` and as an `anthropic` provider."""

import json
from typing import Any

import litellm
import pytest
from conftest import LONG, QUESTION, THANKS, WELCOME
from pydantic import BaseModel


class City(BaseModel):
    """A city and how many people live in it."""

    name: str
    people: int


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city, now.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(params=["openai", "anthropic"])
def target(request: pytest.FixtureRequest, model: str, address: str, key: str) -> dict[str, Any]:
    """Return model, address and key as LiteLLM takes them."""
    base = address if request.param == "openai" else address.removesuffix("/v1")
    return {"model": f"{request.param}/{model}", "api_base": base, "api_key": key}


def test_a_tool_is_called_and_its_result_used(target: dict[str, Any]) -> None:
    messages: list[Any] = [{"role": "user", "content": QUESTION}]
    first = litellm.completion(**target, messages=messages, tools=[WEATHER]).choices[0].message
    (call,) = first.tool_calls
    result = f"It is 21 degrees in {json.loads(call.function.arguments)['city']}."
    messages += [first, {"role": "tool", "tool_call_id": call.id, "content": result}]
    answer = litellm.completion(**target, messages=messages, tools=[WEATHER])
    assert "21 degrees" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 0
    messages += [answer.choices[0].message, {"role": "user", "content": THANKS}]
    second = litellm.completion(**target, messages=messages, tools=[WEATHER])
    assert second.choices[0].message.content == WELCOME


def test_a_structured_answer(target: dict[str, Any]) -> None:
    """On Anthropic's API, LiteLLM sends the schema as `output_format` or as a tool, by the model's name."""
    messages = [{"role": "user", "content": "Describe Paris as a city."}]
    answer = litellm.completion(**target, messages=messages, response_format=City)
    assert City.model_validate_json(answer.choices[0].message.content)


async def test_a_stream(target: dict[str, Any]) -> None:
    messages = [{"role": "user", "content": LONG}]
    options = {"include_usage": True}
    stream = await litellm.acompletion(**target, messages=messages, stream=True, stream_options=options)
    chunks = [chunk async for chunk in stream]
    whole = litellm.stream_chunk_builder(chunks, messages=messages)
    assert len(whole.choices[0].message.content) > 100
    assert len(chunks) > 2
    assert whole.usage.completion_tokens > 0
