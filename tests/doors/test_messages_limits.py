"""The Messages door has the limits and betas of Anthropic's own API, mapped for other providers."""

import json
from typing import Any

import httpx
import pytest

from tests.conftest import Simulator

WIRES = ["claude-sonnet-4-5", "gpt-4.1-mini", "gpt-6.2-sol", "gemini-2.5-flash"]
CITY = {
    "type": "object",
    "properties": {"name": {"type": "string"}},
    "required": ["name"],
    "additionalProperties": False,
}
STRUCTURED = {"anthropic-beta": "structured-outputs-2025-11-13"}
LONG = "mcp__garden-keeper__list_watering_schedules_of_every_bed_and_season_of_the_year"


def ask(http: httpx.Client, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
    body = {"max_tokens": 2048, "messages": [{"role": "user", "content": "Describe Paris as a city."}]}
    return http.post("/v1/messages", json=body | fields, headers=headers)


def verdicts(response: httpx.Response) -> dict[str, str]:
    assert response.status_code == 200, response.text
    receipt = response.json()["x_routeplex"]["fidelity"]["parameters"]
    return {entry["parameter"]: entry["verdict"] for entry in receipt}


def tool(name: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    return {"name": name, "description": name, "input_schema": schema}


@pytest.mark.parametrize("model", WIRES)
def test_the_older_output_format_of_a_beta_is_a_schema(http: httpx.Client, model: str) -> None:
    form = {"type": "json_schema", "schema": CITY}
    response = ask(http, STRUCTURED, model=model, output_format=form)
    assert verdicts(response)["response_format"] == "honoured"
    assert isinstance(json.loads(response.json()["content"][-1]["text"])["name"], str)


def test_the_older_output_format_is_of_a_beta_and_stands_alone(http: httpx.Client) -> None:
    form = {"type": "json_schema", "schema": CITY}
    assert ask(http, model="auto", output_format=form).status_code == 400
    twice = ask(http, STRUCTURED, model="auto", output_format=form, output_config={"format": form})
    assert twice.json()["error"]["details"]["param"] == "output_format"


@pytest.mark.parametrize("model", WIRES)
def test_references_to_tools_are_read_in_results(
    http: httpx.Client, simulator: Simulator, model: str
) -> None:
    search = {"type": "tool_use", "id": "toolu_1", "name": "search_tools", "input": {}}
    reference = {"type": "tool_reference", "tool_name": "get_weather"}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [reference]}
    messages = [
        {"role": "user", "content": "What is the weather?"},
        {"role": "assistant", "content": [search]},
        {"role": "user", "content": [result]},
    ]
    tools = [tool("search_tools"), tool("get_weather") | {"defer_loading": True}]
    assert ask(http, model=model, messages=messages, tools=tools).status_code == 200
    assert "The tool get_weather is available." in str(simulator.calls()[-1]["body"])


UPDATES = "thinking-display-updates-2026-08-18"


def test_updates_of_thinking_are_passed_to_claude(http: httpx.Client, simulator: Simulator) -> None:
    thinking = {"type": "adaptive", "display": "updates"}
    response = ask(http, {"anthropic-beta": UPDATES}, model="claude-opus-5", thinking=thinking)
    assert verdicts(response) == verdicts(response) | {
        "anthropic-beta": "honoured",
        "thinking.display": "honoured",
    }
    call = simulator.calls()[-1]
    assert (call["body"]["thinking"]["display"], call["headers"]["anthropic-beta"]) == ("updates", UPDATES)


@pytest.mark.parametrize("model", WIRES[1:])
def test_betas_are_left_out_elsewhere(http: httpx.Client, simulator: Simulator, model: str) -> None:
    fields = {"thinking": {"type": "adaptive", "display": "updates"}, "context_management": {"edits": []}}
    response = ask(
        http, {"anthropic-beta": f"{UPDATES},context-management-2025-06-27"}, model=model, **fields
    )
    names = ("anthropic-beta", "thinking.display", "context_management")
    assert {verdicts(response)[name] for name in names} == {"dropped"}
    assert "anthropic-beta" not in simulator.calls()[-1]["headers"]


def test_context_management_is_passed_to_claude_with_its_beta(
    http: httpx.Client, simulator: Simulator
) -> None:
    header = {"anthropic-beta": "context-management-2025-06-27, prompt-caching-2024-07-31"}
    fields = {"model": "claude-sonnet-4-5", "context_management": {"edits": []}}
    assert verdicts(ask(http, header, **fields))["context_management"] == "honoured"
    assert simulator.calls()[-1]["headers"]["anthropic-beta"] == "context-management-2025-06-27"
    assert verdicts(ask(http, **fields))["context_management"] == "dropped"


@pytest.mark.parametrize("pool", ["openai/*", "anthropic/*", "google/*"])
def test_unknown_betas_do_not_make_auto_depend_on_the_provider(http: httpx.Client, pool: str) -> None:
    headers = {"anthropic-beta": "tomorrow-2026-12-24", "X-RoutePlex-Models": pool}
    response = ask(
        http, headers, model="auto", tomorrows_field={"a": 1}, output_config={"task_budget": {"total": 9}}
    )
    names = ("anthropic-beta", "tomorrows_field", "output_config.task_budget")
    assert [verdicts(response)[name] for name in names] == ["dropped"] * 3


def test_unknown_betas_reach_the_named_claude(http: httpx.Client, simulator: Simulator) -> None:
    response = ask(http, {"anthropic-beta": "tomorrow-2026-12-24"}, model="claude-sonnet-4-5", x_field=1)
    assert response.status_code == 400
    call = simulator.calls()[-1]
    assert (call["headers"]["anthropic-beta"], call["body"]["x_field"]) == ("tomorrow-2026-12-24", 1)


def test_betas_that_change_the_price_are_never_passed_on(http: httpx.Client, simulator: Simulator) -> None:
    header = {"anthropic-beta": "fast-mode-2026-02-01,context-management-2025-06-27"}
    response = ask(http, header, model="claude-sonnet-4-5")
    assert verdicts(response)["anthropic-beta"] == "adapted"
    assert simulator.calls()[-1]["headers"]["anthropic-beta"] == "context-management-2025-06-27"


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("stream", [False, True])
def test_long_tool_names_are_called_by_their_names(http: httpx.Client, model: str, stream: bool) -> None:
    earlier = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": LONG, "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "21"}]},
        {"role": "user", "content": "And in Rome?"},
    ]
    choice = {"type": "tool", "name": LONG}
    response = ask(http, model=model, messages=earlier, tools=[tool(LONG)], tool_choice=choice, stream=stream)
    assert response.status_code == 200, response.text
    if stream:
        events = [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: ")]
        blocks = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    else:
        blocks = response.json()["content"]
        assert verdicts(response)["tools"] == ("honoured" if "claude" in model else "adapted")
    assert [block["name"] for block in blocks if block["type"] == "tool_use"] == [LONG]


def test_a_tool_name_that_anthropic_refuses_is_named(http: httpx.Client) -> None:
    response = ask(http, model="auto", tools=[tool("x" * 129)])
    assert response.json()["error"]["details"]["param"] == "tools[0].name"


def test_many_tools_go_to_a_model_that_takes_them(http: httpx.Client) -> None:
    tools = [tool(f"tool_{number}") for number in range(130)]
    response = ask(http, model="auto", tools=tools)
    assert response.status_code == 200, response.text
    assert response.json()["model"].startswith("claude-")
    pinned = ask(http, {"X-RoutePlex-Fallback": "false"}, model="gpt-4.1-mini", tools=tools)
    assert pinned.status_code == 400
    assert "takes at most 128 tools" in pinned.text
