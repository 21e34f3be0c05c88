"""The breaker: when it opens, whom it blocks, and how one probe closes it again."""

from typing import Any

import pytest

from routing.execute.breaker import (
    CONSECUTIVE_FAILURES,
    FIRST_PAUSE_S,
    LAST_RESORT_S,
    LONG_PAUSE_S,
    LONGEST_PAUSE_S,
    STRIKE_S,
    WINDOW,
    Breaker,
    CircuitOpened,
)
from routing.language.arms import ModelFacts
from routing.providers.shared.failures import FailureKind, UpstreamFailure


def facts(model: str = "m", provider: str = "p") -> ModelFacts:
    return ModelFacts(
        id=model,
        provider=provider,
        dialect="openai_chat",
        upstream_id=model,
        name=model,
        status="current",
        tier="default",
        context_window=1000,
        max_input_tokens=1000,
        max_output_tokens=100,
        capabilities=frozenset(),
    )


def failure(kind: FailureKind = FailureKind.SERVER, **more: Any) -> UpstreamFailure:
    return UpstreamFailure(kind, "it failed", **more)


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(CONSECUTIVE_FAILURES):
        breaker.failed(facts(), failure(), now)
    return breaker


def test_it_stays_closed_below_the_threshold() -> None:
    breaker = Breaker()
    for _ in range(CONSECUTIVE_FAILURES - 1):
        breaker.failed(facts(), failure(), 0.0)
    assert breaker.acquire_here(facts(), 0.0, 1.0)
    assert breaker.blocked(0.0) == ({}, {})


def test_consecutive_failures_open_it_for_that_model_only() -> None:
    breaker = opened()
    assert not breaker.acquire_here(facts(), 1.0, 1.0)
    assert breaker.acquire_here(facts("other"), 1.0, 1.0)
    assert "server" in breaker.blocked(1.0)[0]["m"]


def test_a_success_starts_the_count_again() -> None:
    breaker = Breaker()
    for _ in range(3 * CONSECUTIVE_FAILURES):
        breaker.failed(facts(), failure(), 0.0)
        breaker.succeeded(facts(), 0.0)
        breaker.succeeded(facts(), 0.0)
    assert breaker.acquire_here(facts(), 0.0, 1.0)


def test_a_high_error_rate_opens_it_without_a_run_of_failures() -> None:
    breaker = Breaker()
    breaker.failed(facts(), failure(), 0.0)
    for _ in range(WINDOW // 2):
        breaker.succeeded(facts(), 0.0)
        breaker.failed(facts(), failure(), 0.0)
    assert not breaker.acquire_here(facts(), 0.1, 1.0)


def test_half_open_lets_one_probe_through_at_a_time() -> None:
    breaker = opened()
    later = FIRST_PAUSE_S + 0.1
    assert breaker.acquire_here(facts(), later, 1.0)
    assert not breaker.acquire_here(facts(), later, 1.0)
    assert breaker.acquire_here(facts(), later + 1.1, 1.0), (
        "a probe that never reported back is not waited for"
    )


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    assert breaker.acquire_here(facts(), FIRST_PAUSE_S + 0.1, 1.0)
    breaker.succeeded(facts(), FIRST_PAUSE_S + 0.2)
    assert all(breaker.acquire_here(facts(), FIRST_PAUSE_S + 0.2, 1.0) for _ in range(3))


def test_pauses_double_up_to_the_longest() -> None:
    breaker, now = opened(), 0.0
    for _ in range(6):
        now += LONGEST_PAUSE_S + 0.1
        assert breaker.acquire_here(facts(), now, 1.0), "back in use within the longest pause"
        breaker.failed(facts(), failure(), now)
        assert not breaker.acquire_here(facts(), now + FIRST_PAUSE_S - 0.1, 1.0)


@pytest.mark.parametrize("kind", [FailureKind.AUTH, FailureKind.QUOTA])
def test_a_wrong_credential_or_no_credit_blocks_the_provider(kind: FailureKind) -> None:
    breaker = Breaker()
    breaker.failed(facts(), failure(kind), 0.0)
    breaker.failed(facts(), failure(kind), 0.0)
    assert not breaker.acquire_here(facts("another model"), 1.0, 1.0)
    assert breaker.acquire_here(facts("m", "another provider"), 1.0, 1.0)
    assert breaker.acquire_here(facts(), LONG_PAUSE_S + 1, 1.0)


LASTING = [FailureKind.AUTH, FailureKind.QUOTA, FailureKind.MODEL_GONE]


@pytest.mark.parametrize("kind", LASTING)
def test_a_single_lasting_failure_pauses_nothing(kind: FailureKind) -> None:
    breaker = Breaker()
    breaker.failed(facts(), failure(kind), 0.0)
    assert breaker.acquire_here(facts(), 0.0, 1.0)
    breaker.succeeded(facts(), 1.0)
    breaker.failed(facts(), failure(kind), 2.0)
    assert breaker.acquire_here(facts(), 2.0, 1.0), "an answer between them clears the first"
    breaker.failed(facts(), failure(kind), 2.0 + STRIKE_S)
    assert breaker.acquire_here(facts(), 3.0 + STRIKE_S, 1.0), "nor does one of long ago count"


@pytest.mark.parametrize("kind", LASTING)
def test_a_long_pause_is_probed_at_times_when_nothing_else_is_left(kind: FailureKind) -> None:
    breaker = Breaker()
    for _ in range(2):
        breaker.failed(facts(), failure(kind), 0.0)
    assert breaker.wait_s(facts(), 1.0) == LAST_RESORT_S - 1
    assert breaker.wait_s(facts(), 1.0, last_resort=False) == LONG_PAUSE_S - 1
    assert not breaker.acquire_here(facts(), LAST_RESORT_S - 0.1, 1.0, last_resort=True)
    assert not breaker.acquire_here(facts(), LAST_RESORT_S, 1.0), "others can answer"
    assert breaker.acquire_here(facts(), LAST_RESORT_S, 1.0, last_resort=True)
    assert not breaker.acquire_here(facts(), LAST_RESORT_S, 1.0, last_resort=True), "one at a time"
    breaker.failed(facts(), failure(kind), LAST_RESORT_S + 0.5)
    assert breaker.wait_s(facts(), LAST_RESORT_S + 0.5) == LAST_RESORT_S
    now = 2 * LAST_RESORT_S + 0.5
    assert breaker.acquire_here(facts(), now, 1.0, last_resort=True)
    breaker.succeeded(facts(), now)
    assert breaker.blocked(now) == ({}, {})


def test_a_short_pause_has_no_last_resort() -> None:
    breaker = opened()
    assert not breaker.acquire_here(facts(), FIRST_PAUSE_S - 0.1, 1.0, last_resort=True)


def test_retry_after_is_honoured() -> None:
    breaker = Breaker()
    breaker.failed(facts(), failure(FailureKind.RATE_LIMIT, retry_after_s=7.0), 0.0)
    assert not breaker.acquire_here(facts(), 6.9, 1.0)
    assert breaker.acquire_here(facts(), 7.1, 1.0)


def test_a_provider_that_cannot_be_reached_is_counted_over_all_its_models() -> None:
    breaker = Breaker()
    for number in range(CONSECUTIVE_FAILURES):
        breaker.failed(facts(f"m{number}"), failure(FailureKind.UNAVAILABLE), 0.0)
    assert not breaker.acquire_here(facts("yet another"), 1.0, 1.0)


@pytest.mark.parametrize("kind", [FailureKind.BAD_REQUEST, FailureKind.REFUSED, FailureKind.CONTEXT])
def test_the_callers_own_mistakes_do_not_count(kind: FailureKind) -> None:
    breaker = Breaker()
    for _ in range(50):
        breaker.failed(facts(), failure(kind), 0.0)
    assert breaker.acquire_here(facts(), 0.0, 1.0)


def test_what_began_before_it_opened_neither_closes_it_nor_lengthens_the_pause() -> None:
    breaker = opened()
    for _ in range(50):
        breaker.failed(facts(), failure(), 1.0)
    assert not breaker.acquire_here(facts(), 1.0, 1.0)
    breaker.succeeded(facts(), 1.0)
    assert not breaker.acquire_here(facts(), 1.0, 1.0), "the answer of a call from before"
    assert breaker.acquire_here(facts(), FIRST_PAUSE_S + 0.1, 1.0), "the first pause, not the longest"


def test_a_longer_wait_is_not_cut_by_a_shorter_one() -> None:
    breaker = Breaker()
    breaker.failed(facts(), failure(FailureKind.RATE_LIMIT, retry_after_s=7.0), 0.0)
    breaker.failed(facts(), failure(FailureKind.RATE_LIMIT, retry_after_s=1.0), 0.0)
    assert not breaker.acquire_here(facts(), 6.9, 1.0)


def test_listeners_get_each_opened_circuit_once() -> None:
    breaker, heard = Breaker(), list[CircuitOpened]()
    breaker.on_open.append(heard.append)
    for second in range(3):
        breaker.failed(facts(), failure(FailureKind.AUTH), second)
    for _ in range(CONSECUTIVE_FAILURES + 3):
        breaker.failed(facts("n"), failure(), 0.0)
    assert [(event.scope, event.name, event.provider, event.long) for event in heard] == [
        ("provider", "p", "p", True),
        ("model", "n", "p", False),
    ]
    assert heard[0].reason == "auth: it failed"


def test_its_circuits_can_be_read() -> None:
    breaker = opened()
    (circuit,) = breaker.circuits(2.0)
    assert (circuit.scope, circuit.name, circuit.reason) == ("model", "m", "server: it failed")
    assert (circuit.left_s, circuit.pause_s) == (FIRST_PAUSE_S - 2, 2 * FIRST_PAUSE_S)
    assert not circuit.half_open
    assert breaker.circuits(FIRST_PAUSE_S)[0].half_open
    breaker.succeeded(facts(), FIRST_PAUSE_S)
    assert breaker.circuits(FIRST_PAUSE_S) == ()
