"""The facts of a catalog row: efforts, defaults, capabilities, tier."""

import json
from itertools import pairwise

import pytest

from routing.catalog.facts import facts_of
from routing.catalog.model_listing import DATA
from routing.catalog.models import Model
from routing.language.arms import Capability, Effort, ModelFacts

Models = dict[str, ModelFacts]


@pytest.mark.parametrize(
    ("model", "efforts", "default"),
    [
        ("gpt-6.2-sol", "low medium high xhigh max", "medium"),
        ("gpt-6-luna", "none low medium high xhigh max", "medium"),
        ("gpt-5.4", "none low medium high xhigh", "none"),
        ("gpt-5", "minimal low medium high", "medium"),
        ("gpt-4o", "", None),
        ("claude-opus-5-5", "low medium high xhigh max", "medium"),  # always thinks
        ("claude-haiku-5-5", "none low medium high xhigh max", "high"),
        ("claude-opus-4-8", "none low medium high xhigh max", "none"),  # thinks only on request
        ("claude-haiku-4-5", "", None),  # takes no effort at all
        ("gemini-4-argon", "low medium high", "high"),
        ("gemini-3.5-flash-lite", "minimal low medium high", "high"),
        ("gemini-2.5-pro", "low medium high", "high"),  # cannot stop thinking
        ("gemini-2.5-flash", "none low medium high", "high"),
    ],
)
def test_efforts_are_translated(models: Models, model: str, efforts: str, default: str | None) -> None:
    assert models[model].efforts == tuple(Effort(name) for name in efforts.split())
    assert models[model].default_effort == (Effort(default) if default else None)


def test_efforts_ascend_and_hold_the_default(models: Models) -> None:
    order = list(Effort)
    for facts in models.values():
        assert all(order.index(low) < order.index(high) for low, high in pairwise(facts.efforts))
        assert facts.default_effort in facts.efforts if facts.efforts else facts.default_effort is None


@pytest.mark.parametrize(
    ("capability", "having", "lacking"),
    [
        (
            Capability.FORCED_TOOLS,
            "claude-haiku-5-5 gpt-4o gemini-4-argon",
            "claude-opus-5-5 claude-sonnet-5-5",
        ),
        (
            Capability.SAMPLING,
            "gpt-4o gemini-4-carbon",
            "gpt-6.2-sol gpt-6-luna claude-haiku-5-5 gemini-4-argon gemini-3.8-flash",
        ),
        (Capability.N, "gpt-4o gpt-6-luna", "gpt-5.5-pro claude-haiku-5-5 gemini-4-argon"),
        (Capability.STOP, "gpt-4o claude-haiku-5-5 gemini-4-argon", "gpt-6.2-sol"),
        (Capability.SEED, "gpt-4o gemini-4-argon", "claude-haiku-5-5 gpt-6.2-sol"),
        (Capability.LOGPROBS, "gpt-4o", "gpt-6.2-sol claude-haiku-5-5"),
        (Capability.AUDIO_IN, "gemini-4-argon", "gpt-6-luna claude-haiku-5-5"),
    ],
)
def test_capabilities_come_from_the_data(
    models: Models, capability: Capability, having: str, lacking: str
) -> None:
    for name in having.split():
        assert capability in models[name].capabilities, name
    for name in lacking.split():
        assert capability not in models[name].capabilities, name


def test_the_default_tier_is_the_cheap_and_the_middle_trio_and_nothing_that_ends(models: Models) -> None:
    cheap_and_middle = (
        "gpt-6-luna claude-haiku-5-5 gemini-3.5-flash-lite "
        "gpt-6.1-terra gpt-6.2-sol claude-sonnet-5-5 gemini-3.8-flash"
    )
    top = "gpt-6.2-astra claude-opus-5-5 gemini-4-argon"
    assert {models[name].tier for name in cheap_and_middle.split()} == {"default"}
    assert {models[name].tier for name in top.split()} == {"premium"}
    assert all(facts.tier == "premium" for facts in models.values() if facts.shutdown)


def test_an_own_upstream_takes_what_openai_compatible_servers_take() -> None:
    row = Model(id="local/one", provider="local", quirks={"upstream_id": "qwen3:8b"}, capabilities=["tools"])
    facts = facts_of(row, "openai_chat")
    assert (facts.upstream_id, facts.efforts) == ("qwen3:8b", ())
    assert facts.capabilities >= {Capability.TOOLS, Capability.SAMPLING, Capability.STOP, Capability.SEED}
    assert Capability.VISION not in facts.capabilities


def test_a_model_without_efforts_thinks_on_request(models: Models) -> None:
    """By a thinking budget. No score describes the model so, and the router does not choose it."""
    assert models["claude-haiku-4-5"].opt_in_efforts == (Effort.LOW, Effort.MEDIUM, Effort.HIGH)
    assert all(not facts.opt_in_efforts for facts in models.values() if facts.efforts)
    assert models["gpt-4o"].opt_in_efforts == ()


def test_every_quirk_says_what_it_means_and_where_it_is_from() -> None:
    catalog = json.loads((DATA / "catalog.json").read_text())
    used = {name for row in catalog["models"] for name in row["quirks"]}
    assert used == set(catalog["quirks"])
    for name, entry in catalog["quirks"].items():
        assert set(entry) == {"means", "source"}, name
        assert all(entry.values()), name
