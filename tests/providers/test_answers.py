"""Answers of every dialect mean the same in the neutral language, streamed in any pieces or whole."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from billing.usage import Usage
from routing.language.chat import (
    ChatResult,
    Collector,
    Finished,
    FinishReason,
    LogprobsDelta,
    ReasoningDelta,
    RefusalDelta,
    Started,
    StreamEvent,
    TextDelta,
    UsageReport,
)
from routing.providers.anthropic import answers as anthropic_answer
from routing.providers.gemini import answers as gemini_answer
from routing.providers.openai import (
    chat_answers as openai_chat_answer,
)
from routing.providers.openai import (
    responses_answers as openai_responses_answer,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import CallContext
from tests.providers import recorded

MODULES: dict[str, Any] = {
    "chat": openai_chat_answer,
    "responses": openai_responses_answer,
    "anthropic": anthropic_answer,
    "gemini": gemini_answer,
}
STREAMS = {
    "chat": recorded.OPENAI_CHAT,
    "responses": recorded.RESPONSES,
    "anthropic": recorded.ANTHROPIC,
    "gemini": recorded.GEMINI,
}
WHOLES = {
    "chat": recorded.OPENAI_CHAT_WHOLE,
    "responses": recorded.RESPONSES_WHOLE,
    "anthropic": recorded.ANTHROPIC_WHOLE,
    "gemini": recorded.GEMINI_WHOLE,
}
each_dialect = pytest.mark.parametrize("dialect", MODULES)
CONTEXT = CallContext("provider", "asked-model")


def events_of(dialect: str, *pieces: bytes, context: CallContext = CONTEXT) -> list[StreamEvent]:
    decoder = MODULES[dialect].Stream(context)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.end()]


def read(dialect: str, body: Any) -> list[StreamEvent]:
    return list(MODULES[dialect].whole(json.dumps(body).encode(), CONTEXT))


def collected(events: list[StreamEvent]) -> ChatResult:
    collector = Collector()
    for event in events:
        collector.add(event)
    return collector.result()


def failing(dialect: str, *pieces: bytes) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        events_of(dialect, *pieces)
    return caught.value


@each_dialect
@pytest.mark.parametrize("streamed", [True, False])
def test_every_api_decodes_to_the_same_answer(dialect: str, streamed: bool) -> None:
    answer = collected(events_of(dialect, STREAMS[dialect]) if streamed else read(dialect, WHOLES[dialect]))
    (choice,) = answer.choices
    assert choice.text == "Grüße 😀!"
    assert choice.finish_reason is FinishReason.TOOL_CALLS
    assert [(call.name, json.loads(call.arguments)) for call in choice.tool_calls] == [
        ("get_weather", {"city": "Oslo"}),
        ("get_time", {}),
    ]
    assert len({call.id for call in choice.tool_calls}) == 2
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.cache_read_tokens) == (100, 60)
    assert (answer.usage.output_tokens, answer.usage.reasoning_tokens) == (30, 12)
    if dialect != "chat":
        assert choice.reasoning == "Hm."
    assert answer.response_id
    assert answer.served_model.endswith("-x")


@each_dialect
def test_the_order_is_started_content_usage_finished(dialect: str) -> None:
    for events in (events_of(dialect, STREAMS[dialect]), read(dialect, WHOLES[dialect])):
        assert isinstance(events[0], Started)
        assert isinstance(events[-1], Finished)
        last_usage = max(i for i, event in enumerate(events) if isinstance(event, UsageReport))
        assert all(isinstance(event, Finished) for event in events[last_usage + 1 :]) or dialect == "gemini"


@each_dialect
def test_every_byte_split_of_a_stream_gives_the_same_events(dialect: str) -> None:
    stream = STREAMS[dialect]
    expected = events_of(dialect, stream)
    for cut in range(len(stream) + 1):
        assert events_of(dialect, stream[:cut], stream[cut:]) == expected


@each_dialect
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_any_pieces_with_any_line_end_and_comments_give_the_same_events(dialect: str, data: Any) -> None:
    plain = STREAMS[dialect].replace(b"\r\n", b"\n")
    end = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    stream = b": hello\n\n" + plain.replace(b"\n\n", b"\n: comment\n\n").replace(b"\n", end)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=20)))
    edges = [0, *cuts, len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert events_of(dialect, *pieces) == events_of(dialect, STREAMS[dialect])


@each_dialect
def test_a_stream_cut_before_its_finish_reason_is_always_truncated(dialect: str) -> None:
    stream = STREAMS[dialect]
    marks = {
        "chat": b'tool_calls"}',
        "responses": b"response.completed",
        "anthropic": b'stop_reason": "t',
        "gemini": b"STOP",
    }
    finish = stream.rindex(marks[dialect])
    for cut in range(finish):
        assert failing(dialect, stream[:cut]).kind is FailureKind.TRUNCATED


@each_dialect
def test_frames_after_the_finish_reason_may_be_lost(dialect: str) -> None:
    endings = {
        "chat": b"data: [DONE]",
        "responses": b"\n\n",
        "anthropic": b"event: message_stop",
        "gemini": b"\r\n",
    }
    stream = STREAMS[dialect]
    shortened = stream[: stream.rindex(endings[dialect])]
    assert collected(events_of(dialect, shortened)) == collected(events_of(dialect, stream))


@each_dialect
def test_unknown_events_and_fields_are_passed_over(dialect: str) -> None:
    news = recorded.frames({"type": "brand.new", "novelty": [1]})
    start, _, rest = STREAMS[dialect].partition(b"data:")
    assert (
        collected(events_of(dialect, news, start + b"data:" + rest)).choices
        == collected(events_of(dialect, STREAMS[dialect])).choices
    )


NUMBERED = {
    "chat": {"choices": [{"index": 7, "delta": {"content": "a"}}]},
    "responses": {"type": "response.output_text.delta", "output_index": 7, "delta": "a"},
    "anthropic": {"type": "content_block_start", "index": 7, "content_block": {"type": "text", "text": "a"}},
    "gemini": {"candidates": [{"index": 7, "content": {"parts": [{"text": "a"}]}}]},
}


@each_dialect
@pytest.mark.parametrize(
    "number", ["-1", "1000000", "1" + "0" * 5000, "1e300", "0.5"], ids=lambda number: number[:7]
)
def test_a_place_out_of_bounds_is_malformed(dialect: str, number: str) -> None:
    stream = recorded.frames(NUMBERED[dialect])
    assert failing(dialect, stream).kind is FailureKind.TRUNCATED
    assert failing(dialect, stream.replace(b": 7", f": {number}".encode())).kind is FailureKind.MALFORMED


ERRORS = {
    "chat": {"error": {"message": "No.", "type": "server_error", "code": "server_is_overloaded"}},
    "responses": {"type": "error", "code": "server_is_overloaded", "message": "No.", "param": None},
    "anthropic": {"type": "error", "error": {"type": "overloaded_error", "message": "No."}},
    "gemini": {"error": {"code": 503, "status": "UNAVAILABLE", "message": "No."}},
}


@each_dialect
def test_an_error_inside_a_stream_is_that_error(dialect: str) -> None:
    first = STREAMS[dialect][: len(STREAMS[dialect]) // 4].rpartition(b"data:")[0].rpartition(b"event:")[0]
    failed = failing(dialect, first, recorded.frames(ERRORS[dialect]))
    assert failed.kind is FailureKind.OVERLOADED
    assert failed.message == "No."


@each_dialect
@pytest.mark.parametrize("body", ["", "null", "[]", "{}", "<html>", '{"choices":[]}', '{"content":null}'])
def test_a_body_that_is_no_answer_is_malformed(dialect: str, body: str) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        list(MODULES[dialect].whole(body.encode(), CONTEXT))
    assert caught.value.kind is FailureKind.MALFORMED


def chat_finishing(reason: str, delta: dict[str, Any] | None = None) -> bytes:
    return recorded.frames(
        {"choices": [{"index": 0, "delta": delta or {}, "finish_reason": reason}]}, "[DONE]"
    )


def responses_ending(status: str, why: str | None) -> bytes:
    response = {
        "id": "r",
        "model": "m",
        "status": status,
        "incomplete_details": {"reason": why} if why else None,
    }
    return recorded.frames({"type": f"response.{status}", "response": response})


def anthropic_stopping(reason: str) -> bytes:
    return recorded.frames(
        {"type": "message_start", "message": {"id": "m", "model": "c"}},
        {"type": "message_delta", "delta": {"stop_reason": reason}},
        {"type": "message_stop"},
    )


def gemini_finishing(reason: str) -> bytes:
    return recorded.frames({"candidates": [{"index": 0, "finishReason": reason}]})


S, L, T, C = FinishReason.STOP, FinishReason.LENGTH, FinishReason.TOOL_CALLS, FinishReason.CONTENT_FILTER


@pytest.mark.parametrize(
    ("dialect", "stream", "reason"),
    [
        ("chat", chat_finishing("stop"), S),
        ("chat", chat_finishing("length"), L),
        ("chat", chat_finishing("tool_calls"), T),
        ("chat", chat_finishing("function_call"), T),
        ("chat", chat_finishing("content_filter"), C),
        ("chat", chat_finishing("stop", {"tool_calls": [{"id": "c", "function": {"name": "f"}}]}), T),
        ("responses", responses_ending("completed", None), S),
        ("responses", responses_ending("incomplete", "max_output_tokens"), L),
        ("responses", responses_ending("incomplete", "content_filter"), C),
        ("anthropic", anthropic_stopping("end_turn"), S),
        ("anthropic", anthropic_stopping("stop_sequence"), S),
        ("anthropic", anthropic_stopping("max_tokens"), L),
        ("anthropic", anthropic_stopping("model_context_window_exceeded"), L),
        ("anthropic", anthropic_stopping("tool_use"), T),
        ("anthropic", anthropic_stopping("refusal"), C),
        ("gemini", gemini_finishing("STOP"), S),
        ("gemini", gemini_finishing("MAX_TOKENS"), L),
        ("gemini", gemini_finishing("CONTINUATION"), L),
        *(
            ("gemini", gemini_finishing(r), C)
            for r in ("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII")
        ),
    ],
)
def test_finish_reasons(dialect: str, stream: bytes, reason: FinishReason) -> None:
    assert events_of(dialect, stream)[-1] == Finished(reason)


def test_a_prompt_gemini_blocks_is_refused() -> None:
    stream = recorded.frames(
        {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 5}}
    )
    assert failing("gemini", stream).kind is FailureKind.REFUSED


def test_several_choices_are_kept_apart_and_all_must_finish() -> None:
    first = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    second = {"index": 1, "delta": {"content": "b"}, "finish_reason": "stop"}
    ending = {"index": 0, "delta": {}, "finish_reason": "length"}
    stream = recorded.frames({"choices": [first]}, {"choices": [second]})
    assert failing("chat", stream).kind is FailureKind.TRUNCATED
    answer = collected(events_of("chat", stream + recorded.frames({"choices": [ending]}, "[DONE]")))
    assert [(choice.text, choice.finish_reason) for choice in answer.choices] == [("a", L), ("b", S)]


def test_refusals_logprobs_and_other_servers_reasoning_are_decoded() -> None:
    events = events_of(
        "chat",
        recorded.frames(
            {
                "choices": [
                    {"delta": {"refusal": "No."}, "logprobs": {"content": [{"token": "No", "logprob": -1}]}}
                ]
            },
            {"choices": [{"delta": {"reasoning_content": "a"}}]},
            {"choices": [{"delta": {"reasoning": "b"}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        ),
    )
    assert events[1:-1] == [
        RefusalDelta("No."),
        LogprobsDelta(({"token": "No", "logprob": -1},)),
        ReasoningDelta("a"),
        ReasoningDelta("b"),
    ]


def test_compatible_servers_without_index_id_or_model_are_decoded() -> None:
    calls = [
        {"tool_calls": [{"id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]},
        {"tool_calls": [{"id": "y", "function": {"name": "g", "arguments": ""}}]},
        {"tool_calls": [{"function": {"arguments": "{}"}}]},
    ]
    chunks = [{"choices": [{"delta": delta}]} for delta in calls]
    events = events_of("chat", recorded.frames(*chunks), chat_finishing("stop"))
    (choice,) = collected(events).choices
    assert events[0] == Started("asked-model", None)
    assert [(c.id, c.name, c.arguments) for c in choice.tool_calls] == [
        ("x", "f", '{"a":1}'),
        ("y", "g", "{}"),
    ]


def test_frames_after_done_are_ignored() -> None:
    assert TextDelta("more") not in events_of(
        "chat", chat_finishing("stop") + chat_finishing("stop", {"content": "more"})
    )


def test_usage_of_a_cut_anthropic_stream_counts_the_input() -> None:
    decoder = anthropic_answer.Stream(CONTEXT)
    events = list(decoder.feed(recorded.ANTHROPIC[: len(recorded.ANTHROPIC) // 2]))
    assert UsageReport(Usage(30, 60, 4, 6)) in events
