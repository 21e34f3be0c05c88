"""Answers at each door, streamed and whole."""

import json
from decimal import Decimal
from typing import Any

import pytest

from billing.models import Request
from tests.conftest import Simulator
from tests.doors.conftest import MESSAGES, OPENAI_SHAPED, Door, events

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]
MANUAL = "gpt-4.1-mini"


def test_the_native_answer_has_the_contracts_fields(native: Door) -> None:
    body = native.ask().json()
    data = body["data"]
    assert body["success"] is True
    assert list(data) == [
        "id", "output", "model_used", "provider", "routing_mode", "strategy", "fallback_used",
        "finish_reason", "latency_ms", "usage", "tool_calls", "routing",
    ]  # fmt: skip
    assert list(data["usage"]) == [
        "input_tokens", "output_tokens", "total_tokens", "cached_input_tokens", "internal_reasoning_tokens",
        "cost_usd",
    ]  # fmt: skip
    assert set(data["routing"]) == {
        "query_type", "complexity", "reason", "candidates_considered", "attempts", "fidelity",
    }  # fmt: skip
    assert data["routing"]["candidates_considered"] > 1
    assert data["output"] == "The capital of France is Paris."
    assert (data["routing_mode"], data["strategy"], data["finish_reason"]) == ("routeplex-ai", "auto", "stop")
    assert body["meta"]["request_id"] == data["id"]
    assert body["meta"]["timestamp"].endswith("Z")


def test_the_openai_answer_is_a_chat_completion(openai_door: Door) -> None:
    body = openai_door.ask().json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    choice = body["choices"][0]
    assert choice["message"] == {
        "role": "assistant",
        "content": "The capital of France is Paris.",
        "refusal": None,
        "annotations": [],
    }
    assert (choice["index"], choice["logprobs"], choice["finish_reason"]) == (0, None, "stop")
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert set(body["x_routeplex"]) == {
        "request_id", "provider", "strategy", "fallback_used", "cost_usd", "latency_ms", "routing",
        "fidelity",
    }  # fmt: skip


def test_the_headers_say_who_answered_and_for_how_much(door: Door) -> None:
    response = door.ask()
    row = Request.objects.get(pk=response.headers["x-request-id"])
    headers = response.headers
    assert headers["x-routeplex-model"] == row.served_model
    assert headers["x-routeplex-provider"] == row.provider
    assert headers["x-routeplex-strategy"] == "auto"
    assert headers["x-routeplex-fallback-used"] == "false"
    assert Decimal(headers["x-routeplex-cost-usd"]) == row.cost_usd
    assert row.door == door.name


@OPENAI_SHAPED
def test_the_cost_is_the_ledgers_to_the_last_digit(door: Door) -> None:
    response = door.ask()
    body = json.loads(response.text, parse_float=Decimal)
    cost = body["data"]["usage"]["cost_usd"] if door.name == "native" else body["x_routeplex"]["cost_usd"]
    assert cost == Request.objects.get(pk=response.headers["x-request-id"]).cost_usd


def test_headers_report_the_limits(server: str, account: Any) -> None:
    import httpx

    from accounts.caller import Limits
    from accounts.keys import create_key

    key = create_key(account, "limited", limits=Limits(requests_per_minute=1))[1]
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {key}"}, timeout=30) as http:
        first = Door(http, "native").ask()
        assert (first.headers["x-ratelimit-limit"], first.headers["x-ratelimit-remaining"]) == ("1", "0")
        assert int(first.headers["x-ratelimit-reset"]) > 0
        second = Door(http, "native").ask()
    assert second.status_code == 429
    assert int(second.headers["retry-after"]) > 0
    assert second.headers["x-ratelimit-remaining"] == "0"


@pytest.mark.parametrize("mode", ["buffered", "realtime"])
def test_the_native_stream_has_the_contracts_events(native: Door, mode: str) -> None:
    response = native.ask(stream=True, stream_mode=mode)
    sent = events(response)
    assert {event["type"] for event in sent[1:-1]} == {"delta"}
    start, done = sent[0], sent[-1]
    assert start == {
        "type": "start",
        "request_id": response.headers["x-request-id"],
        "model": response.headers["x-routeplex-model"],
        "provider": response.headers["x-routeplex-provider"],
    }
    assert "".join(event["content"] for event in sent[1:-1]) == "The capital of France is Paris."
    assert set(done) == {
        "type", "model_used", "provider", "usage", "finish_reason", "latency_ms", "fallback_used", "routing",
    }  # fmt: skip
    assert done["usage"]["cost_usd"] > 0
    assert "x-routeplex-cost-usd" not in response.headers


def test_without_include_usage_the_finishing_chunk_carries_it(openai_door: Door) -> None:
    chunks = events(openai_door.ask(stream=True))
    assert all(chunk["object"] == "chat.completion.chunk" and chunk["choices"] for chunk in chunks)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert chunks[-1]["x_routeplex"]["cost_usd"] > 0
    assert all("usage" not in chunk for chunk in chunks[:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_with_include_usage_it_comes_in_a_last_chunk_without_choices(openai_door: Door) -> None:
    chunks = events(openai_door.ask(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"


@OPENAI_SHAPED
def test_text_beyond_ascii_is_escaped_and_whole(door: Door, simulator: Simulator) -> None:
    question = [{"role": "user", "content": "Repeat exactly: Zürich 東京 🙂 line"}]
    whole = door.ask(messages=question, model=MANUAL)
    streamed = events(door.ask(messages=question, model=MANUAL, stream=True))
    if door.name == "native":
        expected = whole.json()["data"]["output"]
        assert "".join(event["content"] for event in streamed if event["type"] == "delta") == expected
    else:
        expected = whole.json()["choices"][0]["message"]["content"]
        assert "".join(event["choices"][0]["delta"].get("content") or "" for event in streamed) == expected


@OPENAI_SHAPED
def test_a_tool_call_has_openais_shape_at_both_doors(door: Door) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    body = door.ask(model=MANUAL, tools=TOOLS, tool_choice=choice).json()
    if door.name == "native":
        calls, finish = body["data"]["tool_calls"], body["data"]["finish_reason"]
    else:
        calls, finish = body["choices"][0]["message"]["tool_calls"], body["choices"][0]["finish_reason"]
    assert calls[0]["type"] == "function"
    assert calls[0]["function"]["name"] == "get_weather"
    assert isinstance(json.loads(calls[0]["function"]["arguments"]), dict)
    assert finish in ("tool_calls", "stop")
    back = [*MESSAGES, {"role": "assistant", "content": None, "tool_calls": calls}]
    back.append({"role": "tool", "tool_call_id": calls[0]["id"], "content": "Sunny"})
    assert door.ask(model=MANUAL, messages=back, tools=TOOLS).status_code == 200


@OPENAI_SHAPED
def test_a_streamed_tool_call_adds_up(door: Door) -> None:
    choice = {"type": "function", "function": {"name": "get_weather"}}
    sent = events(door.ask(model=MANUAL, tools=TOOLS, tool_choice=choice, stream=True))
    if door.name == "native":
        pieces = [event for event in sent if event["type"] == "tool_call"]
        assert {(event["index"], event["name"]) for event in pieces} == {(0, "get_weather")}
        assert len({event["id"] for event in pieces}) == 1
        arguments = "".join(event["arguments"] for event in pieces)
    else:
        deltas = [event["choices"][0]["delta"].get("tool_calls", []) for event in sent]
        calls = [call for delta in deltas for call in delta]
        assert (calls[0]["type"], calls[0]["function"]["name"]) == ("function", "get_weather")
        assert all("id" not in call for call in calls[1:])
        arguments = "".join(call["function"]["arguments"] for call in calls)
    assert isinstance(json.loads(arguments), dict)


def test_several_choices_stream_side_by_side(openai_door: Door) -> None:
    body = openai_door.ask(model=MANUAL, n=2).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1]
    chunks = events(openai_door.ask(model=MANUAL, n=2, stream=True))
    finishes = [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert sorted(finishes) == [0, 1]
    assert ["usage" in chunk for chunk in chunks].count(True) == 1


@pytest.mark.parametrize(
    ("model", "strategy"),
    [
        ("routeplex-ai", "auto"),
        ("auto", "auto"),
        ("routeplex/auto", "auto"),
        ("routeplex-ai:cost", "cost"),
        ("routeplex-ai:speed", "speed"),
        ("routeplex-ai:quality", "quality"),
        ("routeplex-ai:balanced", "balanced"),
        ("routeplex-ai:auto", "auto"),
    ],
)
def test_smart_routing_has_several_names(openai_door: Door, model: str, strategy: str) -> None:
    response = openai_door.ask(model=model)
    assert response.json()["x_routeplex"]["strategy"] == strategy
    assert Request.objects.get(pk=response.headers["x-request-id"]).mode == "routeplex-ai"


def test_any_other_name_is_a_pin(openai_door: Door) -> None:
    response = openai_door.ask(model=MANUAL)
    assert response.json()["model"] == MANUAL
    assert Request.objects.get(pk=response.headers["x-request-id"]).mode == "manual"


def test_steering_headers_steer(openai_door: Door) -> None:
    pool = {"X-RoutePlex-Models": "gpt-4.1-mini, claude-haiku-4-5", "X-RoutePlex-Strategy": "cost"}
    body = openai_door.ask(headers=pool).json()
    assert body["model"] in ("gpt-4.1-mini", "claude-haiku-4-5")
    assert body["x_routeplex"]["strategy"] == "cost"
    tight = openai_door.ask(headers={"X-RoutePlex-Max-Cost-USD": "0.000000001"})
    assert openai_door.code(tight) == "budget_too_low"


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    receipt = answer["x_routeplex"]["fidelity"]["parameters"]
    return {entry["parameter"]: entry["verdict"] for entry in receipt}


def test_openais_own_parameters_pass_to_its_models_only(openai_door: Door, simulator: Simulator) -> None:
    pool = {"X-RoutePlex-Models": "openai/*"}
    for ours in (
        openai_door.ask(model=MANUAL, prompt_cache_key="k1"),
        openai_door.ask(pool, prompt_cache_key="k1"),
    ):
        assert verdicts(ours.json()) == {"prompt_cache_key": "honoured"}
    other = openai_door.ask(model="claude-haiku-4-5", prompt_cache_key="k1").json()
    assert verdicts(other) == {"prompt_cache_key": "dropped"}


@pytest.mark.parametrize("pool", ["openai/*", "anthropic/*", "google/*"])
def test_unknown_parameters_are_left_out_by_every_provider_of_auto(openai_door: Door, pool: str) -> None:
    answer = openai_door.ask(headers={"X-RoutePlex-Models": pool}, usage={"include": True}, provider="x")
    assert answer.status_code == 200, answer.text
    assert verdicts(answer.json()) == {"usage": "dropped", "provider": "dropped"}


def test_unknown_parameters_pass_to_the_named_openai_model_alone(openai_door: Door) -> None:
    refused = openai_door.ask(model=MANUAL, mood="good")
    assert refused.status_code == 400
    assert "Unknown parameter: 'mood'" in refused.json()["error"]["message"]
    for model in ("claude-haiku-4-5", "gemini-2.5-flash"):
        assert verdicts(openai_door.ask(model=model, mood="good").json()) == {"mood": "dropped"}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning": {"effort": "low"}},
        {"reasoning": {"max_tokens": 3000}},
        {"thinking": {"type": "enabled", "budget_tokens": 3000}},
        {"reasoning_effort": "low", "reasoning": {"effort": "high"}},
    ],
)
def test_efforts_as_other_gateways_write_them_are_efforts(openai_door: Door, fields: dict[str, Any]) -> None:
    from billing.models import Request

    answer = openai_door.ask(model="gpt-5", max_tokens=9000, **fields).json()
    assert verdicts(answer) == {"max_tokens": "honoured", "reasoning_effort": "honoured"}
    assert Request.objects.get(pk=answer["x_routeplex"]["request_id"]).attempts.get().effort == "low"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"thinking": {"type": "enabled", "budget_tokens": "many"}}, "thinking.budget_tokens"),
    ],
)
def test_malformed_efforts_are_named(openai_door: Door, fields: dict[str, Any], field: str) -> None:
    response = openai_door.ask(**fields)
    assert response.status_code == 400
    assert openai_door.fields(response) == [field]


def test_the_completions_path_under_the_native_base_is_openais(http: Any) -> None:
    body = {"model": "routeplex-ai", "messages": MESSAGES}
    assert http.post("/api/v1/chat/completions", json=body).json()["object"] == "chat.completion"
    wrong = http.post("/api/v1/chat/completions", json=body | {"n": 0}).json()
    assert wrong["error"]["type"] == "invalid_request_error"


def test_a_retired_model_is_served_by_its_successor_and_says_so(native: Door) -> None:
    data = native.ask(model="gpt-4.1-nano").json()["data"]
    assert data["model_used"] != "gpt-4.1-nano"
    assert any("gpt-4.1-nano" in note for note in data["routing"]["notes"])


@OPENAI_SHAPED
def test_enhancement_changes_the_last_user_message_and_says_so(door: Door, simulator: Simulator) -> None:
    conversation = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi, what can I do?"},
        {"role": "user", "content": "fix my code"},
    ]
    if door.name == "native":
        enhancement = door.ask(messages=conversation, enhance_prompt=True).json()["data"]["enhancement"]
    else:
        response = door.ask(headers={"X-RoutePlex-Enhance": "true"}, messages=conversation)
        enhancement = response.json()["x_routeplex"]["enhancement"]
    assert set(enhancement) == {"applied", "original_prompt", "enhanced_prompt", "query_type"}
    assert enhancement["applied"] is True
    assert enhancement["original_prompt"] == "fix my code" != enhancement["enhanced_prompt"]


def test_enhancement_is_reported_without_changes_and_in_streams(native: Door) -> None:
    quiet = [{"role": "system", "content": "Say hello."}, {"role": "assistant", "content": "Hello."}]
    enhancement = native.ask(messages=quiet, enhance_prompt=True).json()["data"]["enhancement"]
    assert enhancement["applied"] is False
    done = events(native.ask(stream=True, enhance_prompt=True))[-1]
    assert isinstance(done["enhancement"]["applied"], bool)
