"""The known traps of the providers' APIs, at least one test each, and all of them in one request."""

import base64
import json
import re
from datetime import date
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from billing.usage import Usage
from routing.catalog.tokenizers import Tokenizer, tokenizer_of
from routing.decide.prediction.tokens import count_input
from routing.language.arms import Effort
from routing.language.chat import (
    CacheMark,
    FinishReason,
    Message,
    Opaque,
    ResponseFormat,
    Role,
    Text,
    Tool,
    ToolCallDelta,
    ToolChoice,
)
from routing.providers.openai.schemas import why_not_strict
from routing.providers.shared.failures import FailureKind
from routing.providers.shared.wire import CallContext
from tests.providers import recorded, strict
from tests.providers.conftest import Caller
from tests.providers.facts import (
    CHAT,
    CLAUDE,
    GEMINI,
    OLD_CLAUDE,
    OLD_GEMINI,
    REASONING_CHAT,
    RESPONSES,
    WEATHER,
    asking,
    assistant,
    call,
    result,
    system,
    user,
)
from tests.providers.test_answers import (
    anthropic_stopping,
    chat_finishing,
    collected,
    events_of,
    failing,
    gemini_finishing,
)
from tests.providers.test_requests import chat, claude, google, responses

LOOP = (user("Compare"), assistant("", call("a"), call("b", "get_time", "{}")))


def kinds(blocks: list[dict[str, Any]]) -> list[str]:
    return [block["type"] for block in blocks]


def test_trap_1_parallel_tool_results_in_separate_messages() -> None:
    history = (*LOOP, result("b", "12:00"), user("Hurry"), result("a", "cold"), user("So?"))
    turns = claude(asking(*history, tools=(WEATHER,)))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert kinds(turns[2]["content"]) == ["tool_result", "tool_result", "text", "text"]
    assert [block["tool_use_id"] for block in turns[2]["content"][:2]] == ["a", "b"]

    contents = google(asking(*history, tools=(WEATHER,)))["contents"]
    assert [content["role"] for content in contents] == ["user", "model", "user", "user"]
    answered = [part["functionResponse"]["name"] for part in contents[2]["parts"]]
    assert answered == ["get_weather", "get_time"]

    roles = [message["role"] for message in chat(asking(*history, tools=(WEATHER,)))["messages"]]
    assert roles == ["user", "assistant", "tool", "tool", "user", "user"]


@pytest.mark.parametrize("build", [chat, responses, claude, google])
def test_trap_1_a_missing_result_is_filled_in_and_an_orphan_dropped(build: Any) -> None:
    body = json.dumps(build(asking(*LOOP, result("a", "cold"), result("nobody", "lost"), tools=(WEATHER,))))
    assert "No result" in body
    assert "lost" not in body


def test_trap_2_usage_is_split_over_anthropics_frames_and_beside_the_cache() -> None:
    usage = collected(events_of("anthropic", recorded.ANTHROPIC)).usage
    assert usage == Usage(
        uncached_input_tokens=30,
        cache_read_tokens=60,
        cache_write_tokens=4,
        cache_write_1h_tokens=6,
        output_tokens=30,
        reasoning_tokens=12,
    )


@pytest.mark.parametrize("dialect", ["chat", "responses"])
def test_trap_2_cached_tokens_are_a_part_of_openais_prompt(dialect: str) -> None:
    stream = {"chat": recorded.OPENAI_CHAT, "responses": recorded.RESPONSES}[dialect]
    usage = collected(events_of(dialect, stream)).usage
    assert usage == Usage(
        uncached_input_tokens=30,
        cache_read_tokens=60,
        cache_write_tokens=10,
        output_tokens=30,
        reasoning_tokens=12,
    )


def test_trap_2_geminis_thoughts_are_outside_the_candidates_and_the_last_count_stays() -> None:
    usage = collected(events_of("gemini", recorded.GEMINI)).usage
    assert usage == Usage(
        uncached_input_tokens=40, cache_read_tokens=60, output_tokens=30, reasoning_tokens=12
    )


def test_trap_3_gemini_takes_a_subset_of_json_schema() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "title": "Order",
        "properties": {
            "kind": {"const": "order"},
            "title": {"type": "string", "format": "uri", "description": "Its title"},
            "size": {"type": "integer", "enum": [1, 2], "description": "Its size."},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "$defs": {
            "line": {"type": "object", "title": "Line", "properties": {"n": {"type": ["integer", "null"]}}}
        },
    }
    body = google(asking(tools=(Tool("order", None, schema),)))
    (declaration,) = body["tools"][0]["functionDeclarations"]
    assert "parameters" not in declaration
    assert declaration["parametersJsonSchema"] == {
        "type": "object",
        "properties": {
            "kind": {"enum": ["order"]},
            "title": {"type": "string", "description": "Its title"},
            "size": {"type": "integer", "description": "Its size. One of: 1, 2"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        },
        "$defs": {"line": {"type": "object", "properties": {"n": {"type": ["integer", "null"]}}}},
    }
    wanted = ResponseFormat("json_schema", "order", schema=schema)
    config = google(asking(response_format=wanted))["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert "$schema" not in config["responseJsonSchema"]


CLOSED = {"type": "object", "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "fits"),
    [
        ({**CLOSED, "properties": {"a": {"type": "string"}}, "required": ["a"]}, True),
        ({**CLOSED, "properties": {"a": {"type": "string"}}}, False),
        ({"type": "object", "properties": {}}, False),
        ({**CLOSED, "properties": {"a": {"type": "string", "default": "x"}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"default": {"type": "string"}}, "required": ["default"]}, True),
        ({**CLOSED, "properties": {"a": {"type": "object"}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {"oneOf": []}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {"$ref": "#/$defs/x", "title": "A"}}, "required": ["a"]}, False),
        ({**CLOSED, "properties": {"a": {"pattern": "(?=x)"}}, "required": ["a"]}, False),
        ({**CLOSED, "anyOf": []}, False),
        ({"type": "array", "items": {}}, False),
    ],
)
def test_trap_4_schemas_strict_mode_refuses_are_sent_as_not_strict(
    schema: dict[str, Any], fits: bool
) -> None:
    assert (why_not_strict(schema) is None) is fits
    tool = Tool("f", None, schema, strict=True)
    wanted = ResponseFormat("json_schema", "x", schema=schema, strict=True)
    body = chat(asking(tools=(tool,), response_format=wanted))
    assert body["tools"][0]["function"]["strict"] is fits
    assert body["response_format"]["json_schema"]["strict"] is fits


def test_trap_4_responses_is_strict_unless_the_tool_says_otherwise() -> None:
    assert responses(asking(tools=(WEATHER,)))["tools"][0]["strict"] is False


def test_trap_5_empty_and_blank_text() -> None:
    history = (user("", " \n"), assistant("  "), user(""), assistant("Done  \n"))
    turns = claude(asking(*history), OLD_CLAUDE)["messages"]
    assert turns == [
        {"role": "user", "content": [{"type": "text", "text": "."}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Done"}]},
    ]
    assert google(asking(user("")))["contents"] == [{"role": "user", "parts": [{"text": "."}]}]


def test_trap_5_a_last_assistant_turn_where_prefill_is_refused() -> None:
    turns = claude(asking(user("Hi"), assistant("Hel")))["messages"]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize("build", [claude, google])
def test_trap_6_the_first_message_is_the_users(build: Any) -> None:
    body = build(asking(system("Be brief."), assistant("Hello"), user("Hi")))
    turns = body.get("messages") or body["contents"]
    assert turns[0]["role"] == "user"
    body = build(asking(system("Name a fruit.")))
    turns = body.get("messages") or body["contents"]
    assert "Name a fruit." in json.dumps(turns)
    assert "system" not in body
    assert "systemInstruction" not in body


@pytest.mark.parametrize("arguments", ["", "  ", "{}"])
def test_trap_7_no_arguments_are_an_empty_object(arguments: str) -> None:
    history = (user("Ping"), assistant("", call("a", "ping", arguments)), result("a"))
    assert chat(asking(*history))["messages"][1]["tool_calls"][0]["function"]["arguments"].strip() in (
        "",
        "{}",
    )
    assert claude(asking(*history))["messages"][1]["content"][0]["input"] == {}
    assert google(asking(*history))["contents"][1]["parts"][0]["functionCall"]["args"] == {}


def test_trap_7_indexes_count_calls_not_blocks() -> None:
    deltas = [
        event for event in events_of("anthropic", recorded.ANTHROPIC) if isinstance(event, ToolCallDelta)
    ]
    assert {event.index for event in deltas} == {0, 1}
    assert [event.arguments for event in deltas if event.index == 1] == ["", "{}"]


def test_trap_7_ids_fit_anthropics_pattern_on_both_sides() -> None:
    history = (user("Hi"), assistant("", call("call:1/ü")), result("call:1/ü"))
    turns = claude(asking(*history))["messages"]
    identity = turns[1]["content"][0]["id"]
    assert identity.replace("_", "").replace("-", "").isalnum()
    assert identity.isascii()
    assert turns[2]["content"][0]["tool_use_id"] == identity


FOREIGN = base64.b64encode(b"skip_thought_signature_validator").decode()


def test_trap_8_foreign_calls_skip_geminis_validation_on_the_first_call_only() -> None:
    parts = google(asking(*LOOP, result("a"), result("b")))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [FOREIGN, None]
    assert all("id" not in part["functionCall"] for part in parts)
    parts = google(asking(*LOOP, result("a"), result("b")), OLD_GEMINI)["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [None, None]


def test_trap_8_geminis_own_signature_and_id_come_back() -> None:
    answer = collected(
        events_of("gemini", recorded.GEMINI, context=CallContext(GEMINI.provider, "x"))
    ).choices[0]
    calls = answer.tool_calls
    history = (user("Hi"), assistant("", *calls), result(calls[0].id), result(calls[1].id))
    contents = google(asking(*history))["contents"]
    assert [part.get("thoughtSignature") for part in contents[1]["parts"]] == ["c2ln", None]
    assert [part["functionCall"]["id"] for part in contents[1]["parts"]] == ["fn_1", "fn_2"]
    assert [part["functionResponse"]["id"] for part in contents[2]["parts"]] == ["fn_1", "fn_2"]


def test_trap_8_thinking_comes_back_unchanged_and_first_but_only_to_its_provider() -> None:
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
    assistant_turn = Message(Role.ASSISTANT, (Text("Wait."), Opaque(CLAUDE.provider, thought)), (call("a"),))
    content = claude(asking(user("Hi"), assistant_turn, result("a")))["messages"][1]["content"]
    assert kinds(content) == ["thinking", "text", "tool_use"]
    assert content[0] == thought
    foreign = Message(Role.ASSISTANT, (Opaque("other", thought), Text("Wait.")))
    assert kinds(claude(asking(user("Hi"), foreign, user("?")))["messages"][1]["content"]) == ["text"]


def test_trap_8_manual_thinking_is_off_in_a_tool_loop_that_lost_its_thinking() -> None:
    loop = asking(*LOOP, result("a"), result("b"), tools=(WEATHER,))
    assert "thinking" not in claude(loop, OLD_CLAUDE, Effort.HIGH)
    done = asking(*LOOP, result("a"), result("b"), assistant("Cold."), user("And now?"), tools=(WEATHER,))
    assert "thinking" in claude(done, OLD_CLAUDE, Effort.HIGH)


def test_trap_9_at_most_four_cache_marks_and_none_for_others() -> None:
    mark = CacheMark("1h")
    messages = [Message(Role.USER, (Text(str(n), mark),)) for n in range(5)]
    tool = Tool("f", None, {}, cache=CacheMark())
    request = asking(Message(Role.SYSTEM, (Text("S", mark),)), *messages, tools=(tool,))
    body = claude(request)
    marked = [block["text"] for block in body["messages"][0]["content"] if "cache_control" in block]
    assert marked == ["1", "2", "3", "4"]
    assert "cache_control" not in json.dumps([body["tools"], body["system"]])
    for build in (chat, google):
        assert "cache" not in json.dumps(build(request))
    assert "cache_control" not in json.dumps(responses(request)), "it has a mark of its own"


def test_trap_10_a_reference_in_tool_output_stays_text() -> None:
    history = (user("Hi"), assistant("", call("a")), result("a", '{"$ref": "#/x"}'))
    part = google(asking(*history))["contents"][2]["parts"][0]
    assert part["functionResponse"]["response"] == {"output": '{"$ref": "#/x"}'}
    failed = google(asking(user("Hi"), assistant("", call("a")), result("a", "boom", is_error=True)))
    assert failed["contents"][2]["parts"][0]["functionResponse"]["response"] == {"error": "boom"}


def test_a_failed_tool_is_marked_where_the_api_has_a_mark() -> None:
    history = (user("Hi"), assistant("", call("a")), result("a", "boom", is_error=True))
    (block,) = claude(asking(*history))["messages"][2]["content"]
    assert block["is_error"] is True
    assert block["content"] == [{"type": "text", "text": "boom"}]


@pytest.mark.parametrize(
    ("dialect", "stream", "kind"),
    [
        *(
            ("gemini", gemini_finishing(reason), FailureKind.MALFORMED)
            for reason in ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MISSING_THOUGHT_SIGNATURE")
        ),
        ("gemini", gemini_finishing("OTHER"), FailureKind.SERVER),
        ("anthropic", anthropic_stopping("pause_turn"), FailureKind.SERVER),
        ("chat", chat_finishing("error"), FailureKind.SERVER),
    ],
)
def test_trap_11_a_failure_is_not_an_end(dialect: str, stream: bytes, kind: FailureKind) -> None:
    failed = failing(dialect, stream)
    assert failed.kind is kind
    assert failed.retriable


def test_trap_12_claudes_later_tokenizer_makes_more_of_the_same_text() -> None:
    before = msgspec.structs.replace(OLD_CLAUDE, released=date(2025, 9, 29))
    since = msgspec.structs.replace(CLAUDE, released=date(2026, 5, 1))
    assert tokenizer_of(before) is Tokenizer.CLAUDE_3
    assert tokenizer_of(since) is Tokenizer.CLAUDE_4_7
    request = asking(user("The quick brown fox jumps over the lazy dog. " * 20))
    assert count_input(request, since) / count_input(request, before) > 1.25


def test_trap_13_calls_of_the_responses_api_are_one_message() -> None:
    (choice,) = collected(events_of("responses", recorded.RESPONSES)).choices
    assert [call.id for call in choice.tool_calls] == ["call_a", "call_b"], "call_id, not the item's id"
    assert choice.finish_reason is FinishReason.TOOL_CALLS


def test_trap_13_and_become_items_again_after_their_reasoning() -> None:
    (choice,) = collected(
        events_of("responses", recorded.RESPONSES, context=CallContext("openai", "x"))
    ).choices
    assistant_turn = Message(Role.ASSISTANT, (*choice.carried, Text(choice.text)), choice.tool_calls)
    items = responses(asking(user("Hi"), assistant_turn, result("call_a"), result("call_b")))["input"]
    assert [item.get("type", item.get("role")) for item in items] == [
        "user", "reasoning", "assistant", "function_call", "function_call",
        "function_call_output", "function_call_output",
    ]  # fmt: skip
    assert items[1]["encrypted_content"] == "gAAA"


# Comments, both line ends, data over several lines, a character of several bytes: of Gemini's own shape.
UNTIDY = (
    ": ping\r\n\r\n"
    'data: {"candidates":[{"content":{"parts":[{"text":"5 € "}]}}]}\r\n\r\n'
    ": between\n\n"
    'data: {"candidates":[{"content":\ndata: {"parts":[{"text":"für Käse"}]},"finishReason":"STOP"}]}\n\n'
).encode()


def test_trap_14_comments_line_ends_and_split_characters() -> None:
    for cut in range(len(UNTIDY)):
        (choice,) = collected(events_of("gemini", UNTIDY[:cut], UNTIDY[cut:])).choices
        assert choice.text == "5 € für Käse"
        assert choice.finish_reason is FinishReason.STOP


def test_each_numbered_trap_has_its_test() -> None:
    numbers = {int(match[1]) for name in globals() if (match := re.match(r"test_trap_(\d+)_", name))}
    assert numbers == set(range(1, 15))


LURED = Tool(
    "lookup",
    "Looks things up",
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "kind": {"const": "city"},
            "size": {"type": "integer", "enum": [1, 2], "default": 1, "exclusiveMinimum": 0},
            "name": {"type": ["string", "null"], "format": "uri"},
        },
        "additionalProperties": False,
    },
    strict=True,
    cache=CacheMark(),
)


@pytest.mark.parametrize(
    "model",
    [CHAT, REASONING_CHAT, RESPONSES, CLAUDE, OLD_CLAUDE, GEMINI, OLD_GEMINI],
    ids=lambda model: model.id,
)
async def test_traps_1_to_10_in_one_conversation_are_taken_by_every_provider(
    caller: Caller, model: Any
) -> None:
    foreign = Opaque("elsewhere", {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"})
    mark = CacheMark("1h")
    history = (
        Message(Role.SYSTEM, (Text("Be brief.", mark),)),
        assistant("Welcome  \n"),
        user("", " \n"),
        Message(Role.ASSISTANT, (foreign,), (call("a:1/ü", "lookup", ""), call("b", "get_weather", "{}"))),
        result("b", '{"$ref": "#/x"}'),
        system("Hurry."),
        result("a:1/ü", "", is_error=True),
        result("nobody", "lost"),
        *(Message(Role.USER, (Text(str(n), mark),)) for n in range(5)),
    )
    answer = await caller.ask(asking(*history, tools=(LURED, WEATHER)), model, Effort.LOW)
    assert answer.choices[0].finish_reason is FinishReason.STOP


def test_no_parallel_calls_on_gemini_means_the_first() -> None:
    context = CallContext("google", "x", single_call=True)
    (choice,) = collected(events_of("gemini", recorded.GEMINI, context=context)).choices
    assert [call.name for call in choice.tool_calls] == ["get_weather"]


def test_tool_choice_none_keeps_the_definitions_a_history_with_calls_needs() -> None:
    no = ToolChoice("none")
    assert "tools" not in claude(asking(user("Hi"), tools=(WEATHER,), tool_choice=no))
    body = claude(asking(*LOOP, result("a"), result("b"), tools=(WEATHER,), tool_choice=no))
    assert body["tools"]
    assert body["tool_choice"] == {"type": "none"}


def test_system_text_in_the_middle() -> None:
    history = (user("Hi"), assistant("Hello"), system("Be brief."), user("Bye"))
    assert [turn["role"] for turn in claude(asking(*history))["messages"]] == [
        "user",
        "assistant",
        "system",
        "user",
    ]
    last = claude(asking(*history), OLD_CLAUDE)["messages"][-1]
    assert [block["text"] for block in last["content"]] == ["<system>\nBe brief.\n</system>", "Bye"]
    parts = google(asking(*history))["contents"][-1]["parts"]
    assert parts[0]["text"] == "<system>\nBe brief.\n</system>"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("openai_chat", {"model": "m", "messages": [], "max_token": 5}),
        ("openai_chat", {"model": "m", "messages": [{"role": "user", "content": "x", "cache_control": {}}]}),
        ("openai_responses", {"model": "m", "input": "x", "max_tokens": 5}),
        ("anthropic", {"model": "m", "max_tokens": 5, "messages": [], "temperature": 1}),
        ("anthropic", {"model": "m", "max_tokens": 5, "messages": [{"role": "bot", "content": "x"}]}),
        ("gemini", {"contents": [{"role": "user", "part": []}]}),
    ],
)
def test_the_types_we_hold_requests_to_are_strict(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        strict.accepted(kind, json.dumps(body).encode())
