"""The catalog: seeding, and the snapshot built from its tables."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command

from billing.models import ModelPrice
from routing.catalog.build import build
from routing.catalog.model_listing import listed_models
from routing.catalog.models import Measurement, Model, RetiredModel
from routing.catalog.seeding import seed
from routing.language.arms import Arm, Effort
from tests.catalog.conftest import NOW, PROVIDERS

pytestmark = pytest.mark.django_db


def test_seeding_again_changes_nothing() -> None:
    def tables() -> list[list[Any]]:
        return [
            list(Model.objects.order_by("id").values()),
            list(RetiredModel.objects.order_by("id").values()),
            list(ModelPrice.objects.order_by("id").values()),
        ]

    seed()
    before = tables()
    assert seed().prices == 0
    assert tables() == before
    assert Model.objects.count() == len(listed_models())


def test_seeding_again_takes_a_few_queries(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10):
        seed()


def test_every_listed_price_is_a_row_with_its_source() -> None:
    rows = ModelPrice.objects.filter(model="gpt-6-astra", token_class="output").order_by("over_input_tokens")
    for tier, prices in {"": (50, 75), "flex": (25, Decimal("37.5")), "priority": (100, 150)}.items():
        of_tier = rows.filter(service_tier=tier)
        assert [(row.over_input_tokens, row.usd_per_mtok) for row in of_tier] == [
            (0, prices[0]),
            (272_000, prices[1]),
        ]
    assert {row.source for row in rows} == {"genai-prices 0.2.3"}
    later = ModelPrice.objects.filter(model="gemini-4-argon", token_class="output").order_by("effective_from")
    assert [(row.effective_from.date().isoformat(), row.usd_per_mtok) for row in later] == [
        ("1970-01-01", 10),
        ("2026-12-01", 20),
    ]


def test_an_operators_switch_survives_seeding() -> None:
    Model.objects.filter(pk="gpt-6-luna").update(enabled=False)
    call_command("seed", verbosity=0)
    assert "gpt-6-luna" not in build(NOW, PROVIDERS).snapshot.models


def test_a_retired_id_that_left_the_data_leaves_the_table() -> None:
    RetiredModel.objects.create(id="gone", provider="openai", retired=NOW.date(), source="tests")
    seed()
    assert not RetiredModel.objects.filter(pk="gone").exists()


def test_only_models_of_configured_providers_are_there() -> None:
    snapshot = build(NOW, PROVIDERS[1:2]).snapshot
    assert snapshot.models
    assert {facts.provider for facts in snapshot.models.values()} == {"anthropic"}


def test_a_model_leaves_on_its_shutdown_date() -> None:
    seed()  # with the real dates
    shutdown = datetime(2026, 12, 11, tzinfo=UTC)
    assert "gpt-5" in build(shutdown - timedelta(days=1), PROVIDERS).snapshot.models
    later = build(shutdown, PROVIDERS)
    assert "gpt-5" not in later.snapshot.models
    assert later.names.resolve("gpt-5").replaced_from == "gpt-5"


def test_it_takes_five_queries(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(5):
        build(NOW, PROVIDERS)


def test_measurements_replace_priors_once_there_are_enough() -> None:
    arm = Arm("gpt-6-luna", Effort.NONE)
    prior = build(NOW, PROVIDERS).snapshot.latency[arm]
    measurement = Measurement(
        model_id="gpt-6-luna",
        effort="none",
        samples=5,
        ttft_p50_ms=10,
        ttft_p95_ms=20,
        tokens_per_second=999,
        measured_at=NOW,
    )
    measurement.save()
    assert build(NOW, PROVIDERS).snapshot.latency[arm] == prior
    Measurement.objects.update(samples=50)
    assert build(NOW, PROVIDERS).snapshot.latency[arm].tokens_per_second == 999


def test_a_current_model_has_an_arm_for_every_effort_and_a_legacy_one_its_default() -> None:
    snapshot = build(NOW, PROVIDERS).snapshot
    arms: dict[str, list[Effort | None]] = {}
    for arm in snapshot.arms:
        arms.setdefault(arm.model, []).append(arm.effort)
    assert arms.keys() == snapshot.models.keys()
    assert arms["gpt-6.2-sol"] == [*snapshot.models["gpt-6.2-sol"].efforts]
    assert arms["gpt-5.6-sol"] == [Effort.MEDIUM]
    assert arms["gpt-4o"] == [None]
    assert snapshot.latency.keys() == set(snapshot.arms)


def test_prices_are_those_in_force() -> None:
    def output(now: datetime) -> Decimal:
        return build(now, PROVIDERS).snapshot.prices["gemini-4-argon"][0].prices.output

    assert output(NOW) == 10
    assert output(datetime(2026, 12, 1, tzinfo=UTC)) == 20


def test_more_effort_and_a_dearer_model_are_slower_until_measured() -> None:
    latency = build(NOW, PROVIDERS).snapshot.latency
    at = [latency[Arm("gpt-6-luna", effort)].ttft_p50_ms for effort in (Effort.NONE, Effort.LOW, Effort.MAX)]
    assert at == sorted(at)
    assert (
        latency[Arm("gpt-6.2-astra", Effort.LOW)].tokens_per_second
        < latency[Arm("gpt-6-luna", Effort.LOW)].tokens_per_second
    )
