"""Reasoning survives an OpenAI-shaped conversation that sends back what it got, and harms no other."""

from typing import Any

import openai
import pytest

from tests.doors.conftest import Door, events

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
]
QUESTION = {"role": "user", "content": "What is the weather in Oslo?"}
THINKERS = ["claude-opus-5", "claude-opus-5-5", "gemini-3.5-flash", "gpt-6.2-sol"]
PROVIDERS = {"claude": "anthropic", "gemini": "google", "gpt": "openai"}


def asking(model: str, *messages: Any, **fields: Any) -> dict[str, Any]:
    return {
        "model": model,
        "messages": [QUESTION, *messages],
        "tools": TOOLS,
        "reasoning_effort": "high",
        **fields,
    }


def answered(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The assistant's message as it came, and the results of its calls."""
    calls = message["tool_calls"]
    return [message, *({"role": "tool", "tool_call_id": call["id"], "content": "4 °C"} for call in calls)]


def carried(message: dict[str, Any]) -> list[dict[str, Any]]:
    """All that a message carries for its provider."""
    own = message.get("extra_content", {}).get("routeplex", {})
    calls = [call["extra_content"]["routeplex"] for call in message["tool_calls"] if "extra_content" in call]
    return [*own.get("replay", []), *calls]


def verdict(body: dict[str, Any]) -> dict[str, Any]:
    receipts = {receipt["parameter"]: receipt for receipt in body["x_routeplex"]["fidelity"]["parameters"]}
    return receipts.get("reasoning", {})


@pytest.mark.parametrize("model", THINKERS)
def test_the_next_turn_at_the_same_provider_gets_its_reasoning_back(openai_door: Door, model: str) -> None:
    message = openai_door.ask(**asking(model)).json()["choices"][0]["message"]
    provider = PROVIDERS[model.partition("-")[0]]
    assert {part["provider"] for part in carried(message)} == {provider}
    response = openai_door.ask(**asking(model, *answered(message)))
    assert response.status_code == 200, response.text
    assert verdict(response.json())["verdict"] == "honoured"


@pytest.mark.parametrize("after", THINKERS)
@pytest.mark.parametrize("before", ["claude-opus-5", "gemini-3.5-flash", "gpt-6.2-sol"])
def test_the_next_turn_at_another_provider_goes_without(openai_door: Door, before: str, after: str) -> None:
    if PROVIDERS[before.partition("-")[0]] == PROVIDERS[after.partition("-")[0]]:
        before = "gpt-6.2-sol" if "gpt" not in after else "claude-opus-5"
    message = openai_door.ask(**asking(before)).json()["choices"][0]["message"]
    assert carried(message)
    response = openai_door.ask(**asking(after, *answered(message)))
    assert response.status_code == 200, response.text
    assert verdict(response.json())["verdict"] == "dropped"


def test_reasoning_bound_to_another_prefix_is_left_out(openai_door: Door) -> None:
    model = "claude-opus-5-5"
    message = openai_door.ask(**asking(model)).json()["choices"][0]["message"]
    changed = asking(model, *answered(message))
    changed["messages"] = [{"role": "system", "content": "Be brief."}, *changed["messages"]]
    response = openai_door.ask(**changed)
    assert response.status_code == 200, response.text
    assert verdict(response.json())["change"] == "left out: its provider did not take it back"


@pytest.mark.parametrize("model", THINKERS)
def test_the_official_client_puts_a_streams_pieces_together(
    openai_door: Door, server: str, api_key: str, model: str
) -> None:
    client = openai.OpenAI(base_url=f"{server}/v1", api_key=api_key)
    with client.chat.completions.stream(**asking(model)) as stream:  # type: ignore[arg-type]
        message = stream.get_final_completion().choices[0].message
    answer = message.model_dump(exclude_none=True)
    for call in answer["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    answer.pop("parsed", None)
    whole = openai_door.ask(**asking(model)).json()["choices"][0]["message"]
    assert len(carried(answer)) == len(carried(whole)) > 0
    response = openai_door.ask(**asking(model, *answered(answer)))
    assert response.status_code == 200, response.text
    assert verdict(response.json())["verdict"] == "honoured"


def test_calls_of_the_native_door_carry_their_signature(native: Door) -> None:
    fields: dict[str, Any] = {"model": "gemini-3.5-flash", "tools": TOOLS, "messages": [QUESTION]}
    (whole,) = native.ask(**fields).json()["data"]["tool_calls"]
    streamed = [event for event in events(native.ask(stream=True, **fields)) if event["type"] == "tool_call"]
    for call in (whole, streamed[0]):
        assert call["extra_content"]["routeplex"]["provider"] == "google"


@pytest.mark.parametrize(
    ("extra", "field"),
    [
        ({"routeplex": 7}, "messages[1].extra_content.routeplex"),
        ({"routeplex": {"replay": 7}}, "messages[1].extra_content.routeplex.replay"),
        ({"routeplex": {"replay": [{}]}}, "messages[1].extra_content.routeplex.replay[0]"),
        (
            {"routeplex": {"replay": [{"provider": "openai", "data": "x"}]}},
            "messages[1].extra_content.routeplex.replay[0]",
        ),
    ],
)
def test_a_misshapen_field_is_named(openai_door: Door, extra: Any, field: str) -> None:
    message = {"role": "assistant", "content": "Hm.", "extra_content": extra}
    response = openai_door.ask(messages=[QUESTION, message, QUESTION])
    assert response.status_code == 400
    assert openai_door.fields(response) == [field]


def test_what_others_keep_in_the_field_is_not_ours(openai_door: Door) -> None:
    message = {"role": "assistant", "content": "Hm.", "extra_content": {"google": {"thought_signature": "x"}}}
    assert openai_door.ask(messages=[QUESTION, message, QUESTION]).status_code == 200
