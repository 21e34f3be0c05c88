"""The published `openai` Python client, unmodified, with only base URL and key set."""

import json
from collections.abc import Callable

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionMessageParam

from accounts.caller import Limits
from tests.conftest import Simulator

ANSWER = "The capital of France is Paris."
QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture
def client(server: str, api_key: str) -> OpenAI:
    return OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


def test_create(client: OpenAI) -> None:
    completion = client.chat.completions.create(model="routeplex-ai", messages=QUESTION)
    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.usage is not None
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )
    ChatCompletion.model_validate(completion.model_dump())
    extra = completion.model_extra or {}
    assert extra["x_routeplex"]["cost_usd"] > 0


async def test_create_async(server: str, api_key: str) -> None:
    async with AsyncOpenAI(base_url=f"{server}/v1", api_key=api_key) as client:
        completion = await client.chat.completions.create(model="auto", messages=QUESTION)
        assert completion.choices[0].message.content == ANSWER


@pytest.mark.parametrize("strategy", ["auto", "balanced", "cost", "quality", "speed"])
def test_a_strategy_by_model_name_and_by_header(client: OpenAI, strategy: str) -> None:
    by_name = client.chat.completions.create(model=f"routeplex-ai:{strategy}", messages=QUESTION)
    by_header = client.chat.completions.create(
        model="routeplex-ai", messages=QUESTION, extra_headers={"X-RoutePlex-Strategy": strategy}
    )
    for completion in (by_name, by_header):
        assert (completion.model_extra or {})["x_routeplex"]["strategy"] == strategy


def test_streaming_as_the_published_example_reads_it(client: OpenAI) -> None:
    text, last = "", None
    for chunk in client.chat.completions.create(model="routeplex-ai", messages=QUESTION, stream=True):
        text += chunk.choices[0].delta.content or ""  # every chunk has a choice
        last = chunk
    assert text == ANSWER
    assert last is not None
    assert last.usage is not None
    assert last.choices[0].finish_reason == "stop"


def test_streaming_with_usage_asked_for_ends_as_openais(client: OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="routeplex-ai", messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_raw_responses_carry_our_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="claude-haiku-4-5", messages=QUESTION)
    assert raw.headers["x-routeplex-model"] == "claude-haiku-4-5"
    assert raw.headers["x-routeplex-provider"] == "anthropic"
    assert float(raw.headers["x-routeplex-cost-usd"]) > 0
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.parse().model == "claude-haiku-4-5"


def test_models(client: OpenAI) -> None:
    models = client.models.list().data
    assert models[0].id == "routeplex-ai"
    assert client.models.retrieve("gpt-6-luna").owned_by == "openai"


@pytest.mark.parametrize("model", ["gpt-4o", "gpt-6-luna", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_a_tool_call_and_its_result(client: OpenAI, model: str) -> None:
    messages: list[ChatCompletionMessageParam] = [
        {"role": "user", "content": "What is the weather in Paris? Use get_weather."}
    ]
    first = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert first.choices[0].finish_reason == "tool_calls"
    call = (first.choices[0].message.tool_calls or [])[0]
    assert "city" in json.loads(call.function.arguments)  # type: ignore[union-attr]
    messages += [
        first.choices[0].message.to_dict(),  # type: ignore[list-item]
        {"role": "tool", "tool_call_id": call.id, "content": "18 degrees and sunny"},
    ]
    second = client.chat.completions.create(model=model, messages=messages, tools=[WEATHER])  # type: ignore[list-item]
    assert "18 degrees" in (second.choices[0].message.content or "")


@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_a_streamed_tool_call(client: OpenAI, model: str) -> None:
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "What is the weather in Paris? Use get_weather."}],
        tools=[WEATHER],  # type: ignore[list-item]
        stream=True,
    )
    deltas = [delta for chunk in stream for delta in chunk.choices[0].delta.tool_calls or []]
    assert deltas[0].id
    arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    assert "city" in json.loads(arguments)


@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_structured_output(client: OpenAI, model: str) -> None:
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "population": {"type": "integer"}},
        "required": ["city", "population"],
        "additionalProperties": False,
    }
    completion = client.chat.completions.create(
        model=model,
        messages=QUESTION,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    assert set(json.loads(completion.choices[0].message.content or "")) == {"city", "population"}


def test_typed_errors_of_the_caller(client: OpenAI, server: str, key_with: Callable[..., str]) -> None:
    with pytest.raises(openai.AuthenticationError):
        OpenAI(base_url=f"{server}/v1", api_key="rp_live_wrong").chat.completions.create(
            model="routeplex-ai", messages=QUESTION
        )
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model="nobody-knows", messages=QUESTION)
    assert refused.value.param == "model"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(
            model="routeplex-ai", messages=QUESTION, extra_headers={"X-RoutePlex-Strategy": "best"}
        )
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nobody-knows")
    with pytest.raises(openai.PermissionDeniedError):
        OpenAI(
            base_url=f"{server}/v1", api_key=key_with(allowed_models=["gpt-6-luna"])
        ).chat.completions.create(model="gpt-4o", messages=QUESTION)


def test_typed_errors_of_limits_and_providers(
    client: OpenAI, server: str, simulator: Simulator, key_with: Callable[..., str]
) -> None:
    limited = OpenAI(
        base_url=f"{server}/v1", api_key=key_with(limits=Limits(requests_per_minute=1)), max_retries=0
    )
    limited.chat.completions.create(model="routeplex-ai", messages=QUESTION)
    with pytest.raises(openai.RateLimitError) as refused:
        limited.chat.completions.create(model="routeplex-ai", messages=QUESTION)
    assert int(refused.value.response.headers["retry-after"]) >= 1
    simulator.fault(kind="status", status=500, count=3)
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="routeplex-ai", messages=QUESTION)


def test_a_stream_that_breaks_off_raises(client: OpenAI, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=3, count=1)
    simulator.fault(kind="status", status=500, count=2)  # nor can anyone continue it
    stream = client.chat.completions.create(model="routeplex-ai", messages=QUESTION, stream=True)
    with pytest.raises(openai.APIError):
        list(stream)
