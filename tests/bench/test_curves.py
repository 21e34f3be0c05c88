"""The yardsticks of routing: what a hull, AIQ, APGR and CPT may and may not say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench.routing.curves import Workload, cost_at, figures, hull, mean_height, pair

POINTS = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays(float, n, elements=st.floats(0.001, 100)), arrays(float, n, elements=st.floats(0, 1))
    )
)


@given(POINTS)
def test_a_hull_rises_ever_more_slowly_and_lies_above_every_point(
    points: tuple[np.ndarray, np.ndarray],
) -> None:
    cost, quality = points
    xs, ys = hull(cost, quality)
    assert (np.diff(xs) > 0).all()
    assert (np.diff(ys) > 0).all()
    slopes = np.diff(ys) / np.diff(xs)
    assert (np.diff(slopes) <= 1e-9 * np.abs(slopes[:-1])).all()
    assert (np.interp(cost, xs, ys) >= quality - 1e-9).all()


@given(POINTS)
def test_the_best_quality_costs_what_the_cheapest_best_model_costs(
    points: tuple[np.ndarray, np.ndarray],
) -> None:
    cost, quality = points
    corners = hull(cost, quality)
    assert cost_at(corners, quality.max()) == pytest.approx(cost[quality == quality.max()].min())
    assert np.isnan(cost_at(corners, quality.max() + 0.01))


def test_mean_height_counts_nothing_left_of_what_can_be_bought() -> None:
    corners = np.array([1.0, 3.0]), np.array([0.4, 0.8])
    assert mean_height(corners, 1, 3) == pytest.approx(0.6)
    assert mean_height(corners, 3, 5) == pytest.approx(0.8)


def workload(seed: int = 0, n: int = 400) -> Workload:
    """Half the prompts are easy: the cheap model does them as well as the dear one."""
    random = np.random.default_rng(seed)
    easy = random.random(n) < 0.5
    chance = np.stack([np.where(easy, 0.9, 0.1), np.full(n, 0.9)], axis=1)
    score = (random.random((n, 2)) < chance).astype(float)
    cost = np.tile([1e-5, 1e-3], (n, 1))
    return Workload(score, cost, chance, cost)


def value(work: Workload, metric: str) -> float:
    return next(figure.value for figure in figures(work) if figure.metric == metric)


def test_knowing_what_is_easy_is_worth_half_the_height_between_the_models() -> None:
    work = workload()
    # The hull is a line from .5 to .9; the router's is flat at .9 from half the cost on.
    assert value(work, "aiq_over_hull") == pytest.approx(0.1, abs=0.03)
    assert value(work, "cost_at_95") == pytest.approx(0.47, abs=0.06)


def test_a_router_that_knows_nothing_of_prompts_is_the_hull_of_single_models() -> None:
    work = workload()
    blind = Workload(work.score, work.cost, np.tile(work.score.mean(axis=0), (len(work.score), 1)), work.cost)
    assert value(blind, "aiq_over_hull") == pytest.approx(0.0, abs=1e-9)


def test_an_interval_holds_its_figure() -> None:
    for figure in figures(workload()):
        if np.isnan(figure.value):  # not bought at any cost
            continue
        assert figure.low <= figure.value + 1e-9, figure
        assert figure.value <= figure.high + 1e-9, figure


def test_a_pair_is_recovered_by_preference_for_where_the_strong_one_helps() -> None:
    work = workload()
    weak, strong = work.score.T
    helped = {figure.metric: figure.value for figure in pair(weak, strong, strong - weak)}
    harmed = {figure.metric: figure.value for figure in pair(weak, strong, weak - strong)}
    chance = {
        figure.metric: figure.value
        for figure in pair(weak, strong, np.random.default_rng(1).random(len(weak)))
    }
    assert helped["apgr"] > 0.7 > chance["apgr"] > 0.3 > harmed["apgr"]
    assert helped["cpt50"] < 0.3 < chance["cpt50"] < 0.7 < harmed["cpt50"]
