"""Refreshing prices adds rows for what changed and leaves the doubtful to a person."""

import copy
import logging
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import UpdatePrices
from genai_prices.data_snapshot import DataSnapshot, get_snapshot

from billing.alerts.models import Alert
from billing.models import ModelPrice
from billing.prices.book import load_price_book
from billing.prices.refresh import refresh
from billing.tasks import refresh_prices

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def listed() -> Any:
    """The list that comes with the library, free to be changed."""
    return DataSnapshot(copy.deepcopy(get_snapshot().providers), from_auto_update=True)


def price_of(listed: Any, model: str) -> Any:
    return listed.find_provider_model(model, None, None, None)[1].get_prices(NOW)


def test_a_list_that_says_what_we_know_adds_nothing(listed: Any) -> None:
    assert refresh(NOW, listed) == 0


def test_a_small_move_is_in_force_from_now_and_history_stays(listed: Any) -> None:
    before = list(ModelPrice.objects.order_by("id").values())
    price_of(listed, "gpt-4o").input_mtok = Decimal("2.6")
    assert refresh(NOW, listed) > 0
    book = load_price_book()
    period = book.at("gpt-4o", NOW)
    earlier = book.at("gpt-4o", datetime(2026, 11, 22, tzinfo=UTC))
    assert period is not None
    assert period.tiers[0].prices.uncached_input == Decimal("2.6")
    assert earlier is not None
    assert earlier.tiers[0].prices.uncached_input == Decimal("2.5")
    assert list(ModelPrice.objects.order_by("id").values())[: len(before)] == before


def test_the_price_of_sound_keeps_its_ratio(listed: Any) -> None:
    """The source lists it for some periods only."""
    price_of(listed, "gemini-2.5-flash").input_mtok = Decimal("0.33")
    assert refresh(NOW, listed) > 0
    period = load_price_book().at("gemini-2.5-flash", NOW)
    assert period is not None
    assert period.tiers[0].prices.audio_input == Decimal("1.1")


def alerts() -> list[str]:
    return list(Alert.objects.filter(resolved_at=None).order_by("pk").values_list("subject", flat=True))


def test_a_large_move_waits_for_an_operator(listed: Any) -> None:
    price_of(listed, "gpt-4o").input_mtok = Decimal("5")
    assert [refresh(NOW, listed), refresh(NOW, listed)] == [0, 0]
    assert alerts() == ["The listed price of gpt-4o moved"], "once"


def test_a_model_that_vanished_waits_for_an_operator(listed: Any) -> None:
    for provider in listed.providers:
        provider.models = [info for info in provider.models if info.id != "gpt-4o"]
    assert refresh(NOW, listed) == 0
    assert alerts() == ["gpt-4o is no longer in the price list"]


def test_a_price_entered_by_hand_is_not_missed(listed: Any) -> None:
    refresh(NOW, listed)  # gpt-6.2-astra was never in the list
    assert alerts() == []


def test_a_list_that_cannot_be_fetched_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unreachable(self: UpdatePrices) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(UpdatePrices, "fetch", unreachable)
    before = list(ModelPrice.objects.order_by("id").values())
    with caplog.at_level(logging.WARNING):
        refresh_prices()
    assert list(ModelPrice.objects.order_by("id").values()) == before
    assert "no route to host" in caplog.text
