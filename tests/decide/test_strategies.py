"""Each strategy optimises what it promises, on the published catalog."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.catalog.snapshot import Snapshot
from routing.decide.strategies import Candidates, rank
from routing.decide.trace import Candidate
from routing.language.chat import Strategy
from tests.decide.conftest import PROMPTS, Ask, chat_request


@pytest.fixture(scope="module", params=[None, 512, 4096], ids=["no limit", "512 tokens", "4096 tokens"])
def chosen(ask: Ask, request: pytest.FixtureRequest) -> dict[Strategy, list[Candidate]]:
    """Per strategy the entry chosen for each prompt."""
    limit = request.param
    return {
        strategy: [
            ask(request=chat_request(prompt, max_output_tokens=limit), strategy=strategy).trace.candidates[0]
            for prompt in PROMPTS
        ]
        for strategy in Strategy
    }


def mean(entries: list[Candidate], field: str) -> float:
    return float(np.mean([getattr(entry, field) for entry in entries]))


def test_cost_costs_no_more_than_any_other_strategy_on_any_prompt(
    chosen: dict[Strategy, list[Candidate]],
) -> None:
    for strategy in Strategy:
        for cheap, other in zip(chosen[Strategy.COST], chosen[strategy], strict=True):
            assert cheap.cost_usd <= other.cost_usd


def test_speed_is_no_later_than_any_other_strategy_on_any_prompt(
    chosen: dict[Strategy, list[Candidate]],
) -> None:
    for strategy in Strategy:
        for fast, other in zip(chosen[Strategy.SPEED], chosen[strategy], strict=True):
            assert fast.latency_ms <= other.latency_ms


def test_speed_when_streaming_is_the_first_to_start(ask: Ask) -> None:
    for prompt in PROMPTS:
        fast = ask(prompt, strategy=Strategy.SPEED, stream=True).trace.candidates[0].ttft_ms
        for strategy in Strategy:
            assert fast <= ask(prompt, strategy=strategy, stream=True).trace.candidates[0].ttft_ms


def test_quality_is_within_half_a_point_of_the_best_measured_candidate(ask: Ask) -> None:
    for prompt in PROMPTS:
        ranked = ask(prompt, strategy=Strategy.QUALITY).trace.candidates
        best = max(entry.believed for entry in ranked if entry.removed is None)
        assert ranked[0].believed >= best - 0.005


def test_quality_takes_the_cheaper_of_two_that_are_equally_good(ask: Ask) -> None:
    for prompt in PROMPTS:
        ranked = [e for e in ask(prompt, strategy=Strategy.QUALITY).trace.candidates if e.removed is None]
        best = max(entry.believed for entry in ranked)
        equals = [e for e in ranked if e.believed >= best - 0.005 and e.competent]
        assert ranked[0].cost_usd == min(entry.cost_usd for entry in equals)


def test_quality_does_not_prefer_a_model_without_scores(ask: Ask) -> None:
    for prompt in PROMPTS:
        assert ask(prompt, strategy=Strategy.QUALITY).trace.candidates[0].scored


def test_balanced_lies_between_cost_and_quality_on_both_axes(chosen: dict[Strategy, list[Candidate]]) -> None:
    cost, balanced, quality = (chosen[s] for s in (Strategy.COST, Strategy.BALANCED, Strategy.QUALITY))
    assert mean(cost, "cost_usd") <= mean(balanced, "cost_usd") <= mean(quality, "cost_usd")
    assert mean(cost, "believed") <= mean(balanced, "believed") <= mean(quality, "believed")


@pytest.fixture(scope="module", params=[None, 512, 4096], ids=["no limit", "512 tokens", "4096 tokens"])
def auto_and_fixed(
    ask: Ask, request: pytest.FixtureRequest
) -> tuple[tuple[float, float], list[tuple[float, float]]]:
    """Mean (success, USD): of `auto`, and of each arm that could answer every prompt.

    A success within the trace's tolerance of the best counts as the best, as `auto` counts it.
    """
    traces = [ask(request=chat_request(prompt, max_output_tokens=request.param)).trace for prompt in PROMPTS]
    firsts: list[tuple[float, float]] = []
    by_arm: dict[str, list[tuple[float, float]]] = {}
    for trace in traces:
        ranked = [entry for entry in trace.candidates if entry.removed is None]
        best = max(entry.believed for entry in ranked if entry.competent)
        counted = [best if e.believed >= best - trace.tolerance else e.believed for e in ranked]
        points = [(success, e.cost_usd or 0.0) for success, e in zip(counted, ranked, strict=True)]
        firsts.append(points[0])
        for entry, point in zip(ranked, points, strict=True):
            by_arm.setdefault(entry.arm, []).append(point)
    fixed = [averaged(points) for points in by_arm.values() if len(points) == len(PROMPTS)]
    return averaged(firsts), fixed


def averaged(points: list[tuple[float, float]]) -> tuple[float, float]:
    success, usd = zip(*points, strict=True)
    return sum(success) / len(points), sum(usd) / len(points)


def test_auto_keeps_95_percent_of_the_best_fixed_models_quality_for_less(
    auto_and_fixed: tuple[tuple[float, float], list[tuple[float, float]]],
) -> None:
    (quality, usd), fixed = auto_and_fixed
    best_quality, best_usd = max(fixed)
    assert quality >= 0.95 * best_quality
    assert usd < best_usd


def test_no_fixed_model_equals_auto_for_less(
    auto_and_fixed: tuple[tuple[float, float], list[tuple[float, float]]],
) -> None:
    (quality, usd), fixed = auto_and_fixed
    assert not [point for point in fixed if point[0] >= quality and point[1] <= usd]


def test_no_strategy_chooses_below_the_competence_floor(chosen: dict[Strategy, list[Candidate]]) -> None:
    assert all(entry.competent for entries in chosen.values() for entry in entries)


def test_a_model_that_mostly_fails_is_chosen_only_when_nothing_else_is_left(
    ask: Ask, catalog: Snapshot
) -> None:
    import msgspec

    winner = ask("hi", strategy=Strategy.COST).chain[0].model
    sick = msgspec.structs.replace(catalog, p_up={winner: 0.2})
    assert ask("hi", strategy=Strategy.COST, catalog=sick).chain[0].model != winner
    alone = ask("hi", strategy=Strategy.COST, catalog=sick, allowed=frozenset({winner}))
    assert alone.chain[0].model == winner


@given(
    st.lists(
        st.tuples(st.floats(0.3, 0.99), st.floats(1e-6, 1.0), st.floats(200, 60_000)), min_size=3, max_size=12
    )
)
def test_balanced_orders_two_candidates_alike_whatever_the_others_are(
    points: list[tuple[float, float, float]],
) -> None:
    def utilities(rows: list[tuple[float, float, float]]) -> list[float]:
        success, cost, latency = np.array(rows).T
        ones = np.ones(len(rows))
        candidates = Candidates(success, success, cost, latency, latency, ones, ones > 0)
        return [round(float(u), 9) for u in rank(Strategy.BALANCED, candidates, stream=False).utility]

    assert utilities(points)[:2] == utilities(points[:2])
