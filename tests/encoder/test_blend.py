"""The encoder's estimates averaged with those of the request model."""

import numpy as np
import pytest

from routing.decide.prediction.second_look import LEVEL_WEIGHT, SecondLook, blended

SKILLS = np.array([0.7, 0.2, 0.1], np.float32)


def test_equal_estimates_stay_as_they_are() -> None:
    result = blended(2.5, 300, SKILLS, SecondLook(2.5, 300, (0.7, 0.2, 0.1)))
    assert result.level == 2.5
    assert result.answer_tokens == pytest.approx(300)
    assert result.skills == pytest.approx((0.7, 0.2, 0.1))


def test_estimates_meet_between_the_two() -> None:
    result = blended(2, 100, SKILLS, SecondLook(4, 1000, (0.05, 0.9, 0.05)))
    assert result.level == pytest.approx(2 + 2 * LEVEL_WEIGHT)
    assert 200 < result.answer_tokens < 300
    assert int(np.argmax(result.skills)) == 1
    assert sum(result.skills) == pytest.approx(1)


def test_a_skill_without_probability_is_no_error() -> None:
    result = blended(2, 100, SKILLS, SecondLook(2, 100, (1.0, 0.0, 0.0)))
    assert result.skills[0] > 0.99
