"""The Responses door, through OpenAI's official client, unmodified, over every provider's wire."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from accounts.caller import Limits
from accounts.keys import create_key
from billing.models import Attempt, Request
from tests.conftest import Simulator

QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
WIRES = ["gpt-4.1-mini", "gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash"]
THINKERS = ["claude-opus-5", "claude-opus-5-5", "gemini-3.5-flash", "gpt-6.2-sol"]
WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
NAMED = {"type": "function", "name": "get_weather"}
ASK_WEATHER: Any = {"role": "user", "content": "What is the weather in Paris and London?"}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


@pytest.fixture
def client(server: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


def row_of(response: Any) -> Request:
    return Request.objects.get(pk="req_" + response.id.removeprefix("resp_"))


def events_of(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, each of the shape the client's types demand, numbered without a gap."""
    assert response.headers["content-type"] == "text/event-stream"
    assert response.content.isascii()
    events = []
    for frame in response.text.removesuffix("\n\n").split("\n\n"):
        name, data = frame.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        EVENT.validate_python(event)
        events.append(event)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


@pytest.mark.parametrize("model", ["auto", "routeplex/auto", "routeplex-ai:cost", *WIRES])
def test_a_response(client: openai.OpenAI, model: str) -> None:
    response = client.responses.create(model=model, input=QUESTION, instructions="Be brief.")
    assert response.output_text == ANSWER
    assert (response.object, response.status) == ("response", "completed")
    row = row_of(response)
    assert (row.door, row.status, row.served_model) == ("responses", "succeeded", response.model)
    assert response.usage is not None
    assert response.usage.output_tokens == row.output_tokens
    if model in WIRES:
        assert response.model == model


@pytest.mark.parametrize("model", WIRES)
def test_the_raw_body_has_the_types_of_the_client(http: httpx.Client, model: str) -> None:
    fields = {"model": model, "input": [ASK_WEATHER], "tools": [WEATHER], "store": True, "user": "u-7"}
    response = http.post("/v1/responses", json=fields)
    body = response.json()
    Response.model_validate(body)
    assert body["store"] is True
    assert (body["tools"], body["user"]) == ([WEATHER], "u-7")
    assert float(response.headers["x-routeplex-cost-usd"]) == body["x_routeplex"]["cost_usd"] > 0


@pytest.mark.parametrize("model", WIRES)
def test_a_stream_of_text_has_the_events_in_order(http: httpx.Client, model: str) -> None:
    events = events_of(http.post("/v1/responses", json={"model": model, "input": QUESTION, "stream": True}))
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[:2] == ["created", "in_progress"]
    assert kinds[-1] == "completed"
    text_kinds = kinds[kinds.index("content_part.added") - 1 : -1]
    assert text_kinds[:2] == ["output_item.added", "content_part.added"]
    last = text_kinds.index("output_text.done")
    assert set(text_kinds[2:last]) == {"output_text.delta"}
    assert text_kinds[last : last + 3] == ["output_text.done", "content_part.done", "output_item.done"]
    final = events[-1]["response"]
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == ANSWER
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert final["output"] == done
    assert final["usage"]["total_tokens"] > 0


def test_a_stream_of_calls_has_the_events_in_order(http: httpx.Client) -> None:
    fields = {"model": "gpt-4.1-mini", "input": [ASK_WEATHER], "tools": [WEATHER], "stream": True}
    kinds = [
        event["type"].removeprefix("response.")
        for event in events_of(http.post("/v1/responses", json=fields))
    ]
    merged = [kind for kind, before in zip(kinds, ["", *kinds], strict=False) if kind != before]
    per_call = [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    assert merged == ["created", "in_progress", *per_call, *per_call, "completed"]


@pytest.mark.parametrize("model", ["auto", *WIRES])
def test_the_stream_helper(client: openai.OpenAI, model: str) -> None:
    with client.responses.stream(model=model, input=QUESTION) as stream:
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        final = stream.get_final_response()
    assert text == final.output_text == ANSWER
    assert row_of(final).status == "succeeded"


class Capital(BaseModel):
    city: str


@pytest.mark.parametrize("model", WIRES)
def test_parse_gives_an_object(client: openai.OpenAI, model: str) -> None:
    parsed = client.responses.parse(model=model, input=QUESTION, text_format=Capital)
    assert isinstance(parsed.output_parsed, Capital)
    with client.responses.stream(model=model, input=QUESTION, text_format=Capital) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Capital)


def test_json_without_a_schema(client: openai.OpenAI) -> None:
    response = client.responses.create(
        model="auto", input=QUESTION + " Answer in JSON.", text={"format": {"type": "json_object"}}
    )
    assert isinstance(json.loads(response.output_text), dict)


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_loop_with_two_calls_at_once(client: openai.OpenAI, model: str, streamed: bool) -> None:
    fields: dict[str, Any] = {"model": model, "tools": [WEATHER]}
    if streamed:
        with client.responses.stream(input=[ASK_WEATHER], **fields) as stream:
            first: Any = stream.get_final_response()
    else:
        first = client.responses.create(input=[ASK_WEATHER], **fields)
    calls = [item for item in first.output if item.type == "function_call"]
    assert [json.loads(call.arguments) for call in calls] == [{"city": "Paris"}, {"city": "London"}]
    results = [
        {"type": "function_call_output", "call_id": calls[0].call_id, "output": "4 °C"},
        {
            "type": "function_call_output",
            "call_id": calls[1].call_id,
            "output": [{"type": "input_text", "text": "5 °C"}],
        },
    ]
    output = [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in first.output]
    after = client.responses.create(input=[ASK_WEATHER, *output, *results], **fields)
    assert after.status == "completed"
    assert after.output_text


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", True),
        ("required", True),
        ("none", False),
        ({"type": "function", "name": "get_weather"}, True),
    ],
)
def test_every_choice_of_tools(client: openai.OpenAI, model: str, choice: Any, called: bool) -> None:
    first = client.responses.create(
        model=model, input=[ASK_WEATHER], tools=[WEATHER], tool_choice=choice, parallel_tool_calls=False
    )
    assert [item.type for item in first.output if item.type == "function_call"] == ["function_call"] * called


@pytest.mark.parametrize("model", THINKERS)
@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_goes_back_to_its_provider(client: openai.OpenAI, model: str, streamed: bool) -> None:
    fields: dict[str, Any] = {
        "model": model,
        "tools": [WEATHER],
        "reasoning": {"effort": "high", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }
    if streamed:
        with client.responses.stream(input=[ASK_WEATHER], **fields) as stream:
            first: Any = stream.get_final_response()
    else:
        first = client.responses.create(input=[ASK_WEATHER], **fields)
    output = [item.model_dump(exclude={"parsed_arguments"}, exclude_none=True) for item in first.output]
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "4 °C"}
        for item in first.output
        if item.type == "function_call"
    ]
    extra: Any = client.responses.create(input=[ASK_WEATHER, *output, *results], **fields).model_extra
    receipts = {entry["parameter"]: entry for entry in extra["x_routeplex"]["fidelity"]["parameters"]}
    assert receipts["reasoning"]["verdict"] == "honoured"
    if model != "gemini-3.5-flash":  # whose calls carry it
        assert first.output[0].type == "reasoning"
        assert first.output[0].encrypted_content


def test_a_reasoning_summary_is_shown_only_on_request(http: httpx.Client) -> None:
    fields = {"model": "claude-opus-5", "input": QUESTION, "stream": True, "reasoning": {"effort": "high"}}
    shown = {"reasoning": {"effort": "high", "summary": "auto"}}
    summarised = events_of(http.post("/v1/responses", json=fields | shown))
    kinds = [event["type"] for event in summarised]
    order = ["part.added", "text.delta", "text.done", "part.done"]
    places = [kinds.index(f"response.reasoning_summary_{name}") for name in order]
    assert places == sorted(places)
    item = summarised[-1]["response"]["output"][0]
    spelled = "".join(event["delta"] for event in summarised if event["type"].endswith("summary_text.delta"))
    assert item["summary"] == [{"type": "summary_text", "text": spelled}]
    silent = events_of(http.post("/v1/responses", json=fields))
    assert not any("reasoning_summary" in event["type"] for event in silent)
    assert silent[-1]["response"]["output"][0]["summary"] == []


PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


@pytest.mark.parametrize("model", ["gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash"])
@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"},
        {
            "type": "input_file",
            "filename": "a.pdf",
            "file_data": "data:application/pdf;base64,JVBERi0xLjQKJSVFT0YK",
        },
    ],
)
def test_pictures_and_files(client: openai.OpenAI, model: str, part: Any) -> None:
    content = [part, {"type": "input_text", "text": "What is this?"}]
    response = client.responses.create(model=model, input=[{"role": "user", "content": content}])  # type: ignore[list-item]
    assert response.output_text


def test_an_answer_cut_by_its_limit_is_incomplete(http: httpx.Client) -> None:
    fields = {"model": "gpt-4.1-mini", "input": "Write a long story about the sea.", "max_output_tokens": 16}
    whole = http.post("/v1/responses", json=fields).json()
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert whole["output"][-1]["status"] == "incomplete"
    events = events_of(http.post("/v1/responses", json=fields | {"stream": True}))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_parameters_of_openai_alone_reach_only_openai(http: httpx.Client, simulator: Simulator) -> None:
    for model in WIRES:
        fields = {"model": model, "input": QUESTION, "prompt_cache_key": "k", "metadata": {"team": "x"}}
        assert http.post("/v1/responses", json=fields).status_code == 200
        assert ("prompt_cache_key" in simulator.calls()[-1]["body"]) is model.startswith("gpt")


def test_a_stream_that_breaks_off_fails(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=2, count=9)
    fields = {"model": "auto", "input": QUESTION, "stream": True}
    last = events_of(http.post("/v1/responses", json=fields, headers={"X-RoutePlex-Rescue": "false"}))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"]["code"] == "server_error"


def test_a_cut_stream_is_rescued(client: openai.OpenAI, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=2, count=1)
    with client.responses.stream(model="auto", input=QUESTION) as stream:
        final = stream.get_final_response()
    assert [item.type for item in final.output if item.type != "reasoning"] == ["message"]
    attempts = Attempt.objects.filter(request_id=row_of(final).pk).order_by("number")
    assert [attempt.outcome for attempt in attempts] == ["partial", "ok"]


@pytest.mark.parametrize("stream", [False, True])
def test_the_same_key_is_answered_once(http: httpx.Client, account: Any, stream: bool) -> None:
    headers = {"Idempotency-Key": f"responses-{stream}"}
    fields = {"model": "auto", "input": QUESTION, "stream": stream}
    first, second = (http.post("/v1/responses", json=fields, headers=headers) for _ in range(2))
    assert first.content == second.content
    assert second.headers["idempotency-replayed"] == "true"
    assert Request.objects.filter(account_id=account.pk).count() == 1


def test_typed_errors(server: str, client: openai.OpenAI, simulator: Simulator, account: Any) -> None:
    with pytest.raises(openai.AuthenticationError):
        openai.OpenAI(base_url=f"{server}/v1", api_key="rp_live_unknown").responses.create(
            model="auto", input=QUESTION
        )
    with pytest.raises(openai.BadRequestError, match="no model"):
        client.responses.create(model="gpt-77", input=QUESTION)
    secret = create_key(account, "limited", limits=Limits(requests_per_minute=1))[1]
    limited = openai.OpenAI(base_url=f"{server}/v1", api_key=secret, max_retries=0)
    limited.responses.create(model="auto", input=QUESTION)
    with pytest.raises(openai.RateLimitError):
        limited.responses.create(model="auto", input=QUESTION)
    simulator.fault(kind="status", status=500, count=9)
    with pytest.raises(openai.InternalServerError):
        client.responses.create(model="auto", input=QUESTION)


@pytest.mark.parametrize(
    "fields",
    [
        {"conversation": "conv_1"},
        {"background": True},
        {"prompt": {"id": "pmpt_1"}},
    ],
)
def test_parameters_that_need_stored_state_are_refused(client: openai.OpenAI, fields: Any) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="auto", input=QUESTION, **fields)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", next(iter(fields)))


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"input": 7}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [7]}, "input[0]"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [{"type": "text"}]}]}, "input[0].content[0].type"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_data": "x"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
        ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call", "call_id": "x", "name": "x"}]}, "input[0].arguments"),
        ({"input": [{"type": "function_call_output", "call_id": "x"}]}, "input[0].output"),
        (
            {"input": [{"type": "reasoning", "summary": [], "encrypted_content": "rp1.?"}]},
            "input[0].encrypted_content",
        ),
        ({"instructions": 7}, "instructions"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"top_p": -1}, "top_p"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "name": "a b"}]}, "tools[0].name"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"parallel_tool_calls": "no"}, "parallel_tool_calls"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "x"}}}, "text.format.schema"),
        ({"text": {"verbosity": "most"}}, "text.verbosity"),
        ({"text": {"size": 1}}, "text.size"),
        ({"reasoning": {"effort": "most"}}, "reasoning.effort"),
        ({"reasoning": {"summary": []}}, "reasoning.summary"),
        ({"include": [5]}, "include[0]"),
        ({"truncation": "middle"}, "truncation"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"tools": [{"type": "custom"}]}, "tools[0].name"),
        (
            {"tools": [{"type": "custom", "name": "x", "format": {"type": "grammar", "definition": "x"}}]},
            "tools[0].format.syntax",
        ),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice.tools"),
        ({"metadata": {"a": 7}}, "metadata.a"),
        ({"stream": "yes"}, "stream"),
        ({"n": 2}, "n"),
    ],
)
def test_a_wrong_field_is_named(http: httpx.Client, fields: Any, named: str) -> None:
    response = http.post("/v1/responses", json={"model": "auto", "input": QUESTION} | fields)
    assert response.status_code == 400, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", named)
