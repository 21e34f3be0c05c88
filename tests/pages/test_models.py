"""The models page: what could answer, at which price, how well, how fast; filters; retired ids."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.test import Client
from django.utils import timezone

from billing.models import ModelPrice
from billing.prices.book import ListedPrice, add_prices
from routing.catalog.live import catalog
from routing.catalog.models import Model, RetiredModel
from routing.pages.models.queries import ModelFilters, listed_models


def listed(model: str) -> Any:
    models = listed_models(catalog.snapshot, catalog.price_book, timezone.now())
    return next(entry for entry in models if entry.model.id == model)


def test_every_model_of_the_catalog_is_listed(page: Client) -> None:
    shown = page.get("/models/").content.decode()
    for model in Model.objects.all():
        assert model.id in shown


def test_prices_are_those_in_force(db: None) -> None:
    for model, tiers in catalog.snapshot.prices.items():
        assert listed(model).tiers == tiers


def test_a_scheduled_price_is_announced(page: Client) -> None:
    model = next(iter(catalog.snapshot.prices))
    ModelPrice.objects.create(
        model=model,
        effective_from=datetime(2099, 3, 4, tzinfo=UTC),
        token_class="output",
        usd_per_mtok=Decimal("77.5"),
        source="test",
        version="future",
    )
    (change,) = [change for change in listed(model).scheduled if change.effective_from.year == 2099]
    assert change.prices == {"output": Decimal("77.5")}
    assert "77.5" in page.get(f"/models/{model}").content.decode()


def test_the_price_history_shows_past_prices_and_their_source(page: Client) -> None:
    model = "gpt-4o"
    assert len(listed(model).history) == len(listed(model).tiers), "no history before a second price"
    start = timezone.now() - timedelta(days=1)
    prices = {"uncached_input": Decimal("3.25"), "output": Decimal("11.5")}
    add_prices([ListedPrice(model, start, None, ((0, prices),), "operator")])
    now, before = listed(model).history[:2]
    assert (now.effective_from, now.prices, now.source) == (start, prices, "operator")
    assert before.is_since_ever
    shown = page.get(f"/models/{model}").content.decode()
    assert "Price history" in shown
    assert "11.5" in shown


def test_of_a_price_that_was_corrected_the_history_tells_the_last(db: None) -> None:
    start = timezone.now() - timedelta(days=1)
    for usd in ("1", "2"):
        prices = {"uncached_input": Decimal(usd), "output": Decimal(usd)}
        add_prices([ListedPrice("gpt-4o", start, None, ((0, prices),), "tests")])
    assert [
        entry.prices["output"] for entry in listed("gpt-4o").history if entry.effective_from == start
    ] == [2]


def test_skills_are_shown_for_models_that_can_answer(db: None) -> None:
    for entry in listed_models(catalog.snapshot, catalog.price_book, timezone.now()):
        if entry.model.id in catalog.snapshot.models:
            assert len(entry.skills) > 10
            assert all(0 < probability < 1 for _, probability in entry.skills)


def test_a_model_switched_off_says_so(page: Client) -> None:
    model = next(iter(catalog.snapshot.models))
    Model.objects.filter(pk=model).update(enabled=False)
    assert listed(model).health == "off"
    assert "switched off by the operator" in page.get("/models/").content.decode()


def test_a_model_without_attempts_is_not_called_healthy(page: Client) -> None:
    assert not catalog.snapshot.p_up
    text = page.get("/models/").content.decode()
    assert "not used yet" in text
    assert "healthy" not in text


def test_a_retirement_date_shows(page: Client) -> None:
    model = Model.objects.first()
    assert model is not None
    Model.objects.filter(pk=model.pk).update(shutdown=timezone.now().date() + timedelta(days=90))
    assert "retires" in page.get("/models/", {"q": model.pk}).content.decode()


def test_filters_narrow_by_provider_capability_and_text(db: None) -> None:
    models = listed_models(catalog.snapshot, catalog.price_book, timezone.now())
    provider = models[0].model.provider
    matches = [entry for entry in models if ModelFilters(provider=provider, capability="vision").keep(entry)]
    assert matches
    assert all(entry.model.provider == provider and "vision" in entry.model.capabilities for entry in matches)
    name = models[3].model.id
    assert name in {entry.model.id for entry in models if ModelFilters(q=name.upper()).keep(entry)}


def test_no_match_says_what_to_do(page: Client) -> None:
    hostile = '<script>alert("x")</script>'
    shown = page.get("/models/", {"q": hostile}).content.decode()
    assert "No model matches" in shown
    assert "<script>alert" not in shown


def test_retired_ids_name_their_successor(page: Client) -> None:
    gone = RetiredModel.objects.filter(successor__isnull=False).first()
    assert gone is not None
    shown = page.get("/models/").content.decode().partition('id="retired"')[2]
    assert gone.id in shown
    assert str(gone.successor_id) in shown


def test_a_fragment_is_the_list_alone(page: Client) -> None:
    response = page.get("/models/", {"q": "x"}, HTTP_HX_REQUEST="true")
    assert b"<html" not in response.content
    assert "HX-Request" in response["Vary"]


def test_queries_do_not_grow_with_models(page: Client, django_assert_max_num_queries: Any) -> None:
    assert catalog.snapshot
    with django_assert_max_num_queries(7):
        page.get("/models/")


def test_the_list_is_small_and_sorts(page: Client) -> None:
    answer = page.get("/models/", {"sort": "output"})
    assert len(answer.content) < 120_000
    prices = [entry.output_usd for entry in answer.context["models"] if entry.output_usd is not None]
    assert prices == sorted(prices)


def test_a_model_has_a_page_and_unknown_names_have_none(page: Client) -> None:
    for model in Model.objects.all()[:5]:
        assert model.name in page.get(f"/models/{model.id}").content.decode()
    assert page.get("/models/no-such-model-9").status_code == 404


def test_models_stand_side_by_side(page: Client) -> None:
    first, second = list(catalog.snapshot.models.values())[:2]
    shown = page.get("/models/compare", {"model": [first.id, second.id, "no-such-model"]}).content.decode()
    assert first.name in shown
    assert second.name in shown
    assert "No model is ticked: a comparison needs 2 to 4." in page.get("/models/compare").content.decode()
    alone = page.get("/models/compare", {"model": first.id}).content.decode()
    assert "One model is ticked: a comparison needs 2 to 4." in alone
    many = [model.id for model in Model.objects.all()[:6]]
    assert (
        "The first 4 of 6 models are compared."
        in page.get("/models/compare", {"model": many}).content.decode()
    )
