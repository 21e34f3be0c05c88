"""The fidelity receipt says of every parameter what became of it, and says so of what is on the wire."""

import json
from typing import Any

import pytest

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import (
    CacheMark,
    ChatRequest,
    Image,
    Message,
    Opaque,
    ResponseFormat,
    Role,
    Sampling,
    Started,
    Text,
    Tool,
    ToolChoice,
)
from routing.language.fidelity import ParameterReceipt, Verdict
from routing.providers.anthropic import requests as anthropic
from routing.providers.gemini import requests as gemini
from routing.providers.openai import chat_requests as openai_chat
from routing.providers.openai import responses_requests as openai_responses
from routing.providers.shared.receipt import CUT_HERE, FOREIGN, parameters_of
from tests.providers.conftest import Caller
from tests.providers.facts import (
    CHAT,
    CLAUDE,
    GEMINI,
    LOCAL,
    MODELS,
    OLD_CLAUDE,
    OLD_GEMINI,
    PIXEL,
    REASONING_CHAT,
    RESPONSES,
    UNFORCED_CLAUDE,
    WEATHER,
    asking,
    user,
)

BUILDERS: dict[str, Any] = {
    CHAT.id: openai_chat.build,
    REASONING_CHAT.id: openai_chat.build,
    RESPONSES.id: openai_responses.build,
    LOCAL.id: openai_chat.build_compatible,
    CLAUDE.id: anthropic.build,
    OLD_CLAUDE.id: anthropic.build,
    UNFORCED_CLAUDE.id: anthropic.build,
    GEMINI.id: gemini.build,
    OLD_GEMINI.id: gemini.build,
}
ARMS = [CHAT, REASONING_CHAT, RESPONSES, LOCAL, CLAUDE, OLD_CLAUDE, UNFORCED_CLAUDE, GEMINI, OLD_GEMINI]
each_arm = pytest.mark.parametrize("model", ARMS, ids=lambda model: model.id)

# Each with a value nothing else on the wire has, and so found in the body if and only if it was sent.
SENTINELS: dict[str, tuple[dict[str, Any], str]] = {
    "temperature": ({"sampling": Sampling(temperature=0.4321)}, "0.4321"),
    "top_p": ({"sampling": Sampling(top_p=0.4321)}, "0.4321"),
    "top_k": ({"sampling": Sampling(top_k=4321)}, "4321"),
    "presence_penalty": ({"sampling": Sampling(presence_penalty=0.4321)}, "0.4321"),
    "frequency_penalty": ({"sampling": Sampling(frequency_penalty=0.4321)}, "0.4321"),
    "seed": ({"sampling": Sampling(seed=43210)}, "43210"),
    "logit_bias": ({"sampling": Sampling(logit_bias={"4321": 1.0})}, "4321"),
    "max_tokens": ({"max_output_tokens": 777}, "777"),
    "logprobs": ({"logprobs": True}, "ogprobs"),
    "verbosity": ({"verbosity": "low"}, "verbosity"),
    "user": ({"user": "somebody-4321"}, "somebody-4321"),
    "metadata": ({"metadata": {"ticket": "t-4321"}}, "t-4321"),
    "tools": ({"tools": (WEATHER,)}, "get_weather"),
    "images": ({"messages": (user("?", Image(PIXEL)),)}, "iVBORw0KGgo"),
    "prompt_cache_key": ({"extra": {"prompt_cache_key": "k-4321"}}, "k-4321"),
}


def sent(
    request: ChatRequest, model: ModelFacts, effort: Effort | None = None
) -> tuple[str, dict[str, ParameterReceipt]]:
    wire = BUILDERS[model.id](request, model, effort, stream=False)
    return wire.body.decode(), {entry.parameter: entry for entry in wire.receipt}


@pytest.mark.parametrize("parameter", SENTINELS)
@each_arm
def test_honoured_parameters_are_sent_and_dropped_ones_are_not(model: ModelFacts, parameter: str) -> None:
    fields, mark = SENTINELS[parameter]
    body, entries = sent(asking(**fields) if "messages" not in fields else ChatRequest(**fields), model)
    assert set(entries) == {parameter}
    assert entries[parameter].verdict is (Verdict.HONOURED if mark in body else Verdict.DROPPED)
    assert (entries[parameter].change is None) is (mark in body)


@each_arm
def test_every_parameter_of_a_request_has_one_entry(model: ModelFacts) -> None:
    request = asking(
        user("Hi", Image(PIXEL)),
        sampling=Sampling(1.5, 0.9, 40, 0.1, 0.1, 7, {"50256": -100}),
        stop=("a", "b"),
        n=2,
        logprobs=True,
        top_logprobs=2,
        tools=(WEATHER,),
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_object"),
        effort=Effort.HIGH,
        verbosity="low",
        user="u",
        metadata={"a": "b"},
        service_tier="flex",
        max_output_tokens=5,
        extra={"store": True},
    )
    _, entries = sent(request, model, Effort.HIGH)
    assert list(entries) == list(parameters_of(request))
    assert len(entries) == 23


@each_arm
def test_a_limit_of_the_visible_answer_is_honoured_within_a_higher_one(model: ModelFacts) -> None:
    body, entries = sent(asking(max_output_tokens=1777, max_answer_tokens=400), model)
    assert "1777" in body
    assert entries == {"max_tokens": ParameterReceipt("max_tokens", Verdict.HONOURED, "visible answer")}


def test_a_visible_limit_above_the_models_own_is_adapted() -> None:
    most = LOCAL.max_output_tokens
    _, entries = sent(asking(max_output_tokens=most, max_answer_tokens=most + 1), LOCAL)
    assert entries["max_tokens"].verdict is Verdict.ADAPTED


def test_a_request_without_parameters_has_an_empty_receipt() -> None:
    assert [sent(asking(), model)[1] for model in ARMS] == [{}] * len(ARMS)


def test_a_clamped_temperature_names_both_values() -> None:
    _, entries = sent(asking(sampling=Sampling(1.7)), OLD_CLAUDE)
    assert entries["temperature"] == ParameterReceipt("temperature", Verdict.ADAPTED, "1.7 became 1")


def test_a_missing_effort_names_the_effort_used() -> None:
    _, entries = sent(asking(effort=Effort.MINIMAL), CLAUDE, Effort.MINIMAL)
    assert entries["reasoning_effort"] == ParameterReceipt(
        "reasoning_effort", Verdict.ADAPTED, "minimal became low"
    )
    _, entries = sent(asking(effort=Effort.HIGH), CLAUDE, Effort.HIGH)
    assert entries["reasoning_effort"].verdict is Verdict.HONOURED


@each_arm
def test_reasoning_of_another_provider_is_dropped_and_its_own_is_not(model: ModelFacts) -> None:
    foreign = Message(Role.ASSISTANT, (Opaque("elsewhere", {"type": "thinking", "x": "zz4321"}), Text("Hm.")))
    body, entries = sent(asking(user("Hi"), foreign, user("And?")), model)
    assert "zz4321" not in body
    assert entries["reasoning"].verdict is Verdict.DROPPED
    if model in (RESPONSES, CLAUDE, GEMINI):
        assert entries["reasoning"].change == FOREIGN
        own = Message(Role.ASSISTANT, (Opaque(model.provider, _reasoning(model)), Text("Hm.")))
        body, entries = sent(asking(user("Hi"), own, user("And?")), model)
        assert "zz4321" in body
        assert entries["reasoning"].verdict is Verdict.HONOURED


def _reasoning(model: ModelFacts) -> dict[str, Any]:
    return {
        RESPONSES.id: {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "zz4321"},
        CLAUDE.id: {"type": "thinking", "thinking": "Hm.", "signature": "zz4321"},
        GEMINI.id: {"textSignature": "zz4321"},
    }[model.id]


# Schemas, a dialect each

LOOSE = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "size": {"type": "integer", "minimum": 1, "description": "Its size."},
        "kind": {"const": 3},
    },
    "required": ["size"],
}


def formatted(schema: dict[str, Any], model: ModelFacts) -> tuple[dict[str, Any], ParameterReceipt]:
    wanted = ResponseFormat("json_schema", "answer", schema=schema, strict=True)
    body, entries = sent(asking(response_format=wanted), model)
    return json.loads(body), entries["response_format"]


@pytest.mark.parametrize("model", [CHAT, RESPONSES], ids=lambda model: model.id)
def test_a_schema_openai_would_refuse_is_sent_as_not_strict(model: ModelFacts) -> None:
    body, entries = formatted(LOOSE, model)
    assert "minimum" in json.dumps(body)
    assert entries == ParameterReceipt(
        "response_format", Verdict.ADAPTED, "not strict: an object lacks additionalProperties: false"
    )
    closed = {**LOOSE, "additionalProperties": False, "required": ["size", "kind"]}
    assert formatted(closed, model)[1].verdict is Verdict.HONOURED


def test_anthropics_objects_are_closed_and_bounds_go_in_the_description() -> None:
    body, entries = formatted(LOOSE, CLAUDE)
    schema = body["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["size"] == {"type": "integer", "description": "Its size. minimum: 1"}
    assert "$schema" not in schema
    assert entries.change == "minimum is described in words; objects take no other properties"


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            "an object takes any property names",
        ),
        ({"type": "object", "properties": {"self": {"$ref": "#"}}}, "it is recursive"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}, "$defs": {
                "a": {"type": "object", "properties": {"b": {"$ref": "#/$defs/b"}}},
                "b": {"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}}}}},
            "it is recursive",
        ),
        (
            {"type": "object", "properties": {f"p{n}": {"type": "string"} for n in range(25)}},
            "25 properties are optional, more than 24",
        ),
        (
            {"type": "array", "items": {"allOf": [{"type": ["string", "null"]}] * 17}},
            "17 unions, more than 16",
        ),
    ],
)  # fmt: skip
def test_a_schema_anthropic_would_refuse_becomes_an_instruction(schema: dict[str, Any], why: str) -> None:
    body, entries = formatted(schema, CLAUDE)
    assert "output_config" not in body
    assert json.dumps(schema, separators=(",", ":")) in body["system"]
    assert entries.change == f"asked for in words: {why}"


def test_strict_tools_are_strict_at_anthropic_while_their_schemas_fit() -> None:
    strict = Tool("f", None, {"type": "object", "properties": {"a": {"type": "string"}}}, strict=True)
    body, entries = sent(asking(tools=(strict, WEATHER)), CLAUDE)
    first, second = json.loads(body)["tools"]
    assert first["strict"] is True
    assert first["input_schema"]["additionalProperties"] is False
    assert "strict" not in second
    many = tuple(Tool(f"f{n}", None, strict.parameters, strict=True) for n in range(21))
    body, entries = sent(asking(tools=many), CLAUDE)
    assert '"strict"' not in body
    assert entries["tools"].change == "not strict: 21 tools are, more than 20"


def test_geminis_changes_are_in_the_receipt() -> None:
    _, entries = formatted(LOOSE, GEMINI)
    assert entries.verdict is Verdict.ADAPTED
    assert entries.change is not None
    for change in ("$schema is left out", "const is an enum of one", "described in words"):
        assert change in entries.change


def test_cache_marks_beyond_the_fourth_are_in_the_receipt() -> None:
    mark = CacheMark()
    request = asking(*(Message(Role.USER, (Text(str(n), mark),)) for n in range(6)))
    assert sent(request, CLAUDE)[1]["cache_control"].change == "the last 4 of 6 marks"
    assert sent(request, GEMINI)[1]["cache_control"].verdict is Verdict.DROPPED


def test_a_tool_choice_that_cannot_be_forced_is_adapted() -> None:
    request = asking(tools=(WEATHER,), tool_choice=ToolChoice("required"))
    assert sent(request, UNFORCED_CLAUDE)[1]["tool_choice"].verdict is Verdict.ADAPTED
    assert sent(request, CLAUDE)[1]["tool_choice"].verdict is Verdict.HONOURED


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("model", [CHAT, RESPONSES, CLAUDE, GEMINI], ids=lambda model: model.id)
async def test_an_answer_begins_with_its_receipt(caller: Caller, model: ModelFacts, stream: bool) -> None:
    events = await caller.events(asking(sampling=Sampling(seed=1), user="u"), model, stream=stream)
    assert isinstance(events[0], Started)
    assert [entry.parameter for entry in events[0].receipt] == ["seed", "user"]


@each_arm
def test_settings_of_tools_are_not_honoured_without_tools(model: ModelFacts) -> None:
    _, entries = sent(asking(tool_choice=ToolChoice("auto"), parallel_tool_calls=True), model)
    assert {entry.verdict for entry in entries.values()} == {Verdict.DROPPED}


def test_tools_that_are_left_out_are_not_honoured() -> None:
    body, entries = sent(asking(tools=(WEATHER,), tool_choice=ToolChoice("none")), CLAUDE)
    assert "get_weather" not in body
    assert entries["tools"].verdict is Verdict.ADAPTED


def test_stop_sequences_the_api_lacks_are_cut_here() -> None:
    _, entries = sent(asking(stop=("END",)), RESPONSES)
    assert entries["stop"] == ParameterReceipt("stop", Verdict.ADAPTED, CUT_HERE)
    assert sent(asking(stop=("END",)), CLAUDE)[1]["stop"].verdict is Verdict.HONOURED
    assert sent(asking(stop=("END", "\n")), CLAUDE)[1]["stop"].verdict is Verdict.ADAPTED


def test_every_catalog_model_has_a_builder_here() -> None:
    assert {model.dialect for model in MODELS.values()} <= {model.dialect for model in ARMS}
