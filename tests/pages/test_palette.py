"""The command palette finds pages, requests, keys, models and documentation, of this account alone."""

from collections.abc import Callable

from django.test import Client

from accounts.keys import create_key
from accounts.models import Account
from billing.models import Request
from routing.catalog.live import catalog


def hits(page: Client, query: str) -> dict[str, list[str]]:
    groups = page.get("/search", {"q": query}).context["groups"]
    return {title: [hit.title for hit in of_group] for title, of_group in groups}


def test_without_a_query_it_lists_the_pages(page: Client) -> None:
    assert list(hits(page, "")) == ["Pages"]
    assert {"Home", "Usage", "Settings"} <= set(hits(page, "")["Pages"])


def test_it_finds_requests_keys_models_and_docs(
    page: Client, account: Account, make_request: Callable[..., Request]
) -> None:
    row = make_request(7)
    create_key(account, "batch jobs")
    facts = next(iter(catalog.snapshot.models.values()))
    assert hits(page, row.id[:20])["Requests"] == [row.id]
    assert hits(page, "batch")["Keys"] == ["batch jobs"]
    assert facts.name in hits(page, facts.id)["Models"]
    assert any("Idempotency" in title for title in hits(page, "idempotency")["Docs"])


def test_what_others_have_is_not_found(
    page: Client, stranger: Account, make_request: Callable[..., Request]
) -> None:
    key, _ = create_key(stranger, "their secret plan")
    row = make_request(1, account=stranger, key=key)
    assert "Keys" not in hits(page, "secret plan")
    assert row.id not in hits(page, row.id)["Requests"]


def test_htmx_gets_the_results_alone(page: Client) -> None:
    part = page.get("/search", {"q": "zzzz"}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "Requests with “zzzz”" in part
