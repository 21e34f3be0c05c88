"""Custom tools, allowed tools and the older functions, at every model, whole and streamed."""

import json
from typing import Any

import httpx
import openai
import pytest

from tests.conftest import Simulator
from tests.doors.conftest import Door, events

MODELS = ["gpt-4.1", "gpt-5.2", "gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash", "auto"]
ASK: dict[str, Any] = {"role": "user", "content": "Use the query tool for all users."}
QUERY = {"name": "query", "description": "Asks the database"}
GRAMMAR = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "SELECT .*"}}
CUSTOM = {"type": "custom", "custom": QUERY | {"format": GRAMMAR}}
OTHER_FUNCTION = {"name": "look", "description": "Looks", "parameters": {"type": "object", "properties": {}}}
FUNCTIONS = [{"name": "query", "parameters": {"type": "object", "properties": {"table": {"type": "string"}}}}]


@pytest.fixture
def client(server: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


def fields_for(model: str, *messages: Any, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [ASK, *messages]} | fields


def completed(client: openai.OpenAI, streamed: bool, **fields: Any) -> Any:
    if not streamed:
        return client.chat.completions.create(**fields)
    with client.chat.completions.stream(**fields) as stream:
        return stream.get_final_completion()


def chunks(client: openai.OpenAI, **fields: Any) -> list[Any]:
    return [chunk.choices[0].delta for chunk in client.chat.completions.create(stream=True, **fields)]


@pytest.mark.parametrize("model", MODELS)
def test_a_custom_tool_is_called_with_text_and_gets_its_result(client: openai.OpenAI, model: str) -> None:
    choice = client.chat.completions.create(**fields_for(model, tools=[CUSTOM])).choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls or []
    assert call.type == "custom"
    assert call.custom.name == "query"
    assert call.custom.input
    assert not call.custom.input.startswith("{")
    pieces = [
        piece
        for delta in chunks(client, **fields_for(model, tools=[CUSTOM]))
        for piece in delta.model_dump()["tool_calls"] or []
    ]
    assert pieces[0]["type"] == "custom"
    assert pieces[0]["custom"]["name"] == "query"
    assert "".join(piece["custom"]["input"] for piece in pieces) == call.custom.input
    result = {"role": "tool", "tool_call_id": call.id, "content": "7 users"}
    back = choice.message.model_dump(exclude_none=True)
    after = (
        client.chat.completions.create(**fields_for(model, back, result, tools=[CUSTOM])).choices[0].message
    )
    assert "7 users" in (after.content or "")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_custom_tool_at_the_responses_door(client: openai.OpenAI, model: str, streamed: bool) -> None:
    tool: Any = {"type": "custom", **QUERY, "format": {"type": "grammar", **GRAMMAR["grammar"]}}  # type: ignore[dict-item]
    fields: dict[str, Any] = {"model": model, "input": [ASK], "tools": [tool]}
    if streamed:
        with client.responses.stream(**fields) as stream:
            streamed_events = list(stream)
            response = stream.get_final_response()
        inputs = [
            event.delta for event in streamed_events if event.type == "response.custom_tool_call_input.delta"
        ]
    else:
        response = client.responses.create(**fields)
    (call,) = [item for item in response.output if item.type == "custom_tool_call"]
    assert call.input
    if streamed:
        assert "".join(inputs) == call.input
    output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "7 users"}
    items = [ASK, *(item.to_dict() for item in response.output), output]
    after = client.responses.create(model=model, input=items, tools=[tool])  # type: ignore[arg-type]
    assert "7 users" in after.output_text


def test_a_custom_tool_at_the_native_door(native: Door) -> None:
    fields: dict[str, Any] = {"model": "claude-haiku-4-5", "tools": [CUSTOM], "messages": [ASK]}
    (whole,) = native.ask(**fields).json()["data"]["tool_calls"]
    assert whole["type"] == "custom"
    streamed = [event for event in events(native.ask(stream=True, **fields)) if event["type"] == "tool_call"]
    assert streamed[0]["is_custom"] is True
    assert "".join(event["arguments"] for event in streamed) == whole["custom"]["input"]


@pytest.mark.parametrize(("model", "verdict"), [("gpt-5.2", "honoured"), ("gemini-3.5-flash", "adapted")])
def test_only_allowed_tools_are_called(
    client: openai.OpenAI, simulator: Simulator, model: str, verdict: str
) -> None:
    functions = [{"type": "function", "function": function} for function in (FUNCTIONS[0], OTHER_FUNCTION)]
    allowed = {"mode": "required", "tools": [functions[1]]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    answer = completed(client, False, **fields_for(model, tools=functions, tool_choice=choice))
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "look", "though the question is about another"
    receipts = {entry["parameter"]: entry for entry in answer.x_routeplex["fidelity"]["parameters"]}
    assert receipts["tool_choice"]["verdict"] == verdict
    sent = simulator.calls()[-1]["body"]
    assert len(json.dumps(sent).split('"look"')) > 1


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("choice", [None, {"name": "query"}])
def test_the_older_functions_are_answered_in_their_form(
    client: openai.OpenAI, model: str, choice: Any
) -> None:
    fields = fields_for(model, functions=FUNCTIONS) | ({"function_call": choice} if choice else {})
    first = client.chat.completions.create(**fields).choices[0]
    assert first.finish_reason == "function_call"
    called = first.message.function_call
    assert called is not None
    assert first.message.tool_calls is None
    arguments = "".join(
        delta.function_call.arguments or "" for delta in chunks(client, **fields) if delta.function_call
    )
    assert json.loads(arguments) == json.loads(called.arguments)
    back = {"role": "assistant", "content": None, "function_call": called.model_dump()}
    result = {"role": "function", "name": "query", "content": "7 users"}
    after = client.chat.completions.create(**fields_for(model, back, result, functions=FUNCTIONS))
    assert "7 users" in (after.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "alloy", "format": "wav"}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_parameters_that_no_model_supports_are_refused(
    openai_door: Door, simulator: Simulator, fields: dict[str, Any], param: str
) -> None:
    response = openai_door.ask(**fields)
    assert response.status_code == 400
    error = response.json()["error"]
    assert (error["code"], error["param"]) == ("unsupported_parameter", param)
    assert simulator.calls() == []
    assert openai_door.ask(modalities=["text"]).status_code == 200


def dropped(body: dict[str, Any]) -> set[str]:
    receipts = body["x_routeplex"]["fidelity"]["parameters"]
    return {receipt["parameter"] for receipt in receipts if receipt["verdict"] == "dropped"}


def test_ignored_fields_are_in_the_receipt(
    openai_door: Door, http: httpx.Client, simulator: Simulator
) -> None:
    part = {"type": "text", "text": "Hi", "colour": "red"}
    messages = [{"role": "user", "content": [part, part], "mood": "good", "empty": []}]
    tool = {"type": "function", "function": OTHER_FUNCTION | {"colour": "red"}, "safe": True}
    body = openai_door.ask(messages=messages, tools=[tool], store=True).json()
    assert dropped(body) == {
        "store", "messages[].mood", "messages[].content[].colour", "tools[].safe", "tools[].function.colour",
    }  # fmt: skip
    assert simulator.calls()[-1]["body"].get("store") in (None, False)
    stored = openai_door.ask(previous_response_id="resp_1", background=True).json()
    assert dropped(stored) == {"previous_response_id", "background"}
    fields = {
        "model": "auto",
        "input": "Hi",
        "store": True,
        "truncation": "auto",
        "reasoning": {"mode": "pro"},
    }
    assert dropped(http.post("/v1/responses", json=fields).json()) == {
        "truncation", "reasoning.mode",
    }  # fmt: skip
    request = {"model": "auto", "max_tokens": 50, "messages": messages[:1], "speed": "fast"}
    assert {"speed", "messages[].content[].colour"} <= dropped(http.post("/v1/messages", json=request).json())


MARK = {"cache_control": {"type": "ephemeral"}}
SENT = {"type": "ephemeral", "ttl": "5m"}


def blocks(simulator: Simulator) -> list[dict[str, Any]]:
    """The blocks that Claude got, those of the system prompt first."""
    body = simulator.calls()[-1]["body"]
    system = body.get("system") or []
    inner = [block for message in body["messages"] for block in message["content"]]
    return [*(system if isinstance(system, list) else []), *inner]


def test_cache_marks_on_messages_are_honoured(
    openai_door: Door, http: httpx.Client, simulator: Simulator
) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    tool = {"type": "function", "function": OTHER_FUNCTION | {"name": "look"} | MARK}
    messages = [
        {"role": "system", "content": "Be brief.", **MARK},
        {"role": "user", "content": [{"type": "text", "text": "Look."}]},
        {"role": "assistant", "content": "", "tool_calls": [call], **MARK},
        {"role": "tool", "tool_call_id": "c1", "content": "A tree", **MARK},
    ]
    body = openai_door.ask(model="claude-sonnet-4-5", messages=messages, tools=[tool]).json()
    assert "cache_control" not in dropped(body)
    assert [block.get("cache_control") for block in blocks(simulator)] == [SENT, SENT, None, SENT]
    assert simulator.calls()[-1]["body"]["tools"][0]["cache_control"] == SENT
    items = [
        {"role": "user", "content": "Look.", **MARK},
        {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "A tree", **MARK},
    ]
    http.post("/v1/responses", json={"model": "claude-sonnet-4-5", "input": items})
    assert [block.get("cache_control") for block in blocks(simulator)] == [SENT, None, SENT]
    message = {"role": "user", "content": "Hi", **MARK}
    http.post("/v1/messages", json={"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": [message]})
    assert [block.get("cache_control") for block in blocks(simulator)] == [SENT]


def test_a_cache_mark_on_the_whole_request_is_honoured(openai_door: Door, simulator: Simulator) -> None:
    body = openai_door.ask(model="claude-sonnet-4-5", **MARK).json()
    assert "cache_control" not in dropped(body)
    assert blocks(simulator)[-1]["cache_control"] == SENT


def test_malformed_cache_marks_on_messages_are_named(openai_door: Door) -> None:
    message = {"role": "user", "content": "Hi", "cache_control": {"type": "ephemeral", "ttl": "9h"}}
    assert openai_door.fields(openai_door.ask(messages=[message])) == ["messages[0].cache_control.ttl"]


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-5.6-luna", "claude-haiku-4-5", "gemini-3.5-flash"])
def test_both_forms_of_cache_marks_are_equal(openai_door: Door, simulator: Simulator, model: str) -> None:
    for mark in (
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"}},
    ):
        messages = [{"role": "user", "content": [{"type": "text", "text": "Hi", **mark}]}]
        response = openai_door.ask(model=model, messages=messages)
        assert response.status_code == 200, response.text
        sent = json.dumps(simulator.calls()[-1]["body"])
        assert ("cache_control" in sent) is (model == "claude-haiku-4-5")
        assert ("prompt_cache_breakpoint" in sent) is (model == "gpt-5.6-luna")


def test_a_cache_of_twelve_hours_is_sent_where_supported(openai_door: Door, simulator: Simulator) -> None:
    options = {"mode": "explicit", "ttl": "12h"}
    assert openai_door.ask(model="gpt-5.6-luna", prompt_cache_options=options).status_code == 200
    assert simulator.calls()[-1]["dialect"] == "openai_responses"
    assert openai_door.ask(model="gpt-4.1", prompt_cache_options=options).status_code == 200
    assert "prompt_cache_options" not in simulator.calls()[-1]["body"]


@pytest.mark.parametrize("name", ["user", "safety_identifier"])
def test_the_callers_user_reaches_the_provider(openai_door: Door, simulator: Simulator, name: str) -> None:
    for model, field in (("gpt-4.1", "safety_identifier"), ("claude-haiku-4-5", "metadata")):
        body = openai_door.ask(model=model, **{name: "u-7"}).json()
        sent = simulator.calls()[-1]["body"][field]
        assert sent in ("u-7", {"user_id": "u-7"})
        (receipt,) = body["x_routeplex"]["fidelity"]["parameters"]
        assert receipt == {"parameter": name, "verdict": "honoured"}


def test_older_claude_models_think_by_a_budget(
    openai_door: Door, http: httpx.Client, simulator: Simulator
) -> None:
    assert openai_door.ask(model="claude-haiku-4-5", reasoning_effort="medium").status_code == 200
    assert simulator.calls()[-1]["body"]["thinking"] == {"type": "enabled", "budget_tokens": 10_000}
    thinking = {"type": "enabled", "budget_tokens": 3210}
    for model in ("claude-haiku-4-5", "gemini-2.5-flash"):
        fields = {"model": model, "max_tokens": 9000, "messages": [ASK], "thinking": thinking}
        assert http.post("/v1/messages", json=fields).status_code == 200
        assert "3210" in json.dumps(simulator.calls()[-1]["body"])


def test_counting_a_responses_input_calls_no_provider(client: openai.OpenAI, simulator: Simulator) -> None:
    few = client.responses.input_tokens.count(model="auto", input="Hi")
    many = client.responses.input_tokens.count(model="auto", input="Hi " * 50)
    assert 0 < few.input_tokens < many.input_tokens
    assert simulator.calls() == []


def test_log_probabilities_at_the_responses_door(client: openai.OpenAI) -> None:
    fields: dict[str, Any] = {
        "model": "gpt-4.1",
        "input": "What is the capital of France?",
        "include": ["message.output_text.logprobs"],
        "top_logprobs": 2,
    }
    (part,) = client.responses.create(**fields).output[0].content  # type: ignore[union-attr]
    assert "".join(logprob.token for logprob in part.logprobs) == part.text  # type: ignore[union-attr]
    with client.responses.stream(**fields) as stream:
        (same,) = stream.get_final_response().output[0].content  # type: ignore[union-attr]
    assert same.logprobs == part.logprobs  # type: ignore[union-attr]
