"""The ledger's rows carry what latency and answer lengths are learnt from."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from django.db import transaction

from billing.models import Attempt, Request
from routing.catalog.measure import measure
from routing.catalog.models import Measurement
from tests.conftest import Simulator

MODEL = "gpt-4.1-mini"
QUESTIONS = [
    f"{task} {topic}"
    for task in ("What is the capital of", "Explain to a beginner", "Write a Python function that checks")
    for topic in ("France", "inflation", "tidal power", "jazz harmony", "prime numbers", "solar panels",
                  "the water cycle", "contract law", "container ports")
]  # fmt: skip


def answered(http: httpx.Client, text: str = "Explain inflation", **fields: Any) -> Request:
    body = {"messages": [{"role": "user", "content": text}], "model": MODEL, **fields}
    response = http.post("/api/v1/chat", json=body)
    assert response.status_code == 200, response.text
    return Request.objects.latest("created_at")


def test_a_row_has_the_difficulty_and_the_forecast_lengths(http: httpx.Client) -> None:
    row = answered(http, model="gpt-6-luna", reasoning_effort="high")
    assert row.difficulty == row.trace["difficulty"]
    assert row.forecast_visible_tokens
    assert row.forecast_reasoning_tokens
    assert answered(http).forecast_reasoning_tokens == 0


def test_test_traffic_and_several_choices_teach_no_lengths(http: httpx.Client) -> None:
    assert answered(http, test_mode=True).forecast_visible_tokens is None
    body = {"messages": [{"role": "user", "content": "Explain inflation"}], "model": MODEL, "n": 2}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    assert Request.objects.latest("created_at").forecast_visible_tokens is None


@pytest.mark.parametrize("stream", [False, True])
def test_latency_measured_from_real_calls_is_of_the_simulators_order(
    http: httpx.Client, simulator: Simulator, account: Any, stream: bool
) -> None:
    speed = 0.5  # of the simulator: a first token after 0.25 s, then 280 tokens a second
    httpx.post(f"{simulator.url}/_control/speed", json={"speed": speed}).raise_for_status()
    try:
        with ThreadPoolExecutor(4) as threads:
            bodies = [
                {
                    "messages": [{"role": "user", "content": text}],
                    "model": MODEL,
                    "stream": stream,
                    "max_output_tokens": limit,
                }
                for text, limit in zip(QUESTIONS, itertools.cycle((32, 64, None)), strict=False)
            ]
            replies = list(threads.map(lambda body: http.post("/api/v1/chat", json=body), bodies))
    finally:
        httpx.post(f"{simulator.url}/_control/speed", json={"speed": 0}).raise_for_status()
    assert {reply.status_code for reply in replies} == {200}
    with transaction.atomic():  # undone, for the tests that share this database
        Attempt.objects.exclude(request__account=account).delete()
        measure(datetime.now(UTC))
        row = Measurement.objects.get(model=MODEL)
        transaction.set_rollback(True)
    assert row.samples == len(QUESTIONS)
    # Under load the simulator's pauses last longer, so that the bounds below its pace are wide.
    assert 140 / speed / 4 < row.tokens_per_second < 140 / speed * 1.4
    assert 500 * speed * 0.6 < row.ttft_p50_ms < 500 * speed * 3
