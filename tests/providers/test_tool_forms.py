"""Tool forms that only one provider has: sent to others in their form, answered in the caller's."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    Grammar,
    Message,
    Role,
    StreamEvent,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolChoice,
)
from routing.providers.shared.tools.forms import FreeText, Unwrapper
from tests.providers.facts import MODELS, in_plain_forms

NATIVE, OLDER, CLAUDE, GEMINI = "gpt-5.2", "gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash"
QUERY = Tool("query", "Asks the database", is_custom=True, grammar=Grammar("lark", "start: /.+/"))
LOOK_TOOL = Tool("look", "Looks", {"type": "object", "properties": {}})
HISTORY = (
    Message(Role.USER, (Text("Hi"),)),
    Message(Role.ASSISTANT, tool_calls=(ToolCall("a", "query", 'SELECT "x"', is_custom=True),)),
    Message(Role.TOOL, (Text("7"),), tool_call_id="a"),
)
REQUEST = ChatRequest(HISTORY, tools=(QUERY, LOOK_TOOL))


@pytest.mark.parametrize("model", [OLDER, CLAUDE, GEMINI])
def test_a_custom_tool_becomes_a_function_with_one_text(model: str) -> None:
    plain_request = in_plain_forms(REQUEST, MODELS[model])
    assert plain_request.customs == {"query"}
    assert plain_request.changes == (("tools", "custom tools are functions with one text"),)
    query, look_tool = plain_request.request.tools
    assert look_tool == LOOK_TOOL
    assert query.parameters["required"] == ["input"]
    assert "start: /.+/" in query.parameters["properties"]["input"]["description"]
    (call,) = plain_request.request.messages[1].tool_calls
    assert json.loads(call.arguments) == {"input": 'SELECT "x"'}
    assert not any(tool.is_custom for tool in plain_request.request.tools)


def test_models_with_custom_tools_get_them_unchanged() -> None:
    plain_request = in_plain_forms(REQUEST, MODELS[NATIVE])
    assert plain_request.request is REQUEST
    assert (plain_request.changes, plain_request.customs) == ((), frozenset())


@pytest.mark.parametrize(("model", "left"), [(OLDER, 2), (NATIVE, 2), (CLAUDE, 1), (GEMINI, 1)])
def test_tools_that_may_not_be_called_are_marked_or_left_out(model: str, left: int) -> None:
    choice = ToolChoice("required", allowed=("look",))
    request = ChatRequest(HISTORY[:1], tools=(LOOK_TOOL, Tool("feel")), tool_choice=choice)
    plain_request = in_plain_forms(request, MODELS[model])
    assert len(plain_request.request.tools) == left
    assert bool(plain_request.changes) is (left == 1)
    assert plain_request.request.tool_choice is not None
    assert plain_request.request.tool_choice.mode == "required"


def spelled(text: str, *, ascii_only: bool, spaces: bool) -> str:
    return json.dumps(
        {"input": text}, ensure_ascii=ascii_only, separators=(", ", " : ") if spaces else (",", ":")
    )


@given(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.booleans(),
    st.booleans(),
    st.lists(st.integers(1, 6)),
)
def test_the_text_is_read_whole_from_any_pieces(
    text: str, ascii_only: bool, spaces: bool, sizes: list[int]
) -> None:
    written, reader, heard = spelled(text, ascii_only=ascii_only, spaces=spaces), FreeText(), ""
    for size in [*sizes, len(written)]:
        heard += reader.add(written[:size])
        written = written[size:]
    assert heard + reader.rest() == text


def test_every_split_reads_the_same() -> None:
    written = spelled('a "quoted"\nüñ \U0001f600 \\ end', ascii_only=True, spaces=False)
    for at in range(len(written) + 1):
        reader = FreeText()
        assert reader.add(written[:at]) + reader.add(written[at:]) == json.loads(written)["input"]


def test_the_text_is_decoded_while_it_arrives() -> None:
    reader = FreeText()
    assert [reader.add(piece) for piece in ('{"inp', 'ut": "SEL', "ECT \\", 'n1"', "}")] == [
        "", "SEL", "ECT ", "\n1", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (r"a\d+ tail", r"a\d+ tail"),
        (r"x \ud83d y", "x \ufffd y"),
        (r"x \udc00 y", "x \ufffd y"),
        (r"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (r"\uZZ1 \u12", r"\uZZ1 \u12"),
        ('say \\"hi\\"\nand go', 'say "hi"\nand go'),
        ("tab\there", "tab\there"),
    ],
)
def test_invalid_json_in_the_text_is_kept_unchanged(inside: str, text: str) -> None:
    written = '{"input":"' + inside + '"}'
    for at in range(len(written) + 1):
        reader = FreeText()
        assert reader.add(written[:at]) + reader.add(written[at:]) + reader.rest() == text, at


def test_a_cut_text_keeps_its_beginning() -> None:
    reader = FreeText()
    assert reader.add('{"input":"half a \\') + reader.rest() == "half a \\"


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("SELECT 1", "SELECT 1"),
        ('"SELECT 1"', "SELECT 1"),
        ('{"sql": "x", "input": "SELECT 1"}', "SELECT 1"),
        ('{"sql": "x"}', '{"sql": "x"}'),
        ("", ""),
    ],
)
def test_other_output_of_the_model_stays_legible(written: str, text: str) -> None:
    reader = FreeText()
    assert reader.add(written) + reader.rest() == text


def test_only_calls_of_custom_tools_are_unwrapped() -> None:
    events: list[StreamEvent] = [
        TextDelta("Hm."),
        ToolCallDelta(0, "a", "query", '{"input": "one'),
        ToolCallDelta(1, "b", "look", '{"input": "kept"}'),
        ToolCallDelta(0, arguments=' two"}'),
        ToolCallDelta(0, "c", "query", "three", choice=1),
        Finished(FinishReason.TOOL_CALLS),
        Finished(FinishReason.TOOL_CALLS, 1),
    ]
    unwrapper = Unwrapper(frozenset({"query"}))
    unwrapped: list[Any] = [delta for event in events for delta in unwrapper.of(event)]
    calls = [event for event in unwrapped if isinstance(event, ToolCallDelta)]
    assert [(delta.choice, delta.index, delta.name, delta.arguments, delta.is_custom) for delta in calls] == [
        (0, 0, "query", "one", True),
        (0, 1, "look", '{"input": "kept"}', False),
        (0, 0, None, " two", False),
        (1, 0, "query", "", True),
        (1, 0, None, "three", False),
    ]
    assert [type(event) for event in unwrapped[-3:]] == [Finished, ToolCallDelta, Finished]


def test_held_back_text_is_delivered_before_the_next_call() -> None:
    events = [
        ToolCallDelta(0, "a", "query", "plain text"),
        ToolCallDelta(1, "b", "query", '{"input":"x"}'),
        Finished(FinishReason.TOOL_CALLS),
    ]
    unwrapper = Unwrapper(frozenset({"query"}))
    calls = [delta for event in events for delta in unwrapper.of(event) if isinstance(delta, ToolCallDelta)]
    assert [(delta.index, delta.arguments) for delta in calls] == [(0, ""), (0, "plain text"), (1, "x")]
