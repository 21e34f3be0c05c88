"""Shifts from outcomes: gated by their number, bounded, and fading with age."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.learning.posteriors import (
    BOUND,
    COMMON_COUNT,
    HALF_LIFE,
    PSEUDO_COUNT,
    WEIGHTS,
    Sign,
    posteriors,
    shifts,
)

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SHARE = st.floats(0, 1)


def sign(score: float, age: timedelta = timedelta(0), **fields: object) -> Sign:
    known = {"arm": "a@low", "model": "a", "skill": "coding", "source": "feedback", "expected": 0.7}
    return Sign(**{**known, **fields}, score=score, at=NOW - age)  # type: ignore[arg-type]


SIGNS = st.builds(
    Sign,
    arm=st.sampled_from(["a", "a@low", "b"]),
    model=st.sampled_from(["a", "b"]),
    skill=st.sampled_from(["coding", "writing"]),
    source=st.sampled_from(sorted(WEIGHTS)),
    expected=SHARE,
    score=SHARE,
    at=st.datetimes(datetime(2026, 5, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),
)


@given(st.lists(SIGNS, max_size=20), st.integers(1, 50))
def test_no_evidence_whatever_moves_more_than_the_bound(signs: list[Sign], times: int) -> None:
    for posterior in posteriors(signs * times, NOW):
        assert abs(posterior.shift) <= BOUND
        assert -1e-9 <= posterior.observed <= 1 + 1e-9
        assert -1e-9 <= posterior.expected <= 1 + 1e-9


@given(st.lists(SIGNS, max_size=20), st.randoms())
def test_order_does_not_matter(signs: list[Sign], dice: object) -> None:
    shuffled = sorted(signs, key=lambda _: dice.random())  # type: ignore[attr-defined]
    assert shifts(posteriors(signs, NOW)) == pytest.approx(shifts(posteriors(shuffled, NOW)), abs=2e-4)


@pytest.mark.parametrize(
    ("outcomes", "counts"), [(9, 0), (10, 0.2), (49, 0.2), (50, 0.5), (99, 0.5), (100, 0.8)]
)
def test_the_gates_are_those_of_the_product(outcomes: int, counts: float) -> None:
    (posterior,) = posteriors([sign(0.8)] * outcomes, NOW)
    assert posterior.influence == counts
    certain = 1 / (1 / outcomes + 1 / PSEUDO_COUNT)
    assert posterior.common == pytest.approx(0.1 * certain / (COMMON_COUNT + certain))
    own = (0.1 - posterior.common) * outcomes / (PSEUDO_COUNT + outcomes)
    assert posterior.shift == pytest.approx(counts * own, abs=1e-4)


def test_prompts_too_hard_for_all_are_no_arms_fault_and_one_that_fails_alone_is() -> None:
    arms = [f"arm-{n}" for n in range(5)]
    hard = {
        posterior.arm: posterior.shift for posterior in posteriors([sign(0.3, arm=a) for a in arms] * 40, NOW)
    }
    alone = posteriors([sign(0.3 if a == arms[0] else 0.7, arm=a) for a in arms] * 40, NOW)
    by_arm = {posterior.arm: posterior.shift for posterior in alone}
    assert max(map(abs, hard.values())) < 0.02
    assert by_arm[arms[0]] < -0.08
    assert all(0 <= by_arm[arm] < 0.05 for arm in arms[1:])


def test_the_gate_counts_a_models_outcomes_over_its_efforts_and_skills() -> None:
    some = [sign(1)] * 5 + [sign(1, arm="a@high", skill="writing")] * 5
    assert {posterior.influence for posterior in posteriors(some, NOW)} == {0.2}


def test_half_a_life_ago_counts_half() -> None:
    (fresh,), (old,) = (posteriors([sign(0.8, age)] * 100, NOW) for age in (timedelta(0), HALF_LIFE))
    assert old.evidence == pytest.approx(fresh.evidence / 2)
    assert 0 < old.shift < fresh.shift


def test_feedback_weighs_more_than_a_sign() -> None:
    feedback, formed, repeated = (
        posteriors([sign(0, source=source)] * 30, NOW)[0].shift for source in ("feedback", "form", "repeat")
    )
    assert feedback < formed < repeated < 0


def test_outcomes_as_expected_move_nothing() -> None:
    assert shifts(posteriors([sign(0.7)] * 200, NOW)) == {}
