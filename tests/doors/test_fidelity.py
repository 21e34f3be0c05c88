"""Both doors say what became of each parameter; the ledger row keeps it."""

from typing import Any

import pytest

from tests.conftest import Simulator
from tests.doors.conftest import OPENAI_SHAPED, Door, events

PARAMETERS: dict[str, Any] = {"temperature": 1.7, "top_p": 0.5}
RECEIPTS = [
    {"parameter": "temperature", "verdict": "adapted", "change": "1.7 became 1"},
    {"parameter": "top_p", "verdict": "dropped", "change": "not taken together with temperature"},
]


def fidelity_of(door: Door, body: dict[str, Any]) -> Any:
    """The fidelity of an answer, or of the last event of a stream that has one."""
    if door.name == "native":
        return (body.get("data") or body)["routing"]["fidelity"]
    return body["x_routeplex"]["fidelity"]


@OPENAI_SHAPED
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_answer_says_what_became_of_each_parameter(door: Door, stream: bool) -> None:
    from billing.models import Request

    response = door.ask(model="claude-sonnet-4-5", stream=stream, **PARAMETERS)
    last = "routing" if door.name == "native" else "usage"
    body = next(entry for entry in events(response) if entry.get(last)) if stream else response.json()
    fidelity = fidelity_of(door, body)
    assert set(fidelity) == {"parameters"}
    assert [entry for entry in fidelity["parameters"] if entry["parameter"] in PARAMETERS] == RECEIPTS
    row = Request.objects.get(pk=response.headers["x-request-id"])
    assert row.fidelity == fidelity
    assert row.output_valid is None
    logged = door.http.get(f"/api/v1/requests/{row.id}").json()["data"]
    assert logged["fidelity"] == fidelity


def test_a_bound_of_ours_is_no_parameter_of_the_callers(openai_door: Door) -> None:
    body = openai_door.ask(model="gpt-4o", user="somebody").json()
    assert fidelity_of(openai_door, body)["parameters"] == [{"parameter": "user", "verdict": "honoured"}]


def test_an_output_of_another_form_is_reported_and_recorded(openai_door: Door) -> None:
    from billing.models import Request

    # In words only, for this provider has no switch for a JSON object; the simulator is given other words.
    exactly = [{"role": "user", "content": "Reply with exactly: Paris"}]
    fields = {"messages": exactly, "response_format": {"type": "json_object"}}
    body = openai_door.ask(model="claude-sonnet-4-5", **fields).json()
    fidelity = fidelity_of(openai_door, body)
    assert fidelity["output"] == {"valid": False, "fault": "not JSON"}
    assert fidelity["parameters"][0]["verdict"] == "adapted"
    row = Request.objects.get(pk=body["x_routeplex"]["request_id"])
    assert row.output_valid is False
    assert row.fidelity["output"] == {"valid": False, "fault": "not JSON"}
    assert "Paris" not in str(row.fidelity)


def test_an_output_of_the_form_asked_for_is_valid(openai_door: Door) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    wanted = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    for model in ("gpt-4o", "claude-sonnet-4-5", "gemini-2.5-flash"):
        body = openai_door.ask(model=model, response_format=wanted).json()
        assert fidelity_of(openai_door, body)["output"] == {"valid": True}


def test_the_arguments_of_calls_are_held_to_their_tool(openai_door: Door, simulator: Simulator) -> None:
    from billing.models import Request

    def called(**city: Any) -> Any:
        parameters = {"type": "object", "properties": {"city": city}, "required": ["city"]}
        tool = {"type": "function", "function": {"name": "get_weather", "parameters": parameters}}
        messages = [{"role": "user", "content": "Use the get weather tool for Paris."}]
        return openai_door.ask(model="gpt-4o", messages=messages, tools=[tool]).json()

    assert fidelity_of(openai_door, called(type="string"))["output"] == {"valid": True}
    body = called(type="string", pattern="^[a-f]{3}-[0-9]{2}$")  # nothing the model is held to
    assert fidelity_of(openai_door, body)["output"] == {
        "valid": False,
        "fault": "pattern",
        "call": "get_weather",
    }
    assert Request.objects.get(pk=body["x_routeplex"]["request_id"]).output_valid is False


def test_another_model_than_asked_for_is_in_the_receipt(openai_door: Door, simulator: Simulator) -> None:
    simulator.fault(provider="openai", kind="wrong_model")
    (first,) = fidelity_of(openai_door, openai_door.ask(model="gpt-4o").json())["parameters"]
    assert first["parameter"] == "model"
    assert first["verdict"] == "adapted"
    assert "simulated-wrong-model" in first["change"]


def test_several_choices_of_an_api_that_gives_one(openai_door: Door) -> None:
    from billing.models import Request

    body = openai_door.ask(model="claude-sonnet-4-5", n=3).json()
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    row = Request.objects.get(pk=body["x_routeplex"]["request_id"])
    assert row.output_tokens == body["usage"]["completion_tokens"]
    assert row.attempts.count() == 1
    assert {"parameter": "n", "verdict": "adapted", "change": "asked 3 times"} in row.fidelity["parameters"]


def test_a_failed_request_has_no_receipt(openai_door: Door, simulator: Simulator) -> None:
    from billing.models import Request

    simulator.fault(provider="openai", kind="status", status=400)
    response = openai_door.ask(model="gpt-4o", temperature=0.1)
    assert response.status_code == 400
    assert Request.objects.get(pk=response.headers["x-request-id"]).fidelity is None
