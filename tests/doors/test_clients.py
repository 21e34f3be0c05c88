"""The published clients work unmodified with only their base URL changed: chat, streams and typed errors."""

from typing import Any

import openai
import pytest
import routeplex

from billing.models import Request
from tests.conftest import Simulator

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."


@pytest.fixture
def client(server: str, api_key: str) -> routeplex.RoutePlex:
    return routeplex.RoutePlex(api_key, base_url=server)


@pytest.fixture
def openai_client(server: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(api_key=api_key, base_url=f"{server}/v1", max_retries=0)


@pytest.mark.parametrize("strategy", [None, "auto", "balanced", "cost", "quality", "speed"])
def test_routeplex_chats_with_every_strategy(client: routeplex.RoutePlex, strategy: str | None) -> None:
    answer = client.chat(QUESTION, strategy=strategy)
    assert answer.output == ANSWER
    assert answer.routing_mode == "routeplex-ai"
    row = Request.objects.get(pk=answer.id)
    assert (answer.model_used, answer.usage.cost_usd) == (row.served_model, float(row.cost_usd or 0))
    assert row.strategy == (strategy or "auto")


def test_routeplex_pins_a_model_and_tests_with_default_ones(client: routeplex.RoutePlex) -> None:
    pinned = client.chat(QUESTION, model="gpt-4.1-mini", temperature=0.2, max_output_tokens=64)
    assert (pinned.model_used, pinned.routing_mode) == ("gpt-4.1-mini", "manual")
    assert client.chat(QUESTION, test_mode=True).output == ANSWER


@pytest.mark.parametrize("mode", ["buffered", "realtime"])
def test_routeplex_streams_in_both_modes(client: routeplex.RoutePlex, mode: str) -> None:
    body = list(client.chat_stream(QUESTION, stream_mode=mode))
    assert [body[0].type, body[-1].type] == ["start", "done"]
    assert "".join(event.content or "" for event in body if event.type == "delta") == ANSWER
    assert body[-1].usage["cost_usd"] > 0


def test_routeplex_raises_its_typed_errors(
    server: str, client: routeplex.RoutePlex, simulator: Simulator
) -> None:
    with pytest.raises(routeplex.AuthenticationError):
        routeplex.RoutePlex("rp_live_unknown", base_url=server).chat(QUESTION)
    with pytest.raises(routeplex.ValidationError):
        client.chat(QUESTION, temperature=9)
    simulator.fault(kind="status", status=500, count=3)
    with pytest.raises(routeplex.ProviderError):
        client.chat(QUESTION)
    simulator.fault(kind="status", status=400, error_code="content_policy_violation", count=1)
    with pytest.raises(routeplex.ContentPolicyError):
        client.chat(QUESTION)


def _ask(openai_client: openai.OpenAI, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": QUESTION}]
    return openai_client.chat.completions.create(**{"model": "routeplex-ai", "messages": messages} | fields)


def test_openai_creates_a_completion(openai_client: openai.OpenAI) -> None:
    completion = _ask(openai_client)
    assert completion.choices[0].message.content == ANSWER
    assert completion.usage.total_tokens > 0
    assert completion.x_routeplex["cost_usd"] > 0


def test_openai_streams_as_its_published_example_reads(openai_client: openai.OpenAI) -> None:
    text, usage = "", None
    for chunk in _ask(openai_client, stream=True):
        text += chunk.choices[0].delta.content or ""
        usage = chunk.usage
    assert text == ANSWER
    assert usage is not None


def test_openai_shows_the_raw_response(openai_client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    raw = openai_client.chat.completions.with_raw_response.create(model="auto", messages=messages)
    assert raw.headers["x-routeplex-model"] == raw.parse().model
    assert float(raw.headers["x-routeplex-cost-usd"]) > 0


def test_openai_streams_through_its_helper(openai_client: openai.OpenAI) -> None:
    messages: Any = [{"role": "user", "content": QUESTION}]
    with openai_client.chat.completions.stream(model="auto", messages=messages) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER
