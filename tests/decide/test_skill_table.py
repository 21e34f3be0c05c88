"""Published scores become success by skill: ordered, shrunk, and uncertain without scores."""

import msgspec
import numpy as np
import pytest

from routing.catalog.snapshot import PublishedScore, Snapshot
from routing.decide.prediction import skill_table
from routing.decide.prediction.artefact import fitted
from routing.decide.prediction.skills import INDEX, SKILLS, Skill
from routing.language.arms import Effort, ModelFacts

OVERALL = "Arena Elo text/overall"


def elo(value: float, half: float = 5.0) -> tuple[PublishedScore, ...]:
    return (PublishedScore("general", OVERALL, value, "arena", (value - half, value + half)),)


def abilities(catalog: Snapshot, **scores: tuple[PublishedScore, ...]) -> dict[str, skill_table.Ability]:
    models = {name: msgspec.structs.replace(catalog.models["gpt-4o"], id=name) for name in scores}
    return skill_table.abilities(models, scores, fitted().links)


def test_a_higher_elo_means_more_success_in_every_skill(catalog: Snapshot) -> None:
    by_model = abilities(catalog, weak=elo(1350), strong=elo(1500))
    curves = skill_table.curves(fitted().links)
    facts = catalog.models["gpt-4o"]
    weak, strong = (
        skill_table.success_logits(facts, by_model[name], None, curves) for name in ("weak", "strong")
    )
    assert (strong > weak).all()


def test_a_score_in_one_skill_moves_that_skill_more_than_the_others(catalog: Snapshot) -> None:
    coder = (*elo(1450), PublishedScore("coding", "Arena Elo text/coding", 1580, "arena", (1575, 1585)))
    by_model = abilities(catalog, plain=elo(1450), coder=coder)
    gain = by_model["coder"].theta - by_model["plain"].theta
    assert gain[INDEX[Skill.CODING]] == max(gain) > gain[INDEX[Skill.WRITING]]


def test_a_surer_score_leaves_less_doubt(catalog: Snapshot) -> None:
    by_model = abilities(catalog, sure=elo(1450, half=3), unsure=elo(1450, half=80))
    assert (by_model["sure"].sd <= by_model["unsure"].sd).all()


def test_a_model_without_scores_gets_its_tiers_mean_and_a_wide_interval(catalog: Snapshot) -> None:
    by_model = abilities(catalog, one=elo(1400), two=elo(1500), unknown=())
    assert by_model["unknown"].general == pytest.approx(
        (by_model["one"].general + by_model["two"].general) / 2
    )
    assert (by_model["unknown"].sd > by_model["one"].sd).all()
    assert not by_model["unknown"].scored


def test_figures_without_a_link_are_left_out(catalog: Snapshot) -> None:
    odd = (PublishedScore("general", "A new benchmark", 99, "somewhere"),)
    assert not abilities(catalog, odd=odd)["odd"].scored


def luna(catalog: Snapshot) -> tuple[ModelFacts, skill_table.Ability]:
    by_model = skill_table.abilities(catalog.models, catalog.scores, fitted().links)
    return catalog.models["gpt-6-luna"], by_model["gpt-6-luna"]


def test_more_effort_never_makes_worse_and_helps_where_there_is_much_to_think(catalog: Snapshot) -> None:
    facts, ability = luna(catalog)
    curves = skill_table.curves(fitted().links)
    by_effort = np.array(
        [skill_table.success_logits(facts, ability, effort, curves) for effort in facts.efforts]
    )
    assert (np.diff(by_effort, axis=0) >= 0).all()
    gain = by_effort[-1] - by_effort[0]
    assert gain[INDEX[Skill.COMPETITION_MATH]] > 1.5 > 0.3 > gain[INDEX[Skill.CONVERSATION]]


def test_no_effort_named_means_the_providers_default(catalog: Snapshot) -> None:
    facts, ability = luna(catalog)
    curves = skill_table.curves(fitted().links)
    unnamed = skill_table.success_logits(facts, ability, None, curves)
    assert (unnamed == skill_table.success_logits(facts, ability, Effort.MEDIUM, curves)).all()


def test_a_stale_benchmark_counts_for_little(catalog: Snapshot) -> None:
    metric = "LiveBench category mean (0-100)"
    fresh = (*elo(1400), PublishedScore("coding", metric, 90, "livebench_2026-06-25"))
    stale = (*elo(1400), PublishedScore("coding", metric, 90, "aider_2025-10-03"))
    by_model = abilities(catalog, fresh=fresh, stale=stale)
    place = INDEX[Skill.CODING]
    assert by_model["fresh"].theta[place] > by_model["stale"].theta[place]


def test_every_skill_has_its_domains_and_numbers() -> None:
    assert set(skill_table.DOMAINS) == set(skill_table.EFFORT_GAIN) == set(skill_table.ANCHOR) == set(SKILLS)
