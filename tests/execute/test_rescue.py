"""The next arm continues a cut stream, and the caller reads one answer (reliability rows 8, 9 and 14)."""

import json
from typing import Any

import httpx
import pytest

from billing.models import Attempt, Request
from tests.conftest import Simulator
from tests.door_client import ChatClient, DoorClient, NativeClient, Reply

ESSAY = [{"role": "user", "content": "Explain the history of bread in a few paragraphs."}]
PASSAGE = (
    "Bread was baked long before anyone wrote down how it was made. Grain became flour between two heavy "
    "stones; water, salt and wild yeast did the rest, slowly, over a night and half a morning, and whoever "
    "rose first shaped the loaves and put them into the oven."
)
CUTS: dict[str, dict[str, Any]] = {
    "cut": {"kind": "cut", "after_chunks": 3},
    "stall": {"kind": "stall", "after_chunks": 3, "delay_s": 30},
    "malformed chunk": {"kind": "malformed", "after_chunks": 3},
}


def row_of(reply: Reply) -> Request:
    return Request.objects.get(pk=reply.request_id)


FIRST = {
    "gpt-4o-mini": 14,
    "gpt-5-nano": 12,
    "claude-haiku-4-5": 7,
    "gemini-2.5-flash": 2,
}  # cut after chunks


@pytest.mark.parametrize("manner", ["clean", "overlap", "bare", "restart"])
@pytest.mark.parametrize("first", FIRST)
def test_row_8_the_text_is_whole_however_the_next_arm_goes_on(
    streaming: DoorClient, simulator: Simulator, first: str, manner: str
) -> None:
    simulator.fault(kind="cut", model=first, after_chunks=FIRST[first], count=1)
    simulator.fault(kind="go_on", manner=manner, count=1)
    reply = streaming.ask([{"role": "user", "content": f"Repeat exactly: {PASSAGE}"}], model=first)
    assert [attempt["outcome"] for attempt in reply.attempts] == ["partial", "ok"]
    assert reply.text == PASSAGE


@pytest.mark.parametrize(
    "second", ["claude-sonnet-4-6", "claude-haiku-4-5", "gpt-4.1-mini", "gemini-2.5-flash"]
)
def test_row_14_whichever_arm_goes_on_takes_the_request(
    http: httpx.Client, simulator: Simulator, second: str
) -> None:
    simulator.fault(kind="cut", after_chunks=14, count=1)
    reply = NativeClient(http, streamed=True).ask(
        [{"role": "user", "content": f"Repeat exactly: {PASSAGE}"}],
        model="gpt-4o-mini",
        models=["gpt-4o-mini", second],
        max_output_tokens=2000,
    )
    assert (reply.text, reply.model) == (PASSAGE, second)


def test_a_json_answer_goes_on_as_the_same_document(streaming: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=10, count=1)
    reply = streaming.ask(
        [{"role": "user", "content": "Explain tides as JSON."}],
        model="gpt-4o-mini",
        response_format={"type": "json_object"},
    )
    assert [attempt["outcome"] for attempt in reply.attempts] == ["partial", "ok"]
    assert "answer" in json.loads(reply.text)
    assert "JSON document" in json.dumps(simulator.calls()[-1]["body"])


def test_log_probabilities_are_not_continued(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    reply = ChatClient(http, streamed=True).ask(ESSAY, model="gpt-4o-mini", logprobs=True)
    assert reply.error is not None
    assert len(simulator.calls()) == 1


@pytest.mark.parametrize("fault", CUTS.values(), ids=CUTS.keys())
def test_rows_8_and_9_a_broken_stream_is_continued_by_the_next_arm(
    streaming: DoorClient, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.fault(**fault, count=1)
    reply = streaming.ask(ESSAY, max_output_tokens=600)
    assert reply.error is None
    assert [attempt["outcome"] for attempt in reply.attempts] == ["partial", "ok"]
    assert reply.fallback_used
    assert reply.text.endswith(".)"), "the essay's last line is there"
    sentences = [part for part in reply.text.replace("\n", " ").split(". ") if len(part) > 30]
    assert len(sentences) == len(set(sentences)), "no sentence comes twice"


def test_a_rescued_request_is_charged_for_both_parts_and_says_so(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    reply = streaming.ask(ESSAY)
    row = row_of(reply)
    attempts = list(Attempt.objects.filter(request=row).order_by("number"))
    assert (row.status, row.rescued, row.fallback_used) == ("succeeded", True, True)
    assert row.served_model == attempts[-1].model == reply.attempts[-1]["model"]
    assert all(attempt.charged for attempt in attempts)
    assert row.cost_usd == sum(attempt.cost_usd or 0 for attempt in attempts)
    assert row.output_tokens == sum(attempt.output_tokens for attempt in attempts)


def test_row_14_the_continuation_never_ends_on_an_assistants_message(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    streaming.ask(ESSAY)
    body = simulator.calls()[-1]["body"]
    last = (body.get("messages") or body.get("input") or body.get("contents"))[-1]
    assert last["role"] == "user"
    assert "cut off" in json.dumps(body)


def test_a_stream_cut_twice_is_rescued_twice(streaming: DoorClient, simulator: Simulator) -> None:
    simulator.fault(**CUTS["cut"], count=2)
    reply = streaming.ask(ESSAY)
    assert reply.error is None
    first, second, last = (attempt["outcome"] for attempt in reply.attempts)
    # The second may break off before anything new of it was read.
    assert (first, second in ("partial", "failed"), last) == ("partial", True, "ok")
    assert reply.text.endswith(".)")


def test_a_continuation_that_fails_is_tried_by_the_one_after(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    simulator.fault(kind="status", status=500, count=1)
    reply = streaming.ask(ESSAY)
    assert reply.error is None
    assert [attempt["outcome"] for attempt in reply.attempts] == ["partial", "failed", "ok"]


def test_a_rescue_that_fails_is_a_typed_error_and_charges_what_was_given(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    simulator.fault(kind="status", status=500, count=2)
    reply = streaming.ask(ESSAY)
    assert reply.text
    assert reply.error is not None
    row = Request.objects.filter(account__requests__isnull=False).order_by("-created_at").first()
    assert row is not None
    attempts = list(Attempt.objects.filter(request=row).order_by("number"))
    assert (row.status, row.rescued) == ("partial", False)
    assert [attempt.charged for attempt in attempts] == [True, False, False]
    assert row.cost_usd == attempts[0].cost_usd


def test_a_request_can_refuse_a_rescue(streaming: DoorClient, simulator: Simulator) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    reply = streaming.ask(ESSAY, rescue=False)
    assert reply.error is not None
    assert len(simulator.calls()) == 1


def test_an_account_can_refuse_rescues(account: Any, http: httpx.Client, simulator: Simulator) -> None:
    account.rescue = False
    account.save()
    simulator.fault(**CUTS["cut"], count=1)
    assert NativeClient(http, streamed=True).ask(ESSAY).error is not None


def test_half_a_tool_call_is_not_continued(streaming: DoorClient, simulator: Simulator) -> None:
    weather = {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Weather of a city",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
    simulator.fault(kind="cut", after_chunks=4, count=1)
    reply = streaming.ask(
        [{"role": "user", "content": "What is the weather in Paris?"}],
        tools=[weather],
        tool_choice="required",
        model="gpt-4.1-mini",
    )
    assert reply.error is not None
    assert len(simulator.calls()) == 1


def test_the_rest_is_no_longer_than_the_callers_limit_leaves(
    http: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(**CUTS["cut"], count=1)
    reply = NativeClient(http, streamed=True).ask(ESSAY, max_output_tokens=200)
    assert row_of(reply).output_tokens <= 200 + 16
