"""Features that coding agents use: tools in namespaces and in the input, hosted tools, fields of betas."""

import base64
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.conftest import Simulator

MODELS = ["gpt-4.1", "gpt-6.2-sol", "claude-haiku-4-5", "gemini-3.5-flash"]
QUESTION = "Use the list users tool."
GROUP: dict[str, Any] = {
    "type": "namespace",
    "name": "crm",
    "description": "Customers",
    "tools": [
        {"type": "function", "name": "list_users", "parameters": {"type": "object", "properties": {}}},
        {"type": "custom", "name": "note", "description": "Takes a note"},
    ],
}
VIEW_IMAGE = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
SEARCH = {"type": "web_search", "external_web_access": False}


@pytest.fixture
def client(server: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


def dropped(answer: Any) -> set[str]:
    parameters = (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]
    return {receipt["parameter"] for receipt in parameters if receipt["verdict"] == "dropped"}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["list_users", "note"])
def test_tools_of_a_namespace_are_called_in_it(client: openai.OpenAI, model: str, name: str) -> None:
    question = {"role": "user", "content": f"Use the {name.replace('_', ' ')} tool now."}
    fields: dict[str, Any] = {"model": model, "input": [question], "tools": [GROUP]}
    response = client.responses.create(**fields)
    (call,) = [item for item in response.output if item.type in ("function_call", "custom_tool_call")]
    assert (call.namespace, call.name) == ("crm", name)
    with client.responses.stream(**fields) as stream:
        added = [event.item for event in stream if event.type == "response.output_item.added"]
    assert [item.namespace for item in added if "call" in item.type] == ["crm"]
    output = {"type": f"{call.type}_output", "call_id": call.call_id, "output": "7 users"}
    items = [question, *(item.to_dict() for item in response.output), output]
    after = client.responses.create(**fields | {"input": items})
    assert "7 users" in after.output_text


def test_a_long_name_and_its_namespace_fit_every_provider(client: openai.OpenAI) -> None:
    tools = [{**GROUP["tools"][0], "name": f"users_{'x' * 50}_{number}"} for number in range(2)]
    group = GROUP | {"name": "n" * 40, "tools": tools}
    response = client.responses.create(model="claude-haiku-4-5", input=QUESTION, tools=[group])  # type: ignore[list-item]
    calls = [item for item in response.output if item.type == "function_call"]
    assert {(item.namespace, item.name) for item in calls} == {("n" * 40, tool["name"]) for tool in tools}


def test_tools_among_the_input_are_tools(client: openai.OpenAI) -> None:
    items = [
        {"type": "additional_tools", "role": "developer", "tools": [GROUP, VIEW_IMAGE]},
        {"role": "user", "content": QUESTION},
    ]
    response = client.responses.create(model="auto", input=items, tools=[VIEW_IMAGE])  # type: ignore[arg-type,list-item]
    (call,) = [item for item in response.output if item.type == "function_call"]
    assert (call.namespace, call.name) == ("crm", "list_users")


def test_a_wrong_tool_among_the_input_is_named(http: httpx.Client) -> None:
    items = [{"type": "additional_tools", "tools": [{"type": "function", "name": "a b"}]}]
    response = http.post("/v1/responses", json={"model": "auto", "input": items})
    assert response.json()["error"]["param"] == "input[0].tools[0].name"


def test_a_hosted_tool_beside_others_is_left_out_and_reported(
    client: openai.OpenAI, simulator: Simulator
) -> None:
    answer = client.responses.create(model="auto", input="Hi", tools=[SEARCH, VIEW_IMAGE])  # type: ignore[list-item]
    assert dropped(answer) == {"tools[].web_search"}
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model="auto", input="Hi", tools=[SEARCH])  # type: ignore[list-item]


@pytest.mark.parametrize(("tools", "more"), [([SEARCH], [VIEW_IMAGE]), ([VIEW_IMAGE], [SEARCH])])
def test_also_when_its_own_are_elsewhere(client: openai.OpenAI, tools: Any, more: Any) -> None:
    items: Any = [{"type": "additional_tools", "tools": more}, {"role": "user", "content": "Hi"}]
    choice: Any = {"type": "allowed_tools", "mode": "auto", "tools": [VIEW_IMAGE, SEARCH]}
    answer = client.responses.create(model="auto", input=items, tools=tools, tool_choice=choice)
    assert {name.removeprefix("input[].") for name in dropped(answer)} == {"tools[].web_search"}


def test_a_tool_of_a_namespace_can_be_forced(client: openai.OpenAI) -> None:
    choice: Any = {"type": "function", "namespace": "crm", "name": "list_users"}
    response = client.responses.create(model="auto", input="Hi", tools=[GROUP], tool_choice=choice)  # type: ignore[list-item]
    assert [item.name for item in response.output if item.type == "function_call"] == ["list_users"]


def test_tools_are_bounded_however_they_come(http: httpx.Client) -> None:
    many = [{"type": "function", "name": f"t{number}"} for number in range(100)]
    group = {"type": "namespace", "name": "n", "tools": many}
    body = {"model": "auto", "input": "Hi", "tools": [group, *many]}
    assert http.post("/v1/responses", json=body).json()["error"]["param"] == "tools"
    body = {"model": "auto", "input": "Hi", "tools": [group | {"tools": many * 2}]}
    assert http.post("/v1/responses", json=body).json()["error"]["param"] == "tools[0].tools"


def test_reasoning_that_is_nested_too_deep_is_damaged(http: httpx.Client) -> None:
    deep = base64.urlsafe_b64encode(b'["openai",{"a":' + b"[" * 1000 + b"]" * 1000 + b"}]").decode()
    item = {"type": "reasoning", "summary": [], "encrypted_content": f"rp1.{deep}"}
    response = http.post("/v1/responses", json={"model": "auto", "input": [item]})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "input[0].encrypted_content"


def test_what_agents_tell_of_themselves_is_left_aside(client: openai.OpenAI) -> None:
    extra = {"client_metadata": {"session_id": "s"}, "reasoning": {"context": "all_turns"}}
    messages: Any = [{"type": "message", "role": "user", "content": "Hi", "mood": "good"}]
    answer = client.responses.create(model="auto", input=messages, extra_body=extra)
    assert dropped(answer) == {"client_metadata", "reasoning.context", "input[].mood"}


@pytest.mark.parametrize("name", ["max_tokens", "n", "stop", "messages"])
def test_parameters_of_the_other_api_are_named(http: httpx.Client, name: str) -> None:
    response = http.post("/v1/responses", json={"model": "auto", "input": "Hi", name: 1})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == name


# At the Messages door

TOOL: dict[str, Any] = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
SERVER_TOOL: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
REQUEST: dict[str, Any] = {
    "model": "auto",
    "max_tokens": 2048,
    "messages": [{"role": "user", "content": "Hi"}],
}


def test_a_server_tool_beside_others_is_left_out_and_reported(http: httpx.Client) -> None:
    body = http.post("/v1/messages", json=REQUEST | {"tools": [SERVER_TOOL, TOOL]}).json()
    verdicts = {
        receipt["parameter"]: receipt["verdict"] for receipt in body["x_routeplex"]["fidelity"]["parameters"]
    }
    assert verdicts["tools[].web_search_20250305"] == "dropped"
    assert http.post("/v1/messages", json=REQUEST | {"tools": [SERVER_TOOL]}).status_code == 400


def test_fields_of_a_beta_are_for_who_names_one(http: httpx.Client) -> None:
    request = REQUEST | {"tomorrows_field": {"a": 1}}
    assert http.post("/v1/messages", json=request).status_code == 400
    beta = {"anthropic-beta": "tomorrow-2026-12-24"}
    body = http.post("/v1/messages", json=request, headers=beta).json()
    verdicts = {
        receipt["parameter"]: receipt["verdict"] for receipt in body["x_routeplex"]["fidelity"]["parameters"]
    }
    assert verdicts["tomorrows_field"] == "dropped"
    count = {name: request[name] for name in ("model", "messages", "tomorrows_field")}
    assert http.post("/v1/messages/count_tokens", json=count, headers=beta).status_code == 200


def test_a_field_of_a_beta_is_no_parameter_of_another_api(http: httpx.Client) -> None:
    request = REQUEST | {"model": "gemini-2.5-flash", "seed": 1, "reasoning": 1}
    body = http.post("/v1/messages", json=request, headers={"anthropic-beta": "x"}).json()
    verdicts = {
        receipt["parameter"]: receipt["verdict"] for receipt in body["x_routeplex"]["fidelity"]["parameters"]
    }
    assert (verdicts["seed"], verdicts["reasoning"]) == ("dropped", "dropped")


def test_unknown_fields_of_messages_and_tools_are_reported(http: httpx.Client) -> None:
    tool = TOOL | {"defer_loading": True}
    messages = [{"role": "user", "content": "Hi", "mood": "good"}]
    body = http.post("/v1/messages", json=REQUEST | {"messages": messages, "tools": [tool]}).json()
    parameters = {receipt["parameter"] for receipt in body["x_routeplex"]["fidelity"]["parameters"]}
    assert {"messages[].mood", "tools[].defer_loading"} <= parameters


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "gpt-5.6-luna"])
def test_a_cache_mark_on_a_result_is_one(http: httpx.Client, simulator: Simulator, model: str) -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": "A tree",
        "cache_control": {"type": "ephemeral"},
    }
    turns = [
        {"role": "user", "content": "Look"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    body = REQUEST | {"model": model, "messages": turns, "tools": [TOOL]}
    assert http.post("/v1/messages", json=body).status_code == 200
    sent = simulator.calls()[-1]["body"]
    if model == "claude-haiku-4-5":
        assert sent["messages"][2]["content"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    else:
        assert "prompt_cache_breakpoint" in str(sent)


def test_at_most_four_marks_are_sent_also_of_results(http: httpx.Client, simulator: Simulator) -> None:
    calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": "look", "arguments": "{}"}} for n in range(6)
    ]
    part = {"type": "text", "text": "A tree", "cache_control": {"type": "ephemeral"}}
    results = [{"role": "tool", "tool_call_id": f"c{n}", "content": [part]} for n in range(6)]
    turn = {"role": "assistant", "content": None, "tool_calls": calls}
    messages = [{"role": "user", "content": "Look"}, turn, *results]
    tool = {"type": "function", "function": {"name": "look"}}
    body = {"model": "claude-haiku-4-5", "messages": messages, "tools": [tool]}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    assert str(simulator.calls()[-1]["body"]).count("cache_control") == 4


@pytest.mark.parametrize("model", ["claude-opus-5", "gemini-3.5-flash", "gpt-6.2-sol"])
@pytest.mark.parametrize("streamed", [False, True])
def test_the_last_block_of_an_answer_is_its_text(
    server: str, api_key: str, model: str, streamed: bool
) -> None:
    """Agents take it for the answer; what a provider signs afterwards must not stand behind it."""
    client = anthropic.Anthropic(base_url=server, api_key=api_key, max_retries=0)
    fields: dict[str, Any] = REQUEST | {"model": model, "thinking": {"type": "adaptive"}}
    if streamed:
        with client.messages.stream(**fields) as stream:
            message = stream.get_final_message()
    else:
        message = client.messages.create(**fields)
    assert message.content[-1].type == "text"
