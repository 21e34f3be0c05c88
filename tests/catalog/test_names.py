"""Resolving model names: ids, aliases, prefixes, dates, retired ids, near matches."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.catalog import model_listing as listed
from routing.catalog.names import NameBook, Named, Retired

TODAY = date(2026, 11, 23)
MODELS = {model["id"]: model for model in listed.listed_models()}


def book(today: date = TODAY) -> NameBook:
    return NameBook(
        [Named(name, model["provider"], model.get("match", {})) for name, model in MODELS.items()],
        [
            Retired(entry["id"], entry["provider"], entry["retired"], entry["successor"])
            for entry in listed.listed_retirements()
        ],
        today,
    )


NAMES = book()


def test_every_id_means_itself() -> None:
    assert [NAMES.resolve(name).id for name in MODELS] == list(MODELS)


def test_no_models_rules_capture_anothers_id() -> None:
    for name, model in MODELS.items():
        others = [Named(other, "x", {}) for other in MODELS if other != name]
        alone = NameBook([Named(name, model["provider"], model.get("match", {}))], [], TODAY)
        assert [other.id for other in others if alone.resolve(other.id).id] == []


def test_every_alias_that_is_not_retired_means_its_model() -> None:
    retired = {entry["id"] for entry in listed.listed_retirements()}
    for name, model in MODELS.items():
        for alias in model.get("match", {}).get("equals", ()):
            if alias not in retired:
                assert NAMES.resolve(alias).id == name, alias


@given(
    st.sampled_from(sorted(MODELS)),
    st.booleans(),
    st.sampled_from(["", "@20261007", "@latest", "-20261007", "-2026-10-07"]),
)
def test_an_id_with_its_providers_prefix_and_a_date_means_itself(
    name: str, prefixed: bool, date_suffix: str
) -> None:
    prefix = MODELS[name]["provider"] + "/" if prefixed else ""
    assert NAMES.resolve(prefix + name + date_suffix).id == name


@given(st.text(max_size=60))
def test_any_text_means_an_existing_model_or_none(name: str) -> None:
    resolved = NAMES.resolve(name)
    assert resolved.id in MODELS or (resolved.id == "" and set(resolved.near) <= MODELS.keys())


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai/gpt-5.4", "gpt-5.4"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-flash-latest", "gemini-3.8-flash"),
        ("claude-haiku-5-5-20261007", "claude-haiku-5-5"),
        ("claude-haiku-5-5@20261007", "claude-haiku-5-5"),
        ("anthropic/claude-haiku-5-5@20261007", "claude-haiku-5-5"),
        ("gpt-6-luna-2026-09-22", "gpt-6-luna"),
        ("gpt-5.6", "gpt-5.6-sol"),
    ],
)
def test_other_ways_to_write_it(name: str, model: str) -> None:
    assert NAMES.resolve(name).id == model


@pytest.mark.parametrize("name", ["somebody/gpt-4o", "anthropic/gpt-4o", "openai/claude-haiku-5-5"])
def test_a_name_behind_somebody_elses_prefix_is_not_ours(name: str) -> None:
    assert NAMES.resolve(name).id == ""


@pytest.mark.parametrize(
    "name", ["somebody-elses-model", "gemini-2.5-pro-preview-tts", "gemini-3.8-flash-tts"]
)
def test_a_rule_that_only_forbids_does_not_claim_other_models(name: str) -> None:
    # Gemini rows carry "not text to speech", which as a rule of its own would fit every name.
    assert NAMES.resolve(name).id == ""


@pytest.mark.parametrize(
    ("name", "successor"),
    [
        ("gpt-4.1-nano", "gpt-5.6-luna"),
        ("gpt-4.1-nano-2025-04-14", "gpt-5.6-luna"),
        ("openai/gpt-4.1-nano", "gpt-5.6-luna"),
        ("o1", "gpt-5.6-sol"),
        ("o3-mini", "gpt-5.6-sol"),
        ("o4-mini", "gpt-5.6-terra"),
        ("gpt-4", "gpt-5.6-sol"),
        ("gpt-4-turbo", "gpt-5.6-sol"),
        ("gpt-3.5-turbo", "gpt-5.6-terra"),
        ("gpt-4o-2024-05-13", "gpt-5.6-sol"),
        ("claude-opus-4-1-20250805", "claude-opus-4-8"),
        ("gpt-5.1-codex", "gpt-5.6-sol"),  # listed as an alias of a model still served, yet gone itself
    ],
)
def test_a_retired_id_means_its_successor_and_says_so(name: str, successor: str) -> None:
    resolved = NAMES.resolve(name)
    assert resolved.id == successor
    assert resolved.replaced_from is not None
    assert "was retired on" in (resolved.note or "")


def test_a_successor_that_is_retired_itself_is_followed_to_one_that_is_not() -> None:
    assert NAMES.resolve("gemini-2.0-flash").id == "gemini-2.5-flash"
    later = book(date(2026, 12, 1)).resolve("gemini-2.0-flash")
    assert (later.id, later.replaced_from) == ("gemini-3.5-flash-lite", "gemini-2.0-flash")


def test_from_its_shutdown_on_a_model_and_its_aliases_mean_the_successor() -> None:
    before, after = book(date(2026, 12, 10)), book(date(2026, 12, 11))
    for name in ("gpt-5", "gpt-5-2025-08-07", "openai/gpt-5"):
        assert before.resolve(name).id == "gpt-5"
        assert after.resolve(name).id == "gpt-6.1-sol"


def test_every_model_that_will_be_shut_down_has_a_successor_that_will_be_there() -> None:
    later = book(date(2030, 1, 1))
    for name, model in MODELS.items():
        if model.get("shutdown_date"):
            assert listed.retirement_days()[name].isoformat() == model["shutdown_date"]
            assert later.resolve(name).id in MODELS
    for entry in listed.listed_retirements():
        assert later.resolve(entry["id"]).replaced_from == entry["id"]


def test_a_misspelling_gets_near_matches() -> None:
    resolved = NAMES.resolve("claude-hiaku-5-5")
    assert resolved.id == ""
    assert "claude-haiku-5-5" in resolved.near
