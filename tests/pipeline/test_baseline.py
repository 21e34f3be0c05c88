"""The baseline's cost: its own forecast tokens, scaled by the length of the answer."""

from math import exp
from typing import Any

import httpx
import pytest

from billing.usage import Usage
from tests.conftest import Simulator
from tests.door_client import DoorClient, NativeClient, ResponsesClient

BASELINE, ANSWERS = "gpt-5.5", "gpt-4.1-mini"
INPUT, OUTPUT = 5 / 1e6, 30 / 1e6  # USD per token of the baseline
PROMPT = [{"role": "user", "content": "Explain how bread rises, step by step."}]


@pytest.fixture(autouse=True)
def baseline(account: Any) -> None:
    account.baseline_model = BASELINE
    account.save()


def entry_of(http: httpx.Client, request_id: str) -> dict[str, Any]:
    entry: dict[str, Any] = http.get(f"/api/v1/requests/{request_id}").json()["data"]
    return entry


def test_the_baselines_own_tokens_are_scaled_by_the_answers_length(
    caller: DoorClient, http: httpx.Client, simulator: Simulator
) -> None:
    entry = entry_of(http, caller.ask(PROMPT, model=ANSWERS, max_output_tokens=16_000).request_id)
    forecast, used, cost = entry["decision"]["baseline"], entry["usage_by_class"], entry["baseline"]
    assert (forecast["model"], forecast["effort"]) == (BASELINE, "medium")
    assert forecast["reasoning_tokens"] > forecast["visible_tokens"]
    length = used["output_tokens"] / forecast["answer_tokens"]
    output = length * (forecast["visible_tokens"] + forecast["reasoning_tokens"])
    input_usd = forecast["input_tokens"] * INPUT
    assert cost["cost_usd"] == pytest.approx(input_usd + output * OUTPUT, abs=OUTPUT)
    assert cost["low_usd"] == pytest.approx(input_usd + output * exp(-1.64 * 0.7) * OUTPUT, abs=OUTPUT)
    assert cost["high_usd"] == pytest.approx(input_usd + output * exp(1.64 * 0.7) * OUTPUT, abs=OUTPUT)
    assert cost["saved_usd"] == pytest.approx(cost["cost_usd"] - entry["usage"]["cost_usd"])
    assert cost["version"] == 2
    assert cost["cost_usd"] > 2 * (input_usd + used["output_tokens"] * OUTPUT)  # of the earlier rule


@pytest.mark.parametrize("door", [ResponsesClient])  # its limit is of the whole output
def test_a_longer_answer_makes_the_baseline_as_much_longer(
    door: type[DoorClient], http: httpx.Client, simulator: Simulator
) -> None:
    def cost_of(limit: int) -> tuple[float, int]:
        reply = door(http, streamed=False).ask(PROMPT, model=ANSWERS, max_output_tokens=limit)
        entry = entry_of(http, reply.request_id)
        forecast = entry["decision"]["baseline"]
        whole = forecast["visible_tokens"] + forecast["reasoning_tokens"]
        assert whole <= forecast["max_output_tokens"] == limit
        return entry["baseline"]["cost_usd"] - forecast["input_tokens"] * INPUT, entry["usage"][
            "output_tokens"
        ]

    (short_usd, short), (long_usd, long) = cost_of(40), cost_of(4000)
    assert short == 40 < long
    assert short_usd == pytest.approx(40 * OUTPUT)  # the limit holds for the baseline too
    assert long_usd > long * OUTPUT


def test_nothing_is_saved_when_the_baseline_answers(http: httpx.Client, simulator: Simulator) -> None:
    entry = entry_of(http, NativeClient(http, streamed=False).ask(PROMPT, model=BASELINE).request_id)
    cost = entry["baseline"]
    assert cost["cost_usd"] == cost["low_usd"] == cost["high_usd"] == entry["usage"]["cost_usd"]
    assert cost["saved_usd"] == 0


def test_the_baselines_input_is_cached_in_the_share_the_answers_was() -> None:
    from routing.steps.baseline import _input

    usage = _input(1000, Usage(uncached_input_tokens=50, cache_read_tokens=150, output_tokens=9))
    assert (usage.uncached_input_tokens, usage.cache_read_tokens, usage.output_tokens) == (250, 750, 0)


def test_reasoning_that_a_provider_reports_as_output_does_not_make_the_answer_longer(
    http: httpx.Client, simulator: Simulator
) -> None:
    reply = NativeClient(http, streamed=False).ask(PROMPT, model="gpt-5.4-mini", reasoning_effort="high")
    entry = entry_of(http, reply.request_id)
    used, forecast = entry["usage_by_class"], entry["decision"]["baseline"]
    visible = used["output_tokens"] - used["reasoning_tokens"]
    assert used["reasoning_tokens"] > 0
    whole = forecast["visible_tokens"] + forecast["reasoning_tokens"]
    output = visible / forecast["answer_tokens"] * whole
    expected = forecast["input_tokens"] * INPUT + output * OUTPUT
    assert entry["baseline"]["cost_usd"] == pytest.approx(expected, abs=OUTPUT)


def test_the_decision_alone_has_the_interval_too(http: httpx.Client) -> None:
    data = http.post("/api/v1/route", json={"messages": PROMPT, "max_output_tokens": 16_000}).json()["data"]
    baseline = data["baseline"]
    assert baseline["low_usd"] < baseline["cost_usd"] < baseline["high_usd"]
    assert data["saved_usd"] == pytest.approx(baseline["cost_usd"] - data["estimated"]["cost_usd"])
