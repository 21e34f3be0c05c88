"""Further OpenAI-compatible upstreams: what is declared is checked, seeded and offered."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from routing.catalog.live import Catalog
from routing.catalog.models import Model
from routing.catalog.seeding import seed
from routing.catalog.upstreams import configured_upstreams, extra_providers
from routing.language.arms import Arm, Capability

MODEL = {"id": "local/free", "context_window": 8192, "max_output_tokens": 1024}
UPSTREAM = {
    "name": "local",
    "base_url": "http://127.0.0.1:9/v1/",
    "models": [
        MODEL | {"usd_per_mtok": {"input": "0", "output": 0.25}, "capabilities": ["tools"]},
        MODEL | {"id": "local/unpriced", "upstream_id": "qwen3:8b"},
    ],
}


def configured(*upstreams: dict[str, Any]) -> override_settings:
    return override_settings(UPSTREAMS=json.dumps(upstreams))


@pytest.mark.django_db
def test_a_declared_zero_is_a_price_and_none_is_unpriced() -> None:
    with configured(UPSTREAM):
        seed()
        snapshot = Catalog().snapshot
    assert snapshot.prices["local/free"][0].prices.uncached_input == 0
    assert "local/unpriced" in snapshot.models
    assert "local/unpriced" not in snapshot.prices
    facts = snapshot.models["local/free"]
    assert (facts.dialect, facts.provider, facts.upstream_id) == ("openai_chat", "local", "local/free")
    assert Capability.TOOLS in facts.capabilities
    assert Arm("local/free") in snapshot.arms


@pytest.mark.django_db
def test_an_upstream_that_takes_unknown_parameters_is_marked() -> None:
    with configured(UPSTREAM | {"pass_unknown": True}):
        seed()
        models = Catalog().snapshot.models
    assert models["local/free"].quirks["pass_unknown"] is True


@pytest.mark.django_db
def test_names_with_a_slash_are_names_and_not_prefixes() -> None:
    with configured(UPSTREAM):
        seed()
        names = Catalog().names
    assert names.resolve("local/free").id == "local/free"
    assert names.resolve("local/local/free").id == "local/free"
    assert names.resolve("openai/local/free").id == ""


@pytest.mark.django_db
def test_what_is_no_longer_configured_leaves_the_catalog() -> None:
    with configured(UPSTREAM | {"name": "other", "models": [MODEL | {"id": "other/a"}]}, UPSTREAM):
        seed()
    with configured(UPSTREAM | {"models": UPSTREAM["models"][:1]}):  # type: ignore[index]
        seed()
        assert set(Model.objects.filter(provider__in=["local", "other"]).values_list("id", flat=True)) == {
            "local/free"
        }


@pytest.mark.django_db
def test_a_changed_price_is_in_force_and_so_is_its_return() -> None:
    for usd in ("1", "2", "1"):
        with configured(UPSTREAM | {"models": [MODEL | {"usd_per_mtok": {"input": usd, "output": usd}}]}):
            seed()
            assert str(Catalog().snapshot.prices["local/free"][0].prices.output.normalize()) == usd


def test_they_are_providers_like_the_others() -> None:
    with configured(UPSTREAM | {"api_key": "secret"}):
        (provider,) = extra_providers()
    assert provider.keys() == settings.PROVIDERS[0].keys()
    assert provider == {
        "name": "local",
        "dialect": "openai_chat",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "secret",
    }


def test_a_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "upstreams.json"
    path.write_text(json.dumps([UPSTREAM]))
    with override_settings(UPSTREAMS=str(path)):
        assert [upstream.name for upstream in configured_upstreams()] == ["local"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"name": "openai"}, "two providers"),
        ({"name": "my local"}, "name"),
        ({"nonsense": 1}, "nonsense"),
        ({"models": [{"id": "x"}]}, "context_window"),
        ({"models": [MODEL | {"context_window": 0}]}, "context_window"),
        ({"models": [MODEL, MODEL]}, "two models with the id 'local/free'"),
        ({"models": [MODEL | {"id": "gpt-4o"}]}, "two models with the id 'gpt-4o'"),
        ({"models": [MODEL | {"capabilities": ["telepathy"]}]}, "telepathy"),
        ({"models": [MODEL | {"usd_per_mtok": {"input": "-1", "output": "0"}}]}, "`input` must be 0"),
        (
            {"models": [MODEL | {"usd_per_mtok": {"input": "0", "output": "NaN"}}]},
            "`output` must be 0",
        ),
        ({"models": [MODEL | {"usd_per_mtok": {"input": "0"}}]}, "output"),
        ({"models": [MODEL | {"scores": [{"domain": "coding"}]}]}, "metric"),
    ],
    ids=str,
)
def test_the_error_names_the_wrong_field(change: dict[str, Any], named: str) -> None:
    with configured(UPSTREAM | change), pytest.raises(ImproperlyConfigured, match=named):
        configured_upstreams()


def warnings() -> list[str | None]:
    return [issue.id for issue in run_checks(tags=["providers"])]


def test_the_check_warns_when_no_model_can_answer() -> None:
    assert warnings() == []
    with override_settings(PROVIDERS=[], UPSTREAMS=""):
        assert warnings() == ["catalog.W001"]
    with override_settings(PROVIDERS=[]), configured(UPSTREAM):
        assert warnings() == []


def test_the_check_fails_on_upstreams_that_cannot_be_read() -> None:
    with override_settings(UPSTREAMS="/nowhere.json"):
        assert warnings() == ["catalog.E001"]
