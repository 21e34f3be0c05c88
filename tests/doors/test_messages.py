"""The Messages door, through Anthropic's official client, unmodified, over every provider's wire."""

import json
from typing import Any

import anthropic
import httpx
import pytest
from pydantic import BaseModel

from accounts.caller import Limits
from accounts.keys import create_key
from billing.models import Attempt, Request
from tests.conftest import Simulator

QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]
ANSWER = "The capital of France is Paris."
WIRES = ["gpt-4.1-mini", "gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash"]
THINKERS = ["claude-opus-5", "claude-opus-5-5", "gemini-3.5-flash", "gpt-6.2-sol"]
WEATHER: Any = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
ASK_WEATHER: Any = {"role": "user", "content": "What is the weather in Paris and London?"}


@pytest.fixture
def client(server: str, api_key: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=server, api_key=api_key, max_retries=0)


def asking(model: str = "auto", **fields: Any) -> dict[str, Any]:
    return {"model": model, "max_tokens": 2048, "messages": QUESTION} | fields


@pytest.mark.parametrize("model", ["auto", "routeplex/auto", "routeplex-ai:cost", *WIRES])
def test_a_message(client: anthropic.Anthropic, model: str) -> None:
    message = client.messages.create(**asking(model))
    assert [block.type for block in message.content] == ["text"]
    assert message.content[0].text == ANSWER  # type: ignore[union-attr]
    assert (message.type, message.role, message.stop_reason) == ("message", "assistant", "end_turn")
    assert message.id.startswith("msg_")
    row = Request.objects.get(pk="req_" + message.id.removeprefix("msg_"))
    assert (row.door, row.status, row.served_model) == ("messages", "succeeded", message.model)
    assert message.usage.output_tokens == row.output_tokens
    assert message._request_id == row.id
    if model in WIRES:
        assert message.model == model


def test_a_bearer_token_works_like_an_x_api_key(server: str, api_key: str) -> None:
    client = anthropic.Anthropic(base_url=server, auth_token=api_key, api_key=None, max_retries=0)
    assert client.messages.create(**asking()).content


@pytest.mark.parametrize("model", WIRES)
def test_a_raw_stream_has_the_events_in_order(client: anthropic.Anthropic, model: str) -> None:
    events = list(client.messages.create(stream=True, **asking(model)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]  # the client swallows pings
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert events[0].message.usage.input_tokens > 0  # type: ignore[union-attr]
    assert events[-2].usage.output_tokens > 0  # type: ignore[union-attr]


def test_a_stream_names_its_events_and_pings(http: httpx.Client) -> None:
    response = http.post("/v1/messages", json=asking(stream=True))
    assert response.headers["content-type"] == "text/event-stream"
    assert response.content.isascii()
    frames = [frame.split("\n") for frame in response.text.removesuffix("\n\n").split("\n\n")]
    for name, data in frames:
        assert name.removeprefix("event: ") == json.loads(data.removeprefix("data: "))["type"]
    assert frames[1][0] == "event: ping"
    assert response.headers["x-routeplex-model"]
    assert response.headers["request-id"] == response.headers["x-request-id"]


@pytest.mark.parametrize("model", ["auto", *WIRES])
def test_the_stream_helper(client: anthropic.Anthropic, model: str) -> None:
    with client.messages.stream(**asking(model)) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == ANSWER
    assert final.stop_reason == "end_turn"
    row = Request.objects.get(pk="req_" + final.id.removeprefix("msg_"))
    assert final.usage.output_tokens == row.output_tokens


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_two_calls_at_once(client: anthropic.Anthropic, model: str, streamed: bool) -> None:
    fields = asking(model, messages=[ASK_WEATHER], tools=[WEATHER])
    if streamed:
        with client.messages.stream(**fields) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(**fields)
    assert first.stop_reason == "tool_use"
    calls = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "Paris"}, {"city": "London"}]
    results = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "4 °C"},
        {
            "type": "tool_result",
            "tool_use_id": calls[1].id,
            "content": [{"type": "text", "text": "No such place."}],
            "is_error": True,
        },
    ]
    turn = {"role": "assistant", "content": first.content}
    last = {"role": "user", "content": [*results, {"type": "text", "text": "Be brief."}]}
    after = client.messages.create(**asking(model, messages=[ASK_WEATHER, turn, last], tools=[WEATHER]))
    assert after.stop_reason == "end_turn"
    assert after.content[0].type == "text"


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ({"type": "auto"}, True),
        ({"type": "any"}, True),
        ({"type": "tool", "name": "get_weather"}, True),
        ({"type": "auto", "disable_parallel_tool_use": True}, True),
        ({"type": "none"}, False),
    ],
)
def test_every_choice_of_tools(client: anthropic.Anthropic, model: str, choice: Any, called: bool) -> None:
    fields = asking(model, messages=[ASK_WEATHER], tools=[WEATHER], tool_choice=choice)
    first = client.messages.create(**fields)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert bool(calls) is called
    if "disable_parallel_tool_use" in choice:
        assert len(calls) == 1


@pytest.mark.parametrize("model", THINKERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_comes_back_unchanged_to_its_provider(
    client: anthropic.Anthropic, model: str, streamed: bool
) -> None:
    fields = asking(model, messages=[ASK_WEATHER], tools=[WEATHER], thinking={"type": "adaptive"})
    if streamed:
        with client.messages.stream(**fields) as stream:
            first = stream.get_final_message()
    else:
        first = client.messages.create(**fields)
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "4 °C"}
        for block in first.content
        if block.type == "tool_use"
    ]
    messages = [
        ASK_WEATHER,
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": results},
    ]
    after = client.messages.create(**fields | {"messages": messages})
    receipts = {entry["parameter"]: entry for entry in after.x_routeplex["fidelity"]["parameters"]}  # type: ignore[attr-defined]
    assert receipts["reasoning"]["verdict"] == "honoured"
    thoughts = [block for block in first.content if block.type == "thinking"]
    if model != "gemini-3.5-flash":  # whose calls carry it
        assert thoughts
        assert all(block.signature for block in thoughts)
        assert first.content[0].type == "thinking"


def test_streamed_and_whole_thinking_are_the_same(client: anthropic.Anthropic) -> None:
    fields = asking("claude-opus-5", thinking={"type": "adaptive"})
    with client.messages.stream(**fields) as stream:
        streamed = stream.get_final_message()
    whole = client.messages.create(**fields)
    assert [block.model_dump(exclude={"parsed_output"}) for block in streamed.content] == [
        block.model_dump() for block in whole.content
    ]


def test_thinking_is_shown_only_on_request(client: anthropic.Anthropic) -> None:
    for model in THINKERS:
        assert [block.type for block in client.messages.create(**asking(model)).content] == ["text"]


def test_a_budget_to_think_becomes_an_effort(http: httpx.Client, simulator: Simulator) -> None:
    thinking = {"type": "enabled", "budget_tokens": 4000}
    response = http.post("/v1/messages", json=asking("gpt-6.2-sol", max_tokens=8000, thinking=thinking))
    assert response.status_code == 200, response.text
    sent = simulator.calls()[-1]["body"]
    assert (sent.get("reasoning_effort") or sent["reasoning"]["effort"]) == "low"


@pytest.mark.parametrize("model", WIRES)
def test_a_schema_for_the_answer(client: anthropic.Anthropic, model: str) -> None:
    class Capital(BaseModel):
        city: str

    parsed = client.messages.parse(output_format=Capital, **asking(model))
    assert isinstance(parsed.parsed_output, Capital)


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
TEXT = {"type": "text", "media_type": "text/plain", "data": "Hi"}
PDF = "JVBERi0xLjQKJSVFT0YK"


@pytest.mark.parametrize("model", ["gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash"])
@pytest.mark.parametrize(
    "block",
    [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF}},
        {
            "type": "document",
            "title": "Note",
            "source": {"type": "text", "media_type": "text/plain", "data": "Hi"},
        },
        {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "Hi"}]}},
    ],
)
def test_pictures_and_documents(client: anthropic.Anthropic, model: str, block: Any) -> None:
    content = [block, {"type": "text", "text": "What is this?"}]
    message = client.messages.create(**asking(model, messages=[{"role": "user", "content": content}]))
    assert message.content[0].type == "text"


def test_system_stops_sampling_and_user_reach_the_provider(http: httpx.Client, simulator: Simulator) -> None:
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    fields = asking(
        "claude-haiku-4-5",
        system=system,
        stop_sequences=["END"],
        temperature=0.3,
        top_k=5,
        metadata={"user_id": "u-7"},
    )
    assert http.post("/v1/messages", json=fields).status_code == 200
    sent = simulator.calls()[-1]["body"]
    assert sent["system"] == [system[0] | {"cache_control": {"type": "ephemeral", "ttl": "5m"}}]
    assert (sent["stop_sequences"], sent["temperature"], sent["top_k"]) == (["END"], 0.3, 5)
    assert (sent["metadata"], sent["max_tokens"]) == ({"user_id": "u-7"}, 2048)


@pytest.mark.parametrize("model", ["auto", *WIRES])
def test_tokens_are_counted(client: anthropic.Anthropic, account: Any, model: str) -> None:
    few = client.messages.count_tokens(model=model, messages=QUESTION)
    many = client.messages.count_tokens(
        model=model, messages=QUESTION, tools=[WEATHER], system="Be brief. " * 50
    )
    assert 0 < few.input_tokens < many.input_tokens
    assert not Request.objects.filter(account_id=account.pk).exists()


def test_typed_errors(server: str, client: anthropic.Anthropic, simulator: Simulator, account: Any) -> None:
    with pytest.raises(anthropic.AuthenticationError) as refused:
        anthropic.Anthropic(base_url=server, api_key="rp_live_unknown").messages.create(**asking())
    assert (refused.value.type, refused.value.error_code) == ("authentication_error", "invalid_api_key")
    with pytest.raises(anthropic.BadRequestError, match="no model"):
        client.messages.create(**asking("claude-opus-77"))
    secret = create_key(account, "limited", limits=Limits(requests_per_minute=1))[1]
    limited = anthropic.Anthropic(base_url=server, api_key=secret, max_retries=0)
    limited.messages.create(**asking())
    with pytest.raises(anthropic.RateLimitError) as limit:
        limited.messages.create(**asking())
    assert limit.value.type == "rate_limit_error"
    assert int(limit.value.response.headers["retry-after"]) > 0
    simulator.fault(kind="status", status=500, count=9)
    with pytest.raises(anthropic.InternalServerError) as failed:
        client.messages.create(**asking())
    assert failed.value.request_id == failed.value.body["request_id"]  # type: ignore[index]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens", "/v1/messages/x"])
def test_every_error_has_the_envelope(http: httpx.Client, path: str) -> None:
    response = http.put(path)
    assert response.status_code in (404, 405)
    body = response.json()
    assert set(body) == {"type", "error", "request_id"}
    assert body["type"] == "error"
    assert body["error"]["type"] in ("not_found_error", "invalid_request_error")
    assert body["request_id"] == response.headers["request-id"]


def test_a_stream_that_breaks_off_ends_with_an_error(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=2, count=9)
    response = http.post("/v1/messages", json=asking(stream=True), headers={"X-RoutePlex-Rescue": "false"})
    name, data = response.text.removesuffix("\n\n").split("\n\n")[-1].split("\n")
    assert name == "event: error"
    event = json.loads(data.removeprefix("data: "))
    assert (event["type"], event["error"]["type"]) == ("error", "api_error")


def test_a_cut_stream_is_rescued(client: anthropic.Anthropic, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=2, count=1)
    with client.messages.stream(**asking()) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert [block.type for block in final.content] == ["text"]
    row = "req_" + final.id.removeprefix("msg_")
    assert [attempt.outcome for attempt in Attempt.objects.filter(request_id=row).order_by("number")] == [
        "partial",
        "ok",
    ]


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_key_is_answered_once(http: httpx.Client, account: Any, stream: bool) -> None:
    headers = {"Idempotency-Key": f"messages-{stream}"}
    first, second = (http.post("/v1/messages", json=asking(stream=stream), headers=headers) for _ in range(2))
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert second.headers["request-id"] == first.headers["request-id"]
    assert Request.objects.filter(account_id=account.pk).count() == 1


BLOCK = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"model": 7}, "model"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"system": 7}, "system"),
        ({"system": [{"type": "image"}]}, "system[0].type"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_p": 2}, "top_p"),
        ({"top_k": 0}, "top_k"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"stream": 1}, "stream"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"metadata": {"team": "x"}}, "metadata.team"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"container": "x"}, "container"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name"),
        ({"tools": [{"name": "a"}]}, "tools[0].input_schema"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tool_choice": {"type": "required"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "any"}}, "tool_choice"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "tool_choice.name"),
        ({"thinking": {"type": "yes"}}, "thinking.type"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, "thinking.budget_tokens"),
        ({"thinking": {"type": "adaptive", "display": "all"}}, "thinking.display"),
        ({"output_config": {"effort": "most"}}, "output_config.effort"),
        ({"output_config": {"effort": []}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, fields: Any, named: str) -> None:
    body = {name: value for name, value in asking(**fields).items() if value is not None}
    _refused(http.post("/v1/messages", json=body), named)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        (7, BLOCK),
        ({}, f"{BLOCK}.type"),
        ({"type": "server_tool_use"}, f"{BLOCK}.type"),
        ({"type": "search_result", "title": "T", "source": "S"}, f"{BLOCK}.content"),
        ({"type": "search_result", "title": "T", "content": []}, f"{BLOCK}.source"),
        (
            {
                "type": "search_result",
                "title": "T",
                "source": "S",
                "content": [],
                "citations": {"enabled": True},
            },
            f"{BLOCK}.citations",
        ),
        ({"type": "thinking", "thinking": "x", "signature": "y"}, f"{BLOCK}.type"),
        ({"type": "text"}, f"{BLOCK}.text"),
        ({"type": "text", "text": "x", "cache_control": {"type": "x"}}, f"{BLOCK}.cache_control.type"),
        ({"type": "image"}, f"{BLOCK}.source"),
        ({"type": "image", "source": {"type": "file", "file_id": "x"}}, f"{BLOCK}.source.type"),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/bmp", "data": PIXEL}},
            f"{BLOCK}.source.media_type",
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "?"}},
            f"{BLOCK}.source.data",
        ),
        ({"type": "image", "source": {"type": "url", "url": "ftp://x"}}, f"{BLOCK}.source.url"),
        ({"type": "document", "source": {"type": "x"}}, f"{BLOCK}.source.type"),
        (
            {"type": "document", "source": {"type": "text", "data": "x"}, "citations": {"enabled": True}},
            f"{BLOCK}.citations",
        ),
        ({"type": "tool_result"}, f"{BLOCK}.tool_use_id"),
        ({"type": "tool_result", "tool_use_id": "x", "is_error": "no"}, f"{BLOCK}.is_error"),
        ({"type": "tool_result", "tool_use_id": "x", "content": [{"type": "x"}]}, f"{BLOCK}.content[0].type"),
    ],
)
def test_a_wrong_block_of_a_user_is_named(http: httpx.Client, block: Any, named: str) -> None:
    _refused(http.post("/v1/messages", json=asking(messages=[{"role": "user", "content": [block]}])), named)


@pytest.mark.parametrize(
    ("block", "named"),
    [
        ({"type": "tool_use", "name": "x", "input": {}}, "id"),
        ({"type": "tool_use", "id": "x", "name": "x", "input": "{}"}, "input"),
        ({"type": "thinking", "thinking": "x"}, "signature"),
        ({"type": "thinking", "thinking": "x", "signature": "rp1.?"}, "signature"),
        ({"type": "thinking", "thinking": "x", "signature": "rp1.é"}, "signature"),
        ({"type": "redacted_thinking"}, "data"),
    ],
)
def test_a_wrong_block_of_an_assistant_is_named(http: httpx.Client, block: Any, named: str) -> None:
    messages = [*QUESTION, {"role": "assistant", "content": [block]}, *QUESTION]
    _refused(http.post("/v1/messages", json=asking(messages=messages)), f"messages[1].content[0].{named}")


def _refused(response: httpx.Response, named: str) -> None:
    assert response.status_code == 400, response.text
    body = response.json()
    assert (body["type"], body["error"]["type"]) == ("error", "invalid_request_error")
    assert body["error"]["details"]["param"] == named
    assert named in body["error"]["message"] or body["error"]["details"]["error_code"] == "empty_messages"


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gpt-6.2-sol"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_stop_sequence_that_ended_it_is_named(
    client: anthropic.Anthropic, model: str, streamed: bool
) -> None:
    """Claude says it itself; for a model that takes none the answer is cut here."""
    fields = asking(model, stop_sequences=["never", " Paris"])
    if streamed:
        with client.messages.stream(**fields) as stream:
            message: Any = stream.get_final_message()
    else:
        message = client.messages.create(**fields)
    assert message.content[0].text == "The capital of France is"
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", " Paris")
