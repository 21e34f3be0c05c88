"""The item-response term: moves arms apart by what a prompt asks beyond its skills, where it knows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.decide.arm_table import arm_table_of
from routing.decide.prediction import features, item_response, skills
from routing.decide.prediction.artefact import Fitted, fitted
from tests.decide.conftest import Snapshot

ARITHMETIC, TRANSLATION = skills.INDEX[skills.Skill.ARITHMETIC], skills.INDEX[skills.Skill.TRANSLATION]


@pytest.fixture
def fit() -> Fitted:
    return fitted()


def only(skill: int) -> np.ndarray:
    return np.eye(len(skills.SKILLS), dtype=np.float32)[skill]


def profile(**logits: float) -> np.ndarray:
    """One arm's skill logits beside the reference model's."""
    row = np.zeros((1, len(skills.SKILLS)))
    for name, value in logits.items():
        row[0, skills.INDEX[skills.Skill(name)]] = value
    return row


def scaled(text: str, fit: Fitted) -> np.ndarray:
    return fit.scale(features.vector(text))


class TestWhatItSays:
    def test_an_arm_that_is_better_at_one_skill_gains_on_prompts_that_lean_to_it(self, fit: Fitted) -> None:
        """Both prompts count as science here; the one that calculates leans to arithmetic."""
        place = item_response.places(profile(arithmetic=2.0, competition_math=1.0), fit)
        science = only(skills.INDEX[skills.Skill.SCIENCE])
        sums, names = (
            float(item_response.term(scaled(text, fit), science, 1.0, place, fit)[0])
            for text in (
                "A train goes 60 miles in 45 minutes, then 30 miles in 15. How many miles an hour is that?",
                "Which organ of the body makes insulin?",
            )
        )
        assert sums > names

    def test_arms_of_the_same_profile_gain_the_same(self, fit: Fitted) -> None:
        place = item_response.places(np.repeat(profile(coding=1.0, reasoning=-1.0), 2, axis=0), fit)
        item, other = item_response.term(
            scaled("Why is the sky blue?", fit), only(ARITHMETIC), 1.0, place, fit
        )
        assert item == other

    def test_ability_at_everything_alike_is_the_skill_tables_to_tell(self, fit: Fitted) -> None:
        able = item_response.places(np.full((1, len(skills.SKILLS)), 2.0), fit)
        leaning = item_response.places(profile(arithmetic=2.0), fit)
        assert np.abs(able).max() < 0.2 * np.abs(leaning).max()


class TestWhereItIsSilent:
    def test_on_skills_its_directions_never_saw(self, fit: Fitted) -> None:
        place = item_response.places(profile(arithmetic=2.0), fit)
        assert not fit.heard[TRANSLATION]
        assert item_response.term(scaled("Guten Tag", fit), only(TRANSLATION), 1.0, place, fit).tolist() == [
            0.0
        ]

    def test_far_from_the_prompts_it_was_fitted_on(self, fit: Fitted) -> None:
        place = item_response.places(profile(arithmetic=2.0), fit)
        x = scaled("How many apples are left?", fit)
        near, far = (item_response.term(x, only(ARITHMETIC), known, place, fit)[0] for known in (1.0, 0.1))
        assert far == pytest.approx(0.1 * near)

    def test_models_without_scores_have_no_place(self, catalog: Snapshot) -> None:
        arm_table = arm_table_of(catalog, None)
        assert not arm_table.scored.all()
        assert not arm_table.place[~arm_table.scored].any()
        assert arm_table.place[arm_table.scored].any(axis=1).all()


@given(st.text(min_size=1, max_size=300))
def test_it_never_outweighs_the_skills(text: str) -> None:
    """Under a logit, whatever the text: a published profile is rarely two logits off the reference."""
    fit = fitted()
    place = item_response.places(profile(coding=1.0, competition_math=-1.0, science=1.0), fit)
    for skill in np.flatnonzero(fit.heard):
        result = item_response.term(scaled(text, fit), only(int(skill)), 1.0, place, fit)
        assert np.isfinite(result).all()
        assert np.abs(result).max() < 1.0
