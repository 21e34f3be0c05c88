"""The catalog: seeding, the snapshot, measurements and configured upstreams."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

from billing.models import ModelPrice
from routing.arms import Arm, Capability, Effort
from routing.catalog.build import build
from routing.catalog.listed import listed_models
from routing.catalog.live import Catalog
from routing.catalog.models import Measurement, Model
from routing.catalog.seeding import seed
from routing.catalog.upstreams import configured_upstreams

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROVIDERS = [
    {"name": "openai", "dialect": "openai"},
    {"name": "anthropic", "dialect": "anthropic"},
    {"name": "google", "dialect": "gemini"},
]


def test_seeding_again_adds_nothing() -> None:
    before = ModelPrice.objects.count()
    assert seed().prices == 0
    assert ModelPrice.objects.count() == before
    assert Model.objects.count() == len(listed_models())


def test_an_operators_switch_survives_seeding() -> None:
    Model.objects.filter(pk="gpt-6-luna").update(enabled=False)
    call_command("seed", verbosity=0)
    assert "gpt-6-luna" not in build(NOW, PROVIDERS).snapshot.models


def test_only_models_of_configured_providers_are_there() -> None:
    snapshot = build(NOW, PROVIDERS[1:2]).snapshot
    assert snapshot.models
    assert {facts.provider for facts in snapshot.models.values()} == {"anthropic"}


def test_a_model_leaves_on_its_shutdown_date() -> None:
    shutdown = datetime(2026, 12, 11, tzinfo=UTC)
    assert "gpt-5" in build(shutdown - timedelta(days=1), PROVIDERS).snapshot.models
    later = build(shutdown, PROVIDERS)
    assert "gpt-5" not in later.snapshot.models
    assert later.names.resolve("gpt-5").replaced_from == "gpt-5"


def test_the_same_content_has_the_same_version_and_object() -> None:
    catalog = Catalog()
    first = catalog.snapshot
    catalog.refresh_now()
    assert catalog.snapshot is first
    Model.objects.filter(pk="gpt-6-luna").update(tier="premium")
    catalog.refresh_now()
    assert catalog.snapshot.version != first.version


def test_it_takes_five_queries(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(5):
        build(NOW, PROVIDERS)


def test_capabilities_come_from_the_data() -> None:
    models = build(NOW, PROVIDERS).snapshot.models
    assert Capability.FORCED_TOOLS not in models["claude-opus-5-5"].capabilities
    assert Capability.FORCED_TOOLS in models["claude-haiku-5-5"].capabilities
    assert Capability.SAMPLING in models["gpt-4o"].capabilities
    assert Capability.SAMPLING not in models["gpt-6.2-sol"].capabilities
    assert Capability.N in models["gpt-4o"].capabilities
    assert Capability.N not in models["claude-haiku-5-5"].capabilities
    assert models["gpt-6.2-sol"].efforts == (
        Effort.LOW,
        Effort.MEDIUM,
        Effort.HIGH,
        Effort.XHIGH,
        Effort.MAX,
    )


def test_measurements_replace_priors_once_there_are_enough() -> None:
    arm = Arm("gpt-6-luna", Effort.NONE)
    prior = build(NOW, PROVIDERS).snapshot.latency[arm]
    seen = Measurement(
        model_id="gpt-6-luna",
        effort="none",
        samples=5,
        ttft_p50_ms=10,
        ttft_p95_ms=20,
        tokens_per_second=999,
        measured_at=NOW,
    )
    seen.save()
    assert build(NOW, PROVIDERS).snapshot.latency[arm] == prior
    Measurement.objects.update(samples=50)
    assert build(NOW, PROVIDERS).snapshot.latency[arm].tokens_per_second == 999


UPSTREAM = {
    "name": "local",
    "base_url": "http://127.0.0.1:9/v1",
    "models": [
        {
            "id": "local/free",
            "context_window": 8192,
            "max_output_tokens": 1024,
            "usd_per_mtok": {"input": "0", "output": "0"},
            "capabilities": ["tools"],
        },
        {"id": "local/unpriced", "context_window": 8192, "max_output_tokens": 1024},
    ],
}


def test_a_declared_zero_is_a_price_and_none_is_unpriced() -> None:
    with override_settings(UPSTREAMS=json.dumps([UPSTREAM])):
        seed()
        catalog = Catalog()
        assert "local/free" in catalog.snapshot.prices
        assert "local/unpriced" in catalog.snapshot.models
        assert "local/unpriced" not in catalog.snapshot.prices


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"base_url": "ftp://x"}, "base_url"),
        ({"name": "openai"}, "two providers"),
        ({"models": [{"id": "x"}]}, "context_window"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_a_wrong_upstream_is_told_by_its_field(change: dict[str, Any], named: str) -> None:
    with (
        override_settings(UPSTREAMS=json.dumps([UPSTREAM | change])),
        pytest.raises(ImproperlyConfigured, match=named),
    ):
        configured_upstreams()
