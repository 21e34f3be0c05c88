"""Responses that refer to earlier ones by `previous_response_id` or `item_reference`, and to lost ones."""

import json
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from tests.conftest import Simulator
from tests.doors.test_responses import ASK_WEATHER, THINKERS, WEATHER, WIRES

EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
NAME = "My name is Ottilie. Remember it."
GONE = "resp_" + "0" * 26


@pytest.fixture
def client(server: str, api_key: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)


def texts(simulator: Simulator) -> str:
    """The last request that a provider received."""
    return str(simulator.calls()[-1]["body"])


@pytest.mark.parametrize("model", WIRES)
def test_a_response_continues_an_earlier_one(client: openai.OpenAI, simulator: Simulator, model: str) -> None:
    first = client.responses.create(model=model, input=NAME, instructions="Be brief.")
    second = client.responses.create(model=model, input="And again?", previous_response_id=first.id)
    third = client.responses.create(model=model, input="A third time?", previous_response_id=second.id)
    assert (third.previous_response_id, third.store) == (second.id, True)  # type: ignore[attr-defined]
    sent = texts(simulator)
    places = [sent.index(text) for text in ("Ottilie", first.output_text[:15], "And again?", "A third time?")]
    assert places == sorted(places)
    assert "Be brief." not in sent  # instructions are of one response


def test_the_results_of_calls_continue_a_response(client: openai.OpenAI, simulator: Simulator) -> None:
    first = client.responses.create(model="gpt-4.1-mini", input=[ASK_WEATHER], tools=[WEATHER])
    results: Any = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "4 °C"}
        for item in first.output
        if item.type == "function_call"
    ]
    second = client.responses.create(
        model="gpt-4.1-mini", input=results, tools=[WEATHER], previous_response_id=first.id
    )
    assert "4 °C" in second.output_text


@pytest.mark.parametrize("model", THINKERS)
def test_references_stand_for_the_items_of_earlier_responses(client: openai.OpenAI, model: str) -> None:
    fields: dict[str, Any] = {"model": model, "tools": [WEATHER], "reasoning": {"effort": "high"}}
    first = client.responses.create(input=[ASK_WEATHER], **fields)
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "4 °C"}
        for item in first.output
        if item.type == "function_call"
    ]
    second: Any = client.responses.create(input=[ASK_WEATHER, *references, *results], **fields)
    assert "4 °C" in second.output_text
    receipts = {entry["parameter"]: entry for entry in second.x_routeplex["fidelity"]["parameters"]}
    assert receipts["reasoning"]["verdict"] == "honoured"


def test_reasoning_named_by_its_id_alone_is_restored(client: openai.OpenAI) -> None:
    fields: dict[str, Any] = {
        "model": "gpt-6.2-sol",
        "tools": [WEATHER],
        "reasoning": {"effort": "high", "summary": "auto"},
    }
    first = client.responses.create(input=[ASK_WEATHER], **fields)
    back = [
        {"type": "reasoning", "id": item.id, "summary": [], "encrypted_content": None}
        if item.type == "reasoning"
        else item.model_dump(exclude_none=True)
        for item in first.output
    ]
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "4 °C"}
        for item in first.output
        if item.type == "function_call"
    ]
    second: Any = client.responses.create(input=[ASK_WEATHER, *back, *results], **fields)
    receipts = {entry["parameter"]: entry for entry in second.x_routeplex["fidelity"]["parameters"]}
    assert receipts["reasoning"]["verdict"] == "honoured"


def test_a_reference_to_an_item_of_the_continued_response_is_no_repetition(
    client: openai.OpenAI, simulator: Simulator
) -> None:
    first = client.responses.create(model="gpt-4.1-mini", input=NAME)
    again: Any = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "And?"}]
    client.responses.create(model="gpt-4.1-mini", input=again, previous_response_id=first.id)
    assert texts(simulator).count(first.output_text[:15]) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_streamed_response_can_be_continued(
    client: openai.OpenAI, simulator: Simulator, stream: bool
) -> None:
    with client.responses.stream(model="gpt-4.1-mini", input=NAME) as events:
        first: Any = events.get_final_response()
    second: Any = client.responses.create(
        model="gpt-4.1-mini", input="And?", previous_response_id=first.id, stream=stream
    )
    if stream:
        list(second)
    assert "Ottilie" in texts(simulator)


def test_the_tokens_of_a_continued_conversation_are_counted(http: httpx.Client) -> None:
    first = http.post("/v1/responses", json={"model": "gpt-4.1-mini", "input": NAME * 20}).json()
    body = {"model": "gpt-4.1-mini", "input": "And?"}
    alone = http.post("/v1/responses/input_tokens", json=body).json()["input_tokens"]
    body["previous_response_id"] = first["id"]
    assert http.post("/v1/responses/input_tokens", json=body).json()["input_tokens"] > alone + 100


@pytest.mark.parametrize("previous", [GONE, "resp_1", "x"])
def test_a_missing_response_is_openais_error(client: openai.OpenAI, previous: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="auto", input="And?", previous_response_id=previous)
    assert refused.value.code == "previous_response_not_found"
    assert refused.value.param == "previous_response_id"
    assert f"Previous response with id '{previous}' not found." in refused.value.message


@pytest.mark.parametrize("identity", ["msg_" + "0" * 26 + "_0", "msg_1", 7, None])
def test_a_missing_item_is_openais_error(http: httpx.Client, identity: Any) -> None:
    body = {"model": "auto", "input": [{"type": "item_reference", "id": identity}]}
    response = http.post("/v1/responses", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (404, "item_not_found")
    assert f"Item with id '{identity}' not found." in response.json()["error"]["message"]


def test_nothing_is_kept_of_a_caller_who_forbids_it(client: openai.OpenAI) -> None:
    first = client.responses.create(model="gpt-4.1-mini", input=NAME, store=False)
    assert first.store is False  # type: ignore[attr-defined]
    with pytest.raises(openai.BadRequestError, match="not found"):
        client.responses.create(model="gpt-4.1-mini", input="And?", previous_response_id=first.id)


def test_another_account_cannot_refer_to_a_response(
    client: openai.OpenAI, server: str, live_db: None
) -> None:
    from accounts.keys import create_key
    from accounts.models import Account, Plan

    other = Account.objects.create(name="Others", plan=Plan.objects.get(pk="unlimited"))
    _, secret = create_key(account=other, name="k")
    stranger = openai.OpenAI(base_url=f"{server}/v1", api_key=secret, max_retries=0)
    first = client.responses.create(model="gpt-4.1-mini", input=NAME)
    with pytest.raises(openai.BadRequestError, match="not found"):
        stranger.responses.create(model="gpt-4.1-mini", input="And?", previous_response_id=first.id)
    reference: Any = {"type": "item_reference", "id": first.output[0].id}
    with pytest.raises(openai.NotFoundError, match="not found"):
        stranger.responses.create(model="gpt-4.1-mini", input=[reference])


def test_a_fault_is_named_by_its_place_in_the_request(client: openai.OpenAI) -> None:
    first = client.responses.create(model="gpt-4.1-mini", input=NAME)
    wrong: Any = [{"role": "user", "content": [{"type": "input_text"}]}]
    with pytest.raises(openai.BadRequestError) as refused:
        client.responses.create(model="gpt-4.1-mini", input=wrong, previous_response_id=first.id)
    assert refused.value.param == "input[0].content[0].text"


def test_a_result_without_its_call_is_read_as_text(client: openai.OpenAI, simulator: Simulator) -> None:
    items: Any = [{"role": "user", "content": "Hm."}, {"type": "function_call_output", "output": "4 °C"}]
    assert client.responses.create(model="gpt-4.1-mini", input=items).output_text
    assert simulator.calls()[-1]["body"]["messages"][-1] == {"role": "user", "content": "4 °C"}


# The cases of the Open Responses compliance suite, held to the fields that its schemas require

REQUIRED = {
    *("id", "object", "created_at", "completed_at", "status", "incomplete_details", "model", "output"),
    *("previous_response_id", "instructions", "error", "tools", "tool_choice", "truncation", "text"),
    *("parallel_tool_calls", "top_p", "presence_penalty", "frequency_penalty", "top_logprobs"),
    *("temperature", "reasoning", "usage", "max_output_tokens", "max_tool_calls", "store", "background"),
    *("service_tier", "metadata", "safety_identifier", "prompt_cache_key"),
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9"
    "awAAAABJRU5ErkJggg=="
)
CASES: dict[str, dict[str, Any]] = {
    "text": {"input": [{"type": "message", "role": "user", "content": "Say hello in three words."}]},
    "system prompt": {
        "input": [
            {"type": "message", "role": "system", "content": "You are a pirate."},
            {"type": "message", "role": "user", "content": "Say hello."},
        ]
    },
    "tool": {
        "input": [{"type": "message", "role": "user", "content": "What is the weather in Paris?"}],
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "description": "The weather in a city",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        ],
    },
    "image": {
        "input": [
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What do you see?"},
                    {"type": "input_image", "image_url": PIXEL},
                ],
            }
        ]
    },
    "several turns": {
        "input": [
            {"type": "message", "role": "user", "content": "My name is Alice."},
            {"type": "message", "role": "assistant", "content": "Hello Alice!"},
            {"type": "message", "role": "user", "content": "What is my name?"},
        ]
    },
    "penalties": {"input": "Hi.", "presence_penalty": 0.5, "frequency_penalty": 0.25},
}


@pytest.mark.parametrize("model", WIRES)
@pytest.mark.parametrize("case", CASES)
def test_the_cases_of_open_responses(http: httpx.Client, case: str, model: str) -> None:
    body = {"model": model, **CASES[case]}
    answer = http.post("/v1/responses", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json().keys() >= REQUIRED
    assert answer.json()["presence_penalty"] == CASES[case].get("presence_penalty", 0)
    with http.stream("POST", "/v1/responses", json=body | {"stream": True}) as stream:
        events = [json.loads(line[6:]) for line in stream.iter_lines() if line.startswith("data: ")]
    for event in events:
        EVENT.validate_python(event)
        if "response" in event:
            assert event["response"].keys() >= REQUIRED - {"usage"}
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"].keys() >= REQUIRED
