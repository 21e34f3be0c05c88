"""What a model's name means: ids, aliases, prefixes, dates, retired ids, near matches."""

import pytest

from routing.catalog import listed
from routing.catalog.live import catalog

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _fresh_catalog() -> None:
    catalog.refresh_now()


def test_every_id_means_itself() -> None:
    for model in listed.listed_models():
        assert catalog.names.resolve(model["id"]).id == model["id"]


def test_every_alias_that_is_not_retired_means_its_model() -> None:
    retired = {entry["id"] for entry in listed.listed_retirements()}
    for model in listed.listed_models():
        for alias in model.get("match", {}).get("equals", ()):
            if alias not in retired:
                assert catalog.names.resolve(alias).id == model["id"], alias


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openai/gpt-5.4", "gpt-5.4"),
        ("models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("gemini-flash-latest", "gemini-3.8-flash"),
        ("claude-haiku-5-5-20261007", "claude-haiku-5-5"),
        ("claude-haiku-5-5@20261007", "claude-haiku-5-5"),
        ("gpt-6-luna-2026-09-22", "gpt-6-luna"),
        ("gpt-5.6", "gpt-5.6-sol"),
    ],
)
def test_other_ways_to_write_it(name: str, model: str) -> None:
    assert catalog.names.resolve(name).id == model


def test_a_rule_that_only_forbids_does_not_claim_other_models() -> None:
    # Gemini rows carry "not text to speech", which as a rule of its own would fit every name.
    assert catalog.names.resolve("somebody-elses-model").id == ""
    assert catalog.names.resolve("gemini-2.5-pro-preview-tts").id != "gemini-2.5-pro"


@pytest.mark.parametrize(
    "name", ["gpt-4.1-nano", "gpt-4.1-nano-2025-04-14", "openai/gpt-4.1-nano", "o3-mini"]
)
def test_a_retired_id_means_its_successor_and_says_so(name: str) -> None:
    found = catalog.names.resolve(name)
    assert found.id in catalog.snapshot.models
    assert found.replaced_from is not None
    assert "retired" in (found.note or "")


def test_a_misspelling_gets_near_matches() -> None:
    found = catalog.names.resolve("claude-hiaku-5-5")
    assert found.id == ""
    assert "claude-haiku-5-5" in found.near
