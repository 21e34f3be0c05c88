"""Fallback: the next arm answers after a failure upstream, but not after a caller's own mistake."""

from typing import Any

import pytest

from billing.models import Attempt, Request
from tests.conftest import Simulator
from tests.door_client import DoorClient

FAILING = {
    "500": {"kind": "status", "status": 500},
    "503 overloaded": {"kind": "status", "status": 503},
    "429 with Retry-After": {"kind": "status", "status": 429, "retry_after": 1},
    "429 without": {"kind": "status", "status": 429},
    "silence until the first-byte deadline": {"kind": "delay", "delay_s": 5},
    "HTML error page": {"kind": "html_error"},
    "empty body": {"kind": "empty_body"},
    "200 with an error body": {"kind": "error_in_200", "after_chunks": 0},
    "wrong credential": {"kind": "status", "status": 401},
    "model gone": {"kind": "status", "status": 404},
}


@pytest.mark.parametrize("fault", FAILING.values(), ids=FAILING.keys())
def test_a_failure_of_the_first_choice_is_answered_by_the_next(
    caller: DoorClient, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.fault(**fault, count=1)
    reply = caller.ask()
    assert reply.error is None, reply
    assert reply.text == "The capital of France is Paris."
    assert reply.fallback_used
    assert [attempt["outcome"] for attempt in reply.attempts] == ["failed", "ok"]
    assert reply.attempts[0]["model"] != reply.attempts[1]["model"] == reply.model


@pytest.mark.parametrize("steering", [{}, {"model": "gpt-4o-mini", "fallback": False}], ids=["any", "sole"])
def test_row_5_a_closed_connection_is_replaced_or_another_attempt_answers(
    caller: DoorClient, simulator: Simulator, steering: dict[str, Any]
) -> None:
    simulator.fault(kind="refuse_connection", count=1)
    reply = caller.ask(**steering)
    assert reply.text == "The capital of France is Paris."
    # A kept connection may have been closed before the request came: it is then sent again on a new one.
    assert [attempt["outcome"] for attempt in reply.attempts] in (["ok"], ["failed", "ok"])


def test_the_ledger_records_the_answering_arm_and_every_attempt(
    caller: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=2)
    reply = caller.ask()
    row = Request.objects.get(pk=reply.request_id)
    attempts = list(Attempt.objects.filter(request=row).order_by("number"))
    assert (row.status, row.served_model, row.fallback_used) == ("succeeded", reply.model, True)
    assert [attempt.outcome for attempt in attempts] == ["failed", "failed", "ok"]
    assert [attempt.error_kind for attempt in attempts] == ["server", "server", ""]
    assert row.cost_usd == attempts[-1].cost_usd
    assert float(row.cost_usd or 0) == reply.cost_usd


def test_when_every_candidate_fails_the_error_lists_the_attempts(
    caller: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=3)
    reply = caller.ask()
    assert reply.status == 503
    assert reply.error is not None
    assert reply.error["code"] == "all_providers_failed"
    row = Request.objects.get(pk=reply.request_id)
    assert (row.status, row.error_code, row.cost_usd) == ("failed", "all_providers_failed", 0)
    assert row.attempts.count() == 3
    assert not row.fallback_used, "no other arm answered"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "status", "status": 400}, "bad_request"),
        (
            {"kind": "status", "status": 400, "error_code": "content_policy_violation"},
            "content_policy_violation",
        ),
    ],
    ids=["400", "content refusal"],
)
def test_a_callers_mistake_is_not_retried(
    caller: DoorClient, simulator: Simulator, fault: dict[str, Any], code: str
) -> None:
    simulator.fault(**fault, count=1)
    reply = caller.ask()
    assert reply.status == 400
    assert reply.error is not None
    assert reply.error["code"] == code
    assert len(simulator.calls()) == 1


def test_without_fallback_the_arms_own_error_is_the_answer(caller: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=500, count=2)
    reply = caller.ask(fallback=False)
    assert reply.status == 502
    assert reply.error is not None
    assert reply.error["code"] == "provider_error"
    assert len(simulator.calls()) == 2


ONCE_MORE = {
    "500": {"kind": "status", "status": 500},
    "503 overloaded": {"kind": "status", "status": 503},
    "429 without Retry-After": {"kind": "status", "status": 429},
    "wrong credential": {"kind": "status", "status": 401},
}


@pytest.mark.parametrize("fault", ONCE_MORE.values(), ids=ONCE_MORE.keys())
def test_rows_2_3_and_33_a_sole_model_is_tried_once_more(
    caller: DoorClient, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.fault(**fault, count=1)
    reply = caller.ask(model="gpt-4o-mini", fallback=False)
    assert reply.error is None
    assert reply.text == "The capital of France is Paris."
    assert [attempt["outcome"] for attempt in reply.attempts] == ["failed", "ok"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 404},
        {"kind": "status", "status": 429, "error_code": "insufficient_quota"},
        {"kind": "delay", "delay_s": 5},
        {"kind": "empty_body"},
    ],
    ids=["model gone", "no credit left", "silence", "malformed"],
)
def test_a_sole_model_is_not_tried_again_where_that_would_not_help(
    caller: DoorClient, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.fault(**fault, count=1)
    reply = caller.ask(model="gpt-4o-mini", fallback=False)
    assert reply.error is not None
    assert len(simulator.calls()) == 1


def test_a_retry_on_the_same_arm_is_no_fallback(caller: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=429, retry_after=0.1, count=1)
    reply = caller.ask(model="claude-haiku-4-5", fallback=False)
    row = Request.objects.get(pk=reply.request_id)
    assert [attempt["outcome"] for attempt in reply.attempts] == ["failed", "ok"]
    assert {attempt["model"] for attempt in reply.attempts} == {"claude-haiku-4-5"}
    assert reply.headers["x-routeplex-fallback-used"] == "false"
    assert (reply.fallback_used, row.fallback_used) == (False, False)


def test_header_answer_and_ledger_agree_on_a_fallback(caller: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=500, count=1)
    reply = caller.ask()
    row = Request.objects.get(pk=reply.request_id)
    assert reply.headers["x-routeplex-fallback-used"] == "true"
    assert (reply.fallback_used, row.fallback_used) == (True, True)


def test_a_pinned_model_falls_back_unless_the_pin_is_strict(caller: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="status", status=500, model="claude-haiku-4-5", count=1)
    reply = caller.ask(model="claude-haiku-4-5")
    assert reply.error is None
    assert reply.fallback_used
    assert reply.model != "claude-haiku-4-5"


def test_a_stream_cut_after_content_ends_in_a_typed_error_and_a_partial_row(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="cut", after_chunks=3, count=1)
    simulator.fault(kind="status", status=500, count=2)  # nor does a rescue succeed
    reply = streaming.ask()
    assert reply.text
    assert reply.error is not None
    row = Request.objects.get(pk=reply.request_id)
    assert row.status == "partial"
    assert row.usage_estimated
    assert row.cost_usd is not None
    assert row.cost_usd > 0


def test_a_cut_before_any_content_is_answered_whole(caller: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="cut", after_chunks=0, count=1)
    assert caller.ask().text == "The capital of France is Paris."
