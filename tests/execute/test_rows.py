"""Rows of docs/reliability.md on real sockets: a provider misbehaves, the caller gets a whole answer."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.test import override_settings

from billing.models import Attempt, Request
from routing.catalog.measure import measure
from routing.catalog.models import Measurement
from routing.execute.breaker import CONSECUTIVE_FAILURES, FIRST_PAUSE_S
from routing.state import runtime
from tests.conftest import Simulator
from tests.door_client import DoorClient, NativeClient, Reply

ANSWER = "The capital of France is Paris."
ONE_BYTE_A_SECOND = {"kind": "slow_bytes", "piece_bytes": 1, "delay_s": 1}


def whole(reply: Reply) -> bool:
    return reply.error is None and reply.text == ANSWER


def primary_of(client: DoorClient, simulator: Simulator) -> str:
    """The model that answers as long as nothing is wrong."""
    model = client.ask().model
    simulator.reset()
    return model


def outcomes(reply: Reply) -> list[str]:
    return [attempt["outcome"] for attempt in reply.attempts]


def test_row_4_503_for_minutes_opens_the_breaker_and_sends_one_probe_a_pause(
    http: httpx.Client, simulator: Simulator
) -> None:
    client = NativeClient(http, streamed=False)
    primary = primary_of(client, simulator)
    simulator.fault(kind="status", status=503, model=primary)
    for _ in range(CONSECUTIVE_FAILURES + 4):
        assert whole(client.ask())
    assert len(simulator.calls(model=primary)) == CONSECUTIVE_FAILURES
    (circuit,) = (
        circuit for alive in runtime.alive() for circuit in alive.breaker.circuits(time.monotonic())
    )
    assert (circuit.scope, circuit.name, circuit.half_open) == ("model", primary, False)

    time.sleep(FIRST_PAUSE_S)
    with ThreadPoolExecutor(6) as pool:
        assert all(pool.map(lambda _: whole(client.ask()), range(12)))
    assert len(simulator.calls(model=primary)) == CONSECUTIVE_FAILURES + 1


def test_row_6_an_arm_that_accepts_and_falls_silent_is_not_tried_again(
    caller: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=30, count=1)
    reply = caller.ask()
    assert whole(reply)
    assert outcomes(reply) == ["failed", "ok"]
    assert reply.attempts[0]["error"] == "timeout"
    assert reply.attempts[0]["model"] != reply.attempts[1]["model"]


def test_row_7_a_first_token_that_is_late_comes_from_another_arm(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="stall", after_chunks=0, delay_s=20, count=1)
    began = time.monotonic()
    reply = streaming.ask()
    assert whole(reply)
    assert time.monotonic() - began < 5, "at the first-token deadline"
    assert outcomes(reply) == ["failed", "ok"]


@pytest.fixture
def default_patience() -> Iterator[None]:
    """As in production: three times the forecast. The whole request has six seconds."""
    with override_settings(FIRST_BYTE_PATIENCE=3.0, REQUEST_TIMEOUT_S=6.0):
        yield


THINKING = [("claude-opus-5", effort) for effort in ("low", "medium", "high", "xhigh", "max")]
THINKING += [("gpt-5.5-pro", "high"), ("gemini-3.1-pro-preview", "high")]


@pytest.mark.usefixtures("default_patience")
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("model", "effort"), THINKING)
def test_rows_6_and_7_a_silent_model_that_thinks_leaves_time_for_another(
    http: httpx.Client, simulator: Simulator, model: str, effort: str, streamed: bool
) -> None:
    simulator.fault(kind="delay", delay_s=30, model=model, count=1)
    reply = NativeClient(http, streamed).ask(model=model, reasoning_effort=effort)
    assert whole(reply)
    assert reply.attempts[0]["error"] == "timeout"
    assert reply.attempts[1]["model"] != model
    assert len(simulator.calls(model=model)) == 1, "it is not tried again"


@pytest.mark.usefixtures("default_patience")
def test_row_6_two_silent_models_leave_time_for_a_third(http: httpx.Client, simulator: Simulator) -> None:
    simulator.fault(kind="delay", delay_s=30, count=2)
    reply = NativeClient(http, streamed=False).ask(model="claude-opus-5", reasoning_effort="max")
    assert whole(reply)
    assert outcomes(reply) == ["failed", "failed", "ok"]


@pytest.mark.usefixtures("default_patience")
def test_a_model_without_a_spare_may_think_until_the_requests_deadline(
    http: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=4.5, count=1)
    client = NativeClient(http, streamed=False)
    reply = client.ask(model="claude-opus-5", reasoning_effort="max", fallback=False)
    assert whole(reply)


@pytest.mark.parametrize("model", ["gpt-4o-mini", "gpt-5-nano", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_row_10_what_is_no_part_of_the_answer_is_skipped(
    streaming: DoorClient, simulator: Simulator, model: str
) -> None:
    simulator.fault(kind="noise", after_chunks=2, count=1)
    reply = streaming.ask(model=model)
    assert whole(reply)
    assert reply.model == model
    assert not reply.fallback_used


def test_row_10_a_chunk_that_cannot_be_read_is_as_a_cut(streaming: DoorClient, simulator: Simulator) -> None:
    simulator.fault(kind="malformed", after_chunks=3, count=1)
    reply = streaming.ask()
    assert whole(reply)
    assert outcomes(reply) in (["partial", "ok"], ["failed", "ok"])


@pytest.mark.parametrize("model", ["gpt-4o-mini", "claude-haiku-4-5"])
def test_row_11_a_finish_reason_without_done_is_an_end(
    streaming: DoorClient, simulator: Simulator, model: str
) -> None:
    simulator.fault(kind="no_closing", count=1)
    reply = streaming.ask(model=model)
    assert whole(reply)
    assert not reply.fallback_used


def test_row_15_a_primary_that_recovered_is_back_in_use_within_30_s(
    http: httpx.Client, simulator: Simulator
) -> None:
    client = NativeClient(http, streamed=False)
    primary = primary_of(client, simulator)
    simulator.fault(kind="status", status=503, model=primary, count=CONSECUTIVE_FAILURES)
    for _ in range(CONSECUTIVE_FAILURES):
        assert whole(client.ask())
    recovered = time.monotonic()
    replies = [client.ask()]
    while replies[-1].model != primary:
        assert time.monotonic() - recovered < 30
        time.sleep(0.2)
        replies.append(client.ask())
    assert len(replies) > 1, "it was left out for a while"
    assert all(whole(reply) for reply in replies)


@pytest.fixture
def measure_health(live_db: None) -> Iterator[Callable[[], None]]:
    """Run the job that measures error rates. It leaves speeds out: all simulated answers come at once."""

    def run() -> None:
        measure(datetime.now(UTC))
        Measurement.objects.update(samples=0)
        refresh()

    def refresh() -> None:
        for alive in runtime.alive():
            alive.catalog.refresh_now()

    def forget() -> None:
        Measurement.objects.all().delete()
        refresh()

    Attempt.objects.all().update(started_at=datetime(2026, 1, 1, tzinfo=UTC))  # of other tests
    forget()
    yield run
    forget()


# On easy questions several arms are nearly tied, and any of them may answer after a failure; here one leads.
CLEAR = [
    {
        "role": "user",
        "content": "Find all integer solutions of x^3 + y^3 = z^3 + 1 below 100; prove there are no others.",
    }
]


def test_row_15_auto_chooses_a_recovered_model_again_within_30_s(
    http: httpx.Client, simulator: Simulator, measure_health: Callable[[], None]
) -> None:
    """As row 15, with the error rates that the job measures meanwhile."""
    client = NativeClient(http, streamed=False)
    primary = client.ask(CLEAR, strategy="auto").model
    simulator.fault(kind="status", status=503, model=primary, count=2 * CONSECUTIVE_FAILURES)
    began = time.monotonic()
    while len(simulator.calls(model=primary)) < CONSECUTIVE_FAILURES + 2:
        assert client.ask(CLEAR, strategy="auto").error is None
        time.sleep(0.05)
        assert time.monotonic() - began < 20
    simulator.reset()
    recovered = time.monotonic()
    measure_health()
    while client.ask(CLEAR, strategy="auto").model != primary:
        assert time.monotonic() - recovered < 30
        time.sleep(0.2)
    measure_health()
    assert {client.ask(CLEAR, strategy="auto").model for _ in range(5)} == {primary}


def test_one_failure_does_not_move_auto_to_another_model(
    http: httpx.Client, simulator: Simulator, measure_health: Callable[[], None]
) -> None:
    client = NativeClient(http, streamed=False)
    primary = client.ask(CLEAR, strategy="auto").model
    simulator.fault(kind="status", status=500, model=primary, count=1)
    assert client.ask(CLEAR, strategy="auto").model != primary, "the next arm answers"
    measure_health()
    assert {client.ask(CLEAR, strategy="auto").model for _ in range(3)} == {primary}


def test_row_16_model_usage_and_cost_are_the_servers_that_answered(
    caller: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=1)
    reply = caller.ask()
    row = Request.objects.get(pk=reply.request_id)
    failed, served = simulator.calls()
    answered = Attempt.objects.get(request=row, number=2)
    assert reply.model == row.served_model == answered.model
    assert served["provider"] == row.provider
    assert (
        row.uncached_input_tokens + row.cache_read_tokens + row.cache_write_tokens
        == served["usage"]["input_tokens"]
    )
    assert row.output_tokens == served["usage"]["output_tokens"]
    assert row.cost_usd == answered.cost_usd
    assert failed["usage"]["output_tokens"] == 0


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "refuse_connection"},
        {"kind": "html_error", "status": 200},
        {"kind": "empty_body"},
        {"kind": "error_in_200", "after_chunks": 0},
        {"kind": "gzip_bomb"},
        {"kind": "header_flood"},
    ],
    ids=lambda fault: fault["kind"],
)
def test_row_20_an_invalid_answer_is_replaced_by_another_arm(
    caller: DoorClient, simulator: Simulator, fault: dict[str, Any]
) -> None:
    simulator.fault(**fault, count=1)
    reply = caller.ask()
    assert whole(reply)
    assert outcomes(reply) == ["failed", "ok"]


def test_row_20_a_stream_of_one_byte_a_second_is_answered_by_another_arm(
    streaming: DoorClient, simulator: Simulator
) -> None:
    simulator.fault(**ONE_BYTE_A_SECOND, count=1)
    began = time.monotonic()
    assert whole(streaming.ask())
    assert time.monotonic() - began < 5


@pytest.mark.usefixtures("default_patience")
def test_row_20_a_completion_of_one_byte_a_second_is_answered_by_another_arm(
    http: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(**ONE_BYTE_A_SECOND | {"delay_s": 0.3}, count=1)
    reply = NativeClient(http, streamed=False).ask()
    assert whole(reply)
    assert outcomes(reply) == ["failed", "ok"]


def test_row_20_one_byte_a_second_holds_no_request_beyond_its_deadline(
    http: httpx.Client, simulator: Simulator
) -> None:
    """20 s here. Bytes do come, so the arms share the time of the whole request."""
    simulator.fault(**ONE_BYTE_A_SECOND | {"delay_s": 0.5})
    began = time.monotonic()
    reply = NativeClient(http, streamed=False).ask()
    assert 15 < time.monotonic() - began < 23
    assert (reply.status, reply.error and reply.error["code"]) == (503, "all_providers_failed")
    row = Request.objects.get(pk=reply.request_id)
    assert (row.status, row.cost_usd) == ("failed", 0)


def test_row_20_many_gzip_bombs_at_once_stay_within_bounded_memory(
    http: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(kind="gzip_bomb", count=8)  # 128 MB each
    client = NativeClient(http, streamed=True)
    most, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            most[0] = max(most[0], _resident_mb())

    watcher = threading.Thread(target=watch)
    before = _resident_mb()
    watcher.start()
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda _: client.ask(), range(8)))
    done.set()
    watcher.join()
    assert all(whole(reply) or reply.error for reply in replies)
    assert most[0] - before < 400


def _resident_mb() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 1_000_000
