"""Measurements from traffic: recent attempts count more, failures caused by the caller do not count."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from billing.models import Attempt, Request
from routing.catalog.build import build
from routing.catalog.measure import HALF_LIFE_S, health_word, measure
from routing.catalog.models import Measurement
from routing.language.arms import Arm, Effort
from routing.language.ids import new_request_id
from tests.catalog.conftest import NOW, PROVIDERS

pytestmark = pytest.mark.django_db
LUNA = "gpt-6-luna"
AddAttempts = Callable[..., None]


@pytest.fixture
def add_attempts(db: None) -> AddAttempts:
    """`add_attempts(times, ago=…, outcome=…, …)`: that many attempts of one arm, some time ago."""
    from accounts.keys import create_key
    from accounts.models import Account, Plan

    account = Account.objects.create(name="Tests", plan=Plan.objects.get(pk="unlimited"))
    key, _ = create_key(account, "tests")

    def add_attempts(
        times: int, ago: timedelta = timedelta(seconds=1), streamed: bool = True, **fields: Any
    ) -> None:
        request = Request.objects.create(
            id=new_request_id(), account=account, key=key, created_at=NOW, lease_until=NOW, door="native",
            mode="routeplex-ai", strategy="auto", routed_model=LUNA, trace={}, streamed=streamed,
        )  # fmt: skip
        defaults: dict[str, Any] = {
            "model": LUNA, "effort": "none", "provider": "openai", "outcome": "ok", "started_at": NOW - ago,
            "ttft_ms": 200, "latency_ms": 1200, "output_tokens": 100,
        }  # fmt: skip
        Attempt.objects.bulk_create(
            Attempt(request=request, number=number, **defaults | fields) for number in range(1, times + 1)
        )

    return add_attempts


def measured(effort: str = "none") -> Measurement:
    measure(NOW)
    return Measurement.objects.get(model_id=LUNA, effort=effort)


def test_latency_and_speed_are_those_of_the_attempts(add_attempts: AddAttempts) -> None:
    add_attempts(30)
    row = measured()
    assert (row.samples, row.ttft_p50_ms, row.tokens_per_second, row.p_up) == (30, 200, 100, 1.0)
    latency = build(NOW, PROVIDERS).snapshot.latency[Arm(LUNA, Effort.NONE)]
    assert (latency.ttft_p50_ms, latency.samples) == (200, 30)


def test_speed_is_that_of_the_visible_answer(add_attempts: AddAttempts) -> None:
    # reasoning happens before the first token, so it is in the time to it already
    add_attempts(3, effort="high", output_tokens=5_000, reasoning_tokens=4_900)
    assert measured("high").tokens_per_second == 100


def test_an_answer_that_arrives_whole_does_not_count_as_decoded_in_a_millisecond(
    add_attempts: AddAttempts,
) -> None:
    for visible in range(20, 220, 5):  # 500 ms to the first token, then 100 tokens a second
        latency = 500 + 10 * visible
        add_attempts(1, streamed=False, ttft_ms=latency - 1, latency_ms=latency, output_tokens=visible)
    row = measured()
    assert row.tokens_per_second == pytest.approx(100, rel=0.1)
    assert (row.ttft_p50_ms, row.ttft_p95_ms) == pytest.approx((500, 500), rel=0.1)


def test_equally_long_whole_answers_keep_their_latency_and_the_division_of_the_prior(
    add_attempts: AddAttempts,
) -> None:
    add_attempts(30, streamed=False, ttft_ms=3_999, latency_ms=4_000, output_tokens=200)
    row = measured()
    assert row.ttft_p50_ms + 200 / row.tokens_per_second * 1000 == pytest.approx(4_000, rel=0.05)
    assert 25 < row.tokens_per_second < 500


def test_whole_answers_do_not_count_beside_enough_streamed_ones(add_attempts: AddAttempts) -> None:
    add_attempts(25)
    add_attempts(200, streamed=False, ttft_ms=9_000, latency_ms=9_001)
    row = measured()
    assert (row.samples, row.ttft_p50_ms, row.tokens_per_second) == (25, 200, 100)


def test_a_stream_delivered_in_one_piece_counts_as_a_whole_answer(add_attempts: AddAttempts) -> None:
    add_attempts(30, ttft_ms=2_000, latency_ms=2_001, output_tokens=150)
    row = measured()
    assert row.tokens_per_second < 500
    assert row.ttft_p50_ms < 2_000


def test_answers_of_a_few_tokens_show_first_token_but_no_speed(add_attempts: AddAttempts) -> None:
    add_attempts(30, ttft_ms=200, latency_ms=201, output_tokens=2)
    row = measured()
    assert (row.ttft_p50_ms, row.tokens_per_second) == (200, None)
    latency = build(NOW, PROVIDERS).snapshot.latency[Arm(LUNA, Effort.NONE)]
    assert latency.ttft_p50_ms == 200
    assert 40 <= latency.tokens_per_second <= 180  # the prior's


def test_the_slow_tail_shows_in_the_95th_percentile(add_attempts: AddAttempts) -> None:
    add_attempts(90)
    add_attempts(10, ttft_ms=5_000, latency_ms=6_000)
    row = measured()
    assert (row.ttft_p50_ms, row.ttft_p95_ms) == (200, 5_000)


def test_an_attempt_one_half_life_ago_counts_half(add_attempts: AddAttempts) -> None:
    add_attempts(4, outcome="failed", error_kind="server")
    now_failing = measured().p_up
    Attempt.objects.update(started_at=NOW - timedelta(seconds=HALF_LIFE_S))
    assert now_failing == pytest.approx(1 - 4 / 104, abs=0.001)
    assert measured().p_up == pytest.approx(1 - 2 / 102, abs=0.001)


def test_a_single_failure_counts_as_one_in_a_hundred(add_attempts: AddAttempts) -> None:
    add_attempts(1, outcome="failed", error_kind="server")
    assert measured().p_up == pytest.approx(1 - 1 / 101, abs=0.0001)


def test_an_outage_counts_as_one_failure_however_many_calls_met_it(add_attempts: AddAttempts) -> None:
    add_attempts(300, outcome="failed", error_kind="server")
    assert measured().p_up == pytest.approx(1 - 1 / 101, abs=0.0001)


def test_scattered_failures_count_each(add_attempts: AddAttempts) -> None:
    for _ in range(20):
        add_attempts(1)
        add_attempts(4, outcome="failed", error_kind="server")
        Attempt.objects.update(started_at=F("started_at") - timedelta(seconds=1))
    assert measured().p_up == pytest.approx(1 - 80 / 200, abs=0.02)


def test_answers_at_one_effort_are_evidence_for_the_others(add_attempts: AddAttempts) -> None:
    add_attempts(100, effort="low")
    add_attempts(1, effort="none", outcome="failed", error_kind="server")
    measure(NOW)
    assert [round(row.p_up, 4) for row in Measurement.objects.all()] == [round(1 - 1 / 201, 4)] * 2


@pytest.mark.parametrize(
    "fields", [{"outcome": "failed", "error_kind": "bad_request"}, {"outcome": "aborted"}], ids=str
)
def test_failures_caused_by_the_caller_do_not_count(
    add_attempts: AddAttempts, fields: dict[str, str]
) -> None:
    add_attempts(20, **fields)
    assert measure(NOW) == 0


def test_an_arm_without_recent_attempts_is_up_again(add_attempts: AddAttempts) -> None:
    add_attempts(20, outcome="failed", error_kind="server")
    measure(NOW)
    measure(NOW + timedelta(days=2))
    assert Measurement.objects.get().p_up == 1.0


def test_models_the_catalog_does_not_know_are_left_out(add_attempts: AddAttempts) -> None:
    add_attempts(5, model="gone")
    assert measure(NOW) == 0


@pytest.mark.parametrize(
    ("p_up", "blocked", "word"),
    [
        (1.0, False, "healthy"),
        (0.95, False, "healthy"),
        (0.9, False, "degraded"),
        (0.49, False, "down"),
        (1.0, True, "down"),
    ],
)
def test_health_in_a_word(p_up: float, blocked: bool, word: str) -> None:
    assert health_word(p_up, blocked) == word
