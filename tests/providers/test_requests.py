"""Requests as built for each wire, held to the official SDKs' types ."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Opaque,
    Refusal,
    ResponseFormat,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
)
from routing.language.choices import needs_second_api
from routing.providers.anthropic import requests as anthropic
from routing.providers.gemini import requests as gemini
from routing.providers.openai import chat_requests as openai_chat
from routing.providers.openai import responses_requests as openai_responses
from routing.providers.shared import quirks
from tests.providers import strict
from tests.providers.facts import (
    CATALOG,
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
    assistant,
    call,
    result,
    system,
    user,
)

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PDF = "data:application/pdf;base64,JVBERi0xLjQK"
BUILDERS = {
    "openai_chat": openai_chat.build,
    "openai_responses": openai_responses.build,
    "anthropic": anthropic.build,
    "gemini": gemini.build,
}
TARGETS = [
    ("openai_chat", CHAT),
    ("openai_chat", REASONING_CHAT),
    ("openai_responses", RESPONSES),
    ("anthropic", CLAUDE),
    ("anthropic", UNFORCED_CLAUDE),
    ("gemini", GEMINI),
    ("gemini", OLD_GEMINI),
]
each_target = pytest.mark.parametrize(("kind", "model"), TARGETS, ids=[model.id for _, model in TARGETS])


def built(
    kind: str, request: ChatRequest, model: ModelFacts, effort: Effort | None = None, stream: bool = False
) -> dict[str, Any]:
    """The wire body, after the SDK's types have accepted it."""
    return strict.accepted(kind, BUILDERS[kind](request, model, effort, stream=stream).body)


def chat(request: ChatRequest, model: ModelFacts = CHAT, effort: Effort | None = None) -> dict[str, Any]:
    return built("openai_chat", request, model, effort)


def responses(request: ChatRequest, effort: Effort | None = None) -> dict[str, Any]:
    return built("openai_responses", request, RESPONSES, effort)


def claude(request: ChatRequest, model: ModelFacts = CLAUDE, effort: Effort | None = None) -> dict[str, Any]:
    return built("anthropic", request, model, effort)


def google(request: ChatRequest, model: ModelFacts = GEMINI, effort: Effort | None = None) -> dict[str, Any]:
    return built("gemini", request, model, effort)


CONVERSATION = (
    system("Be brief."),
    system("Be kind."),
    user("Hi"),
    assistant("Hello!"),
    system("Now hurry."),
    user("Bye"),
)


@each_target
@pytest.mark.parametrize("stream", [True, False])
def test_a_request_with_everything_is_what_the_sdk_would_send(
    kind: str, model: ModelFacts, stream: bool
) -> None:
    request = asking(
        *CONVERSATION,
        user("See", Image(PIXEL, "low"), File(PDF, "a.pdf"), "and compare"),
        assistant("", call("call_1"), call("call_2")),
        result("call_1"),
        result("call_2"),
        assistant("4 °C"),
        Message(Role.ASSISTANT, (Refusal("No."),)),
        user("Why?"),
        max_output_tokens=5000,
        stop=("###",),
        tools=(WEATHER, Tool("ping")),
        tool_choice=ToolChoice("auto"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", "city", "A city", SCHEMA, strict=True),
        verbosity="low",
        user="u-1",
        metadata={"ticket": "7"},
        service_tier="default",
    )
    for effort in (None, Effort.NONE, Effort.LOW, Effort.HIGH):
        built(kind, request, model, effort, stream)


def test_chat_sends_the_conversation_unchanged() -> None:
    body = chat(
        asking(*CONVERSATION, max_output_tokens=99, stop=("a", "b"), sampling=Sampling(1.5, 0.5, seed=7))
    )
    assert [message["role"] for message in body["messages"]] == [
        "system", "system", "user", "assistant", "system", "user",
    ]  # fmt: skip
    assert body["model"] == "gpt-4o"
    assert body["max_completion_tokens"] == 99
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (1.5, 0.5, 7, ["a", "b"])


def test_a_compatible_server_gets_the_common_parameter_names() -> None:
    request = asking(
        max_output_tokens=9999,
        user="u",
        n=2,
        sampling=Sampling(0.1, top_k=5),
        extra={"min_p": 0.1},
        stop=("x",),
    )
    body = json.loads(openai_chat.build_compatible(request, LOCAL, None, stream=True).body)
    assert "min_p" not in body
    passing = msgspec.structs.replace(LOCAL, quirks={"pass_unknown": True})
    body = json.loads(openai_chat.build_compatible(request, passing, None, stream=True).body)
    assert body["max_tokens"] == LOCAL.max_output_tokens
    assert (body["user"], body["n"], body["top_k"], body["min_p"], body["stop"]) == ("u", 2, 5, 0.1, ["x"])
    assert body["stream_options"] == {"include_usage": True}


def test_extra_parameters_cannot_replace_parameters_of_the_request() -> None:
    extra = {"model": "x", "messages": [], "stream": True, "n": 9, "store": True}
    assert "store" not in chat(asking(extra=extra))
    body = chat(asking(extra=extra, named_model="gpt-4o"))
    assert body["model"] == "gpt-4o"
    assert body["messages"]
    assert "stream" not in body
    assert "n" not in body
    assert body["store"] is True
    for other in (claude, google):
        assert "store" not in other(asking(extra={"store": True}, named_model="gpt-4o"))


@pytest.mark.parametrize(
    ("model", "effort", "tools", "expected"),
    [
        ("gpt-4o", None, True, False),
        ("gpt-5", Effort.HIGH, True, False),
        ("gpt-5.4", None, True, False),  # its default effort is "none"
        ("gpt-5.4", Effort.LOW, True, True),
        ("gpt-5.6-sol", None, True, True),  # reasons by default
        ("gpt-5.6-sol", Effort.NONE, True, False),
        ("gpt-5.6-sol", None, False, False),
        ("gpt-6-sol", Effort.MAX, False, True),
        ("gpt-6.2-sol", Effort.NONE, True, True),  # does not accept none
        ("gpt-5.5-pro", None, False, True),
    ],
)
def test_responses_is_used_exactly_where_chat_would_refuse(
    model: str, effort: Effort | None, tools: bool, expected: bool
) -> None:
    request = asking(tools=(WEATHER,) if tools else ())
    assert needs_second_api(request, MODELS[model], effort) is expected


def test_a_file_by_url_needs_responses() -> None:
    request = asking(user(File("https://example.com/a.pdf")))
    assert needs_second_api(request, CHAT, None)
    assert responses(request)["input"][0]["content"] == [
        {"type": "input_file", "file_url": "https://example.com/a.pdf"}
    ]


def test_responses_is_stateless_and_requests_encrypted_reasoning() -> None:
    body = responses(asking(*CONVERSATION, stop=("x",), n=3, sampling=Sampling(0.1, seed=1)), Effort.MAX)
    assert body["store"] is False
    assert body["include"] == ["reasoning.encrypted_content"]
    assert body["instructions"] == "Be brief.\n\nBe kind."
    assert body["reasoning"] == {"effort": "max"}
    assert [item["role"] for item in body["input"]] == ["user", "assistant", "system", "user"]
    assert not {"stop", "n", "seed", "temperature"} & body.keys()


def test_sampling_goes_to_openai_models_only_where_taken() -> None:
    request = asking(sampling=Sampling(0.5), stop=("x",))
    assert chat(request, MODELS["gpt-5.4"])["temperature"] == 0.5
    assert chat(request, MODELS["gpt-5.4"], Effort.NONE)["stop"] == ["x"]
    for model, effort in (
        (MODELS["gpt-5.4"], Effort.LOW),
        (MODELS["gpt-5.6-sol"], None),
        (REASONING_CHAT, None),
    ):
        assert not {"temperature", "stop"} & chat(request, model, effort).keys()


def test_anthropic_takes_sampling_with_the_old_version_only() -> None:
    request = asking(sampling=Sampling(1.8, top_k=40))
    wire = anthropic.build(request, OLD_CLAUDE, None, stream=False)
    body = json.loads(wire.body)
    assert (body["temperature"], body["top_k"]) == (1.0, 40)
    assert wire.headers == (("anthropic-version", "2023-06-01"),)
    wire = anthropic.build(request, CLAUDE, None, stream=False)
    assert "temperature" not in json.loads(wire.body)
    assert wire.headers == (("anthropic-version", "2026-10-21"),)
    assert "temperature" not in claude(request, OLD_CLAUDE, Effort.HIGH), "thinking excludes sampling"


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-opus-5", None, {}),
        ("claude-opus-5", Effort.NONE, {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-5-5", Effort.NONE, {"thinking": {"type": "between_tools"}}),
        (
            "claude-opus-5-5",
            Effort.NONE,
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
        (
            "claude-opus-4-6",
            Effort.XHIGH,
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        ),
        ("claude-sonnet-4-5", Effort.MEDIUM, {"thinking": {"type": "enabled", "budget_tokens": 10_000}}),
        (
            "claude-opus-4-5",
            Effort.HIGH,
            {"thinking": {"type": "enabled", "budget_tokens": 16_384}, "output_config": {"effort": "high"}},
        ),
    ],
)
def test_effort_in_anthropics_terms(model: str, effort: Effort | None, expected: dict[str, Any]) -> None:
    body = claude(asking(), MODELS[model], effort)
    assert {key: body[key] for key in ("thinking", "output_config") if key in body} == expected


def test_manual_thinking_leaves_room_for_the_answer_or_is_left_out() -> None:
    body = claude(asking(max_output_tokens=4000), OLD_CLAUDE, Effort.HIGH)
    assert body["thinking"]["budget_tokens"] == 2000
    assert "thinking" not in claude(asking(max_output_tokens=1500), OLD_CLAUDE, Effort.HIGH)
    forced = asking(tools=(WEATHER,), tool_choice=ToolChoice("required"))
    assert "thinking" not in claude(forced, OLD_CLAUDE, Effort.HIGH)


def test_a_budget_that_no_longer_fits_leaves_as_much_for_the_answer() -> None:
    request = asking(max_output_tokens=5000, thinking_budget=50_000)
    assert claude(request, OLD_CLAUDE, Effort.HIGH)["thinking"]["budget_tokens"] == 2500
    config = google(request, MODELS["gemini-2.5-flash"], Effort.HIGH)["generationConfig"]
    assert config["thinkingConfig"]["thinkingBudget"] == 2500
    exact = asking(max_output_tokens=5000, thinking_budget=3000)
    assert claude(exact, OLD_CLAUDE, Effort.HIGH)["thinking"]["budget_tokens"] == 3000


@pytest.mark.parametrize(("limit", "budget"), [(5000, 4600), (1500, 1100), (700, None)])
def test_a_visible_limit_leaves_the_budget_all_but_the_answer(limit: int, budget: int | None) -> None:
    """Except where money lowers the limit below twice the answer: then each has half of it."""
    request = asking(max_output_tokens=limit, max_answer_tokens=400)
    thinking = claude(request, OLD_CLAUDE, Effort.HIGH).get("thinking")
    assert thinking == (None if budget is None else {"type": "enabled", "budget_tokens": budget})
    config = google(request, MODELS["gemini-2.5-flash"], Effort.HIGH)["generationConfig"]
    assert config["thinkingConfig"]["thinkingBudget"] == (budget or limit // 2)
    assert config["maxOutputTokens"] == limit


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("gemini-3.5-flash", Effort.NONE, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-3.8-flash", Effort.NONE, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-4-argon", Effort.MAX, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-2.5-pro", Effort.NONE, {"thinkingBudget": 128}),
        ("gemini-2.5-flash", Effort.MEDIUM, {"thinkingBudget": 10_000, "includeThoughts": True}),
    ],
)
def test_effort_in_geminis_terms(model: str, effort: Effort, expected: dict[str, Any]) -> None:
    assert google(asking(), MODELS[model], effort)["generationConfig"]["thinkingConfig"] == expected


def test_gemini_settings_have_its_own_names() -> None:
    wire = gemini.build(asking(), GEMINI, None, stream=True)
    assert wire.path == "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"
    body = google(
        asking(system("Hm."), user("Hi"), max_output_tokens=5, stop=("a",), sampling=Sampling(2, 0.5, 3))
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Hm."}]}
    assert body["generationConfig"] == {
        "maxOutputTokens": 5, "temperature": 2, "topP": 0.5, "topK": 3, "stopSequences": ["a"],
    }  # fmt: skip


def test_a_limit_above_the_models_own_is_lowered() -> None:
    assert chat(asking(max_output_tokens=10**6))["max_completion_tokens"] == CHAT.max_output_tokens
    assert claude(asking(max_output_tokens=10**6))["max_tokens"] == CLAUDE.max_output_tokens
    assert claude(asking())["max_tokens"] == CLAUDE.max_output_tokens


def test_a_tool_that_cannot_be_forced_becomes_an_instruction() -> None:
    body = claude(asking(tools=(WEATHER,), tool_choice=ToolChoice("named", "get_weather")), UNFORCED_CLAUDE)
    assert body["tool_choice"] == {"type": "auto"}
    assert "get_weather" in body["system"]


@pytest.mark.parametrize(
    ("choice", "claudes", "googles"),
    [
        (ToolChoice("auto"), {"type": "auto"}, {"mode": "AUTO"}),
        (ToolChoice("required"), {"type": "any"}, {"mode": "ANY"}),
        (
            ToolChoice("named", "get_weather"),
            {"type": "tool", "name": "get_weather"},
            {"mode": "ANY", "allowedFunctionNames": ["get_weather"]},
        ),
    ],
)
def test_tool_choice_in_each_api(choice: ToolChoice, claudes: Any, googles: Any) -> None:
    request = asking(tools=(WEATHER,), tool_choice=choice)
    assert claude(request)["tool_choice"] == claudes
    assert google(request)["toolConfig"]["functionCallingConfig"] == googles


def test_images_and_files_in_each_api() -> None:
    request = asking(user(Image(PIXEL), File(PDF), Image("https://example.com/a.png")))
    blocks = claude(request)["messages"][0]["content"]
    assert [block["source"]["type"] for block in blocks] == ["base64", "base64", "url"]
    assert blocks[0]["source"]["media_type"] == "image/png"
    parts = google(request)["contents"][0]["parts"]
    assert [part["inlineData"]["mimeType"] for part in parts[:2]] == ["image/png", "application/pdf"]
    assert parts[2]["fileData"] == {"fileUri": "https://example.com/a.png", "mimeType": "image/png"}
    parts = google(asking(user(Audio("UklGRg==", "wav"))))["contents"][0]["parts"]
    assert parts[0]["inlineData"] == {"mimeType": "audio/wav", "data": "UklGRg=="}


def test_json_object_on_openai_adds_the_word_json() -> None:
    wanted = ResponseFormat("json_object")
    assert "JSON" in chat(asking(response_format=wanted))["messages"][0]["content"]
    assert len(chat(asking(user("Give me json"), response_format=wanted))["messages"]) == 1
    assert "JSON" in responses(asking(response_format=wanted))["instructions"]
    assert "JSON" in claude(asking(response_format=wanted))["system"]


def test_every_phrase_of_the_catalogs_quirks_is_understood() -> None:
    for row in CATALOG:
        phrases = row["quirks"]
        assert phrases["sampling_params"] in quirks.SAMPLING
        assert phrases.get("chat_completions_tools", "400").startswith("400")
        assert phrases.get("endpoint", "responses only") == "responses only"
        assert phrases.get("thinking", "thinkingLevel").startswith(("thinkingLevel", "thinkingBudget"))
        assert phrases.get("mid_conversation_system", "rejected") in (
            "honoured", "rejected", "accepted but ignored",
        )  # fmt: skip


# Any conversation a caller may send is one that each provider's types accept.

_text = st.text(st.characters(blacklist_categories=("Cs",)), max_size=12)
_identity = st.sampled_from(["a", "b", "call 1/ü", "toolu_9"])
_parts = st.lists(
    st.one_of(
        _text.map(Text),
        st.just(Image(PIXEL)),
        st.just(File(PDF)),
        st.builds(Opaque, st.sampled_from(["openai", "anthropic", "google"]), st.none()),
    ),
    max_size=3,
).map(tuple)
_calls = st.lists(
    st.builds(
        ToolCall,
        _identity,
        st.just("get_weather"),
        st.sampled_from(["", "{}", '{"city":"x"}', "[1]", "{oops"]),
    ),
    max_size=3,
    unique_by=lambda each: each.id,
).map(tuple)
_messages = st.lists(
    st.one_of(
        st.builds(Message, st.just(Role.USER), _parts),
        st.builds(Message, st.just(Role.SYSTEM), st.tuples(_text.map(Text))),
        st.builds(Message, st.just(Role.ASSISTANT), st.tuples(_text.map(Text)), _calls),
        st.builds(
            Message,
            st.just(Role.TOOL),
            st.tuples(_text.map(Text)),
            tool_call_id=_identity,
            is_error=st.booleans(),
        ),
    ),
    min_size=1,
    max_size=8,
).map(tuple)


@each_target
@settings(max_examples=40, deadline=None)
@given(messages=_messages, effort=st.sampled_from([None, *Effort]))
def test_any_conversation_becomes_a_request_the_types_accept(
    kind: str, model: ModelFacts, messages: tuple[Message, ...], effort: Effort | None
) -> None:
    body = built(kind, ChatRequest(messages, tools=(WEATHER,)), model, effort)
    if kind == "anthropic":
        _holds_anthropics_rules(body["messages"])
    if kind == "gemini":
        assert body["contents"][0]["role"] == "user"
        assert all(content["parts"] for content in body["contents"])


def _holds_anthropics_rules(turns: list[dict[str, Any]]) -> None:
    assert turns[0]["role"] == "user"
    assert turns[-1]["role"] != "assistant"
    waiting: list[str] = []
    for turn in turns:
        answered = [block["tool_use_id"] for block in turn["content"] if block["type"] == "tool_result"]
        kinds = [block["type"] for block in turn["content"]]
        assert answered == waiting
        assert kinds[: len(answered)] == ["tool_result"] * len(answered), "results come first"
        waiting = [block["id"] for block in turn["content"] if block["type"] == "tool_use"]
        assert turn["content"]
        assert all(block["text"].strip() for block in turn["content"] if block["type"] == "text")
    assert not waiting
