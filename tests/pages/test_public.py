"""Visitors without an account see models, plans and changes as the data has them."""

import pytest
from django.test import Client

from accounts.models import Plan
from core.numbers.formats import money_text
from routing.catalog.live import catalog


@pytest.fixture
def visitor(db: None) -> Client:
    return Client()


def test_models_are_those_offered_with_their_prices(visitor: Client) -> None:
    shown = visitor.get("/models/").content.decode()
    for model, facts in catalog.snapshot.models.items():
        assert f">{facts.name}</span>" in shown
        assert model in shown
    for model, tiers in catalog.snapshot.prices.items():
        if model in catalog.snapshot.models:
            assert f">{money_text(tiers[0].prices.output)}</td>" in shown


def test_members_get_the_models_page_of_their_account(page: Client) -> None:
    assert 'aria-label="Filter models"' in page.get("/models/").content.decode()


def test_pricing_lists_the_plans(visitor: Client) -> None:
    Plan.objects.create(name="team", title="Team of ten", daily_usd="12.5")
    shown = visitor.get("/pricing").content.decode()
    for plan in Plan.objects.all():
        assert plan.title in shown
        assert plan.daily_usd is None or money_text(plan.daily_usd) in shown


def test_the_changelog_links_to_the_docs(visitor: Client) -> None:
    shown = visitor.get("/changelog").content.decode()
    assert "Unreleased" in shown
    assert 'href="/docs/playground"' in shown


def test_public_pages_show_members_their_sidebar(page: Client) -> None:
    for path in ("/pricing", "/changelog"):
        assert 'id="sidebar"' in page.get(path).content.decode()
