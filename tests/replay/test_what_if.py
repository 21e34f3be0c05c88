"""Estimates of other policies: right where the truth is known, honest about the share without evidence."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.decide.trace import Trace
from routing.language.chat import Strategy
from routing.replay.what_if import Logged, what_if
from tests.decide.conftest import PROMPTS, Ask


def cost_of(trace: Trace, arm: str) -> float:
    entry = next(candidate for candidate in trace.candidates if candidate.arm == arm)
    assert entry.cost_usd is not None
    return entry.cost_usd


def as_forecast(trace: Trace, times: float = 1.0) -> Logged:
    """A request that cost `times` its forecast."""
    entry = next(candidate for candidate in trace.candidates if candidate.arm == trace.chain[0])
    return Logged(trace, cost_of(trace, trace.chain[0]) * times, entry.latency_ms)


@pytest.fixture(scope="module")
def traces(ask: Ask) -> list[Trace]:
    return [ask(prompt, strategy=Strategy.AUTO).trace for prompt in PROMPTS]


def test_the_strategy_that_decided_costs_what_was_paid(traces: list[Trace]) -> None:
    estimate = what_if([as_forecast(trace, 1.7) for trace in traces], Strategy.AUTO)
    assert estimate is not None
    assert estimate.same == 1.0
    assert estimate.cost_usd.value == pytest.approx(estimate.paid_usd)
    assert estimate.success.value == pytest.approx(estimate.success_was)


@pytest.mark.parametrize("strategy", Strategy)
def test_another_strategy_costs_its_own_forecasts_where_forecasts_are_right(
    traces: list[Trace], ask: Ask, strategy: Strategy
) -> None:
    estimate = what_if([as_forecast(trace) for trace in traces], strategy)
    own = [ask(prompt, strategy=strategy).trace for prompt in PROMPTS]
    assert estimate is not None
    assert estimate.cost_usd.value == pytest.approx(
        np.mean([cost_of(candidate, candidate.chain[0]) for candidate in own])
    )
    assert estimate.cost_usd.low <= estimate.cost_usd.value <= estimate.cost_usd.high


def test_forecasts_that_are_off_are_scaled_to_actual_costs(traces: list[Trace]) -> None:
    right, off = (
        what_if([as_forecast(trace, times) for trace in traces], Strategy.COST) for times in (1.0, 3.0)
    )
    assert right is not None
    assert off is not None
    assert off.cost_usd.value == pytest.approx(3 * right.cost_usd.value)


def test_one_model_for_everything(traces: list[Trace]) -> None:
    estimate = what_if([as_forecast(trace) for trace in traces], "claude-opus-5")
    assert estimate is not None
    assert estimate.cost_difference_usd.low > 0
    assert estimate.alone > 0.9
    assert what_if([as_forecast(trace) for trace in traces], "no-such-model") is None
    assert what_if([], Strategy.COST) is None


def test_an_arm_that_could_not_answer_is_left_out_not_guessed(ask: Ask) -> None:
    few = [as_forecast(ask("hi", allowed=frozenset({"gpt-4o"})).trace), as_forecast(ask("hi").trace)]
    estimate = what_if(few, "claude-opus-5")
    assert estimate is not None
    assert (estimate.requests, estimate.left_out) == (1, 1)


def test_outcomes_correct_forecasts_of_success(traces: list[Trace]) -> None:
    failing = [msgspec.structs.replace(as_forecast(trace), score=0.0) for trace in traces * 2]
    estimate = what_if(failing, Strategy.AUTO)
    assert estimate is not None
    assert estimate.judged == len(failing)
    assert estimate.success.value == pytest.approx(0.0, abs=0.02)  # the logged choices weigh 1 / .98
    few = what_if([as_forecast(trace) for trace in traces], Strategy.AUTO)
    assert few is not None
    assert few.judged == 0
    assert few.success.value > 0.5


@given(costs=st.lists(st.floats(1e-6, 1.0), min_size=400, max_size=400), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_logged_probabilities_make_up_for_how_arms_were_chosen(
    ask: Ask, costs: list[float], seed: int
) -> None:
    """Half go to the winner and half to a near tie: the winner's half alone gives its cost."""
    trace = ask("hi").trace
    winner, other = trace.chain[0], trace.candidates[1].arm
    flips = np.random.default_rng(seed).random(len(costs)) < 0.5
    decisions = [
        Logged(
            msgspec.structs.replace(
                trace, chain=(winner if flip else other,), selection_probability=0.5, explored=not flip
            ),
            cost_usd=cost if flip else 5.0,
            latency_ms=100.0,
        )
        for cost, flip in zip(costs, flips, strict=True)
    ]
    estimate = what_if(decisions, Strategy.AUTO)
    assert estimate is not None
    winners = np.array([cost for cost, flip in zip(costs, flips, strict=True) if flip])
    share = flips.mean()
    scale = sum(candidate.cost_usd for candidate in decisions) / sum(
        cost_of(candidate.trace, candidate.trace.chain[0]) for candidate in decisions
    )
    forecast = cost_of(trace, winner) * scale
    assert estimate.cost_usd.value == pytest.approx(forecast + 2 * share * (winners.mean() - forecast))
