"""Answers of servers that imitate Chat Completions: what they mean is kept, however they write it."""

import json
from typing import Any

import pytest

from routing.language.chat import Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from tests.providers import recorded
from tests.providers.test_answers import (
    CONTEXT,
    MODULES,
    anthropic_stopping,
    chat_finishing,
    collected,
    each_dialect,
    events_of,
    failing,
    gemini_finishing,
    read,
    responses_ending,
)


def stream_of(*calls: dict[str, Any], finish: str = "tool_calls") -> bytes:
    chunks = [{"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]} for call in calls]
    return recorded.frames(*chunks) + chat_finishing(finish)


def piece(index: int | None, arguments: str = "", **fields: Any) -> dict[str, Any]:
    """`id` and `name` are as given; the rest is a fragment of a call."""
    function = {"arguments": arguments} | ({"name": fields.pop("name")} if "name" in fields else {})
    place = {} if index is None else {"index": index}
    return place | fields | {"function": function}


ATTIC, KITCHEN = '{"room":"attic"}', '{"room":"kitchen"}'
BOTH = [("a", "lamp", ATTIC), ("b", "lamp", KITCHEN)]
PARALLEL = {
    "whole calls at one index": [
        piece(0, ATTIC, id="a", name="lamp"),
        piece(0, KITCHEN, id="b", name="lamp"),
    ],
    "calls at one index in pieces": [
        piece(0, id="a", name="lamp"),
        piece(0, ATTIC),
        piece(0, id="b", name="lamp"),
        piece(0, KITCHEN[:5]),
        piece(0, KITCHEN[5:]),
    ],
    "indices from 1": [piece(1, ATTIC, id="a", name="lamp"), piece(2, KITCHEN, id="b", name="lamp")],
    "no index": [piece(None, ATTIC, id="a", name="lamp"), piece(None, KITCHEN, id="b", name="lamp")],
    "an id for each fragment": [
        piece(0, id="a", name="lamp"),
        piece(0, ATTIC, id="x"),
        piece(1, id="b", name="lamp"),
        piece(1, KITCHEN, id="y"),
    ],
    "the name with each fragment": [
        piece(0, ATTIC[:4], id="a", name="lamp"),
        piece(0, ATTIC[4:], id="a", name="lamp"),
        piece(1, KITCHEN, id="b", name="lamp"),
        piece(1, "", id="b", name="lamp"),
    ],
    "a late name": [
        piece(0, ATTIC[:4], id="a"),
        piece(0, ATTIC[4:], name="lamp"),
        piece(1, id="b"),
        piece(1, KITCHEN),
        piece(1, name="lamp"),
    ],
}


@pytest.mark.parametrize("calls", PARALLEL.values(), ids=PARALLEL.keys())
def test_parallel_calls_are_kept_apart_and_numbered_from_0(calls: list[dict[str, Any]]) -> None:
    events = events_of("chat", stream_of(*calls))
    (choice,) = collected(events).choices
    assert [(call.id, call.name, call.arguments) for call in choice.tool_calls] == BOTH
    deltas = [event for event in events if isinstance(event, ToolCallDelta)]
    firsts = [delta for delta in deltas if delta.id is not None]
    assert [(delta.index, delta.name) for delta in firsts] == [(0, "lamp"), (1, "lamp")]
    assert all(delta.name is None for delta in deltas if delta not in firsts)


def test_calls_without_ids_get_ids_of_their_own() -> None:
    calls = [piece(0, ATTIC, name="lamp"), piece(0, KITCHEN, name="lamp")]
    (streamed,) = collected(events_of("chat", stream_of(*calls))).choices
    message = {"tool_calls": [{"function": {"name": "lamp", "arguments": text}} for text in (ATTIC, KITCHEN)]}
    (whole,) = collected(read("chat", {"choices": [{"index": 0, "message": message}]})).choices
    for choice in (streamed, whole):
        assert [call.arguments for call in choice.tool_calls] == [ATTIC, KITCHEN]
        assert len({call.id for call in choice.tool_calls}) == 2
        assert choice.finish_reason is FinishReason.TOOL_CALLS


def test_two_calls_with_one_id_get_ids_of_their_own() -> None:
    calls = [piece(0, ATTIC, id="a", name="lamp"), piece(1, KITCHEN, id="a", name="lamp")]
    (choice,) = collected(events_of("chat", stream_of(*calls))).choices
    first, second = (call.id for call in choice.tool_calls)
    assert first == "a" != second


def test_a_choice_with_another_index_is_the_first() -> None:
    choice = {"index": 3, "delta": {"content": "Oslo."}, "finish_reason": "stop"}
    events = events_of("chat", recorded.frames({"choices": [choice]}, "[DONE]"))
    assert events[1:] == [TextDelta("Oslo.", choice=0), Finished(FinishReason.STOP, choice=0)]


def test_a_call_that_never_gets_a_name_is_malformed() -> None:
    assert failing("chat", stream_of(piece(0, ATTIC, id="a"))).kind is FailureKind.MALFORMED
    cut = collected(events_of("chat", stream_of(piece(0, ATTIC[:3], id="a"), finish="length")))
    assert cut.choices[0].finish_reason is FinishReason.LENGTH


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        ("responses", {"status": "completed", "output": [{"type": "function_call", "call_id": "a"}]}),
        ("anthropic", {"content": [{"type": "tool_use", "id": "a"}], "stop_reason": "tool_use"}),
        ("gemini", {"candidates": [{"content": {"parts": [{"functionCall": {}}]}, "finishReason": "STOP"}]}),
        ("chat", {"choices": [{"message": {"tool_calls": [{"id": "a", "function": {}}]}}]}),
    ],
)
def test_a_whole_call_without_a_name_is_malformed(dialect: str, body: dict[str, Any]) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        read(dialect, body)
    assert caught.value.kind is FailureKind.MALFORMED


THOUGHT: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": "Lit?"}]}
PARTS: list[Any] = [THOUGHT, {"type": "text", "text": "It is "}, {"type": "text", "text": "lit."}]


@pytest.mark.parametrize("thought", [THOUGHT, {"type": "thinking", "thinking": "Lit?"}])
def test_content_in_parts_is_text_and_thinking(thought: dict[str, Any]) -> None:
    parts = [thought, *PARTS[1:], {"type": "reference", "reference_ids": [1]}]
    whole = read("chat", {"choices": [{"index": 0, "message": {"content": parts}}]})
    chunks = [{"choices": [{"index": 0, "delta": {"content": [part]}}]} for part in parts]
    for events in (whole, events_of("chat", recorded.frames(*chunks) + chat_finishing("stop"))):
        assert [event for event in events if isinstance(event, TextDelta | ReasoningDelta)] == [
            ReasoningDelta("Lit?"),
            TextDelta("It is "),
            TextDelta("lit."),
        ]


TEXTS = {
    "chat": recorded.frames({"choices": [{"index": 0, "delta": {"content": "Oslo."}}]}),
    "responses": recorded.frames({"type": "response.output_text.delta", "output_index": 0, "delta": "Oslo."}),
    "anthropic": recorded.frames(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Oslo."}}
    ),
    "gemini": recorded.frames({"candidates": [{"index": 0, "content": {"parts": [{"text": "Oslo."}]}}]}),
}
ENDS = {
    "chat": chat_finishing("finito"),
    "responses": responses_ending("incomplete", "finito"),
    "anthropic": anthropic_stopping("finito"),
    "gemini": gemini_finishing("FINITO"),
}


@each_dialect
def test_an_unknown_finish_word_ends_an_answer_with_content(dialect: str) -> None:
    answer = collected(events_of(dialect, TEXTS[dialect], ENDS[dialect]))
    expected = FinishReason.LENGTH if dialect == "responses" else FinishReason.STOP
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("Oslo.", expected)


@each_dialect
def test_an_unknown_finish_word_without_content_is_a_failure(dialect: str) -> None:
    assert failing(dialect, ENDS[dialect]).kind is FailureKind.SERVER


FAILED = {
    "chat": chat_finishing("error"),
    "anthropic": anthropic_stopping("pause_turn"),
    "gemini": gemini_finishing("OTHER"),
}


@pytest.mark.parametrize("dialect", FAILED)
def test_a_word_for_a_failure_is_one_also_after_content(dialect: str) -> None:
    assert failing(dialect, TEXTS[dialect], FAILED[dialect]).kind is FailureKind.SERVER


def test_reasoning_before_calls_is_carried_back_in_its_field() -> None:
    for field in ("reasoning_content", "reasoning"):
        call = {"tool_calls": [piece(0, ATTIC, id="a", name="lamp")]}
        message = {field: "Press the switch."} | call
        events = read("chat", {"choices": [{"index": 0, "message": message}]})
        (carried,) = (e.carried for e in events if isinstance(e, ReasoningDelta) and e.carried is not None)
        assert (carried.provider, carried.data) == (CONTEXT.provider, {field: "Press the switch."})
    plain = read(
        "chat", {"choices": [{"index": 0, "message": {"reasoning_content": "Hm.", "content": "Yes."}}]}
    )
    assert not [e for e in plain if isinstance(e, ReasoningDelta) and e.carried is not None]


DEEP = b'{"a":' * 50_000 + b"1" + b"}" * 50_000


@each_dialect
def test_json_nested_too_deeply_is_malformed(dialect: str) -> None:
    assert failing(dialect, TEXTS[dialect], b"data: " + DEEP + b"\n\n").kind is FailureKind.MALFORMED
    with pytest.raises(UpstreamFailure) as caught:
        list(MODULES[dialect].whole(DEEP, CONTEXT))
    assert caught.value.kind is FailureKind.MALFORMED


GARBLED = {
    "leading NUL in the data": b"data: \x00%s\n\n",
    "leading NUL in the line": b"\x00data: %s\n\n",
    "invalid UTF-8 in the data": b"data: \xff%s\n\n",
    "invalid UTF-8 in the line": b"\xff\xfedata: %s\n\n",
    "a lost opening brace": b'data: "x%s\n\n',
}


@each_dialect
@pytest.mark.parametrize("form", GARBLED.values(), ids=GARBLED.keys())
def test_a_garbled_frame_does_not_vanish(dialect: str, form: bytes) -> None:
    second = form % TEXTS[dialect].partition(b"data: ")[2].strip()
    assert failing(dialect, TEXTS[dialect], second, ENDS[dialect]).kind is FailureKind.MALFORMED


@each_dialect
@pytest.mark.parametrize(
    "beat", [b": ping\n\n", b"data: ping\n\n", b"data:\n\n", b"retry: 10\n\n", b"id: 7\n\n"]
)
def test_heartbeats_are_passed_over(dialect: str, beat: bytes) -> None:
    (choice,) = collected(events_of(dialect, TEXTS[dialect], beat, TEXTS[dialect], ENDS[dialect])).choices
    assert choice.text == "Oslo.Oslo."


def test_invalid_utf8_in_a_text_is_malformed() -> None:
    broken = json.dumps({"choices": [{"delta": {"content": "XX"}}]}).encode().replace(b"XX", b"\xff")
    assert failing("chat", b"data: " + broken + b"\n\n").kind is FailureKind.MALFORMED
