"""The Settings page, and pages in general."""

from typing import Any

import pytest
from django.template import Context, Template
from django.test import Client

from accounts import model_ids
from accounts.caller_lookup import find_caller_sync
from accounts.keys import create_key
from accounts.models import User

pytestmark = pytest.mark.django_db

DEFAULTS = {
    "save_account": "",
    "name": "Lab",
    "strategy": "quality",
    "time_zone": "Europe/Berlin",
    "baseline_model": "gpt-4.1",
}


@pytest.fixture(autouse=True)
def _catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ids, "_source", lambda: ["gpt-4.1", "gpt-4.1-mini"])
    monkeypatch.setattr(model_ids, "_providers", lambda: ["openai"])


def test_the_accounts_defaults_reach_its_callers(browser: Client, person: User) -> None:
    assert browser.post("/settings/", DEFAULTS).status_code == 302
    caller = find_caller_sync(create_key(person.accounts.get(), "laptop")[1], None)
    assert caller.account_name == "Lab"
    assert caller.strategy == "quality"
    assert caller.baseline_model == "gpt-4.1"
    assert caller.fallback is False
    assert caller.replace_retired is False
    assert caller.rescue is False
    assert caller.time_zone == "Europe/Berlin"


def test_the_baseline_is_chosen_by_display_name(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_ids, "_names", lambda: {"gpt-4.1": "GPT-4.1"})
    html = browser.get("/settings/").content.decode()
    assert '<option value="gpt-4.1">GPT-4.1</option>' in html
    assert '<option value="gpt-4.1-mini">gpt-4.1-mini</option>' in html


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "This field is required"),
        ("strategy", "best", "Select a valid choice"),
        ("baseline_model", "gpt-4.1-mimi", "Did you mean gpt-4.1-mini"),
        ("allowed_models", "-gpt-4.1-mimi", "Did you mean gpt-4.1-mini"),
        ("allowed_models", "-openia/*", "There is no provider “openia/*”. Did you mean openai/*"),
    ],
)
def test_a_bad_default_is_named_and_nothing_saved(
    browser: Client, person: User, field: str, value: str, message: str
) -> None:
    response = browser.post("/settings/", DEFAULTS | {field: value})
    assert response.status_code == 422
    assert message in response.content.decode()
    assert person.accounts.get().name == "ada"


def test_the_profile_is_saved_by_itself(browser: Client, person: User) -> None:
    browser.post("/settings/", {"save_person": "", "time_zone": "Asia/Tokyo"})
    person.refresh_from_db()
    assert person.time_zone == "Asia/Tokyo"
    assert person.accounts.get().name == "ada"
    assert browser.post("/settings/", {"save_person": "", "time_zone": "Moon/Sea"}).status_code == 422


def test_a_person_without_an_account_gets_one(client: Client, settings: Any) -> None:
    settings.SIGNUP_PLAN = "usage"
    user = User.objects.create_superuser("root@example.com", "correct-horse-9")
    client.force_login(user)
    assert client.get("/settings/").status_code == 200
    assert user.accounts.get().plan_id == "usage"


def test_times_are_in_the_viewers_zone_with_the_exact_utc_on_hover() -> None:
    from datetime import UTC, datetime

    shown = Template("{% load components %}{% time when %}").render(
        Context({"when": datetime(2026, 1, 31, 20, 5, 9, tzinfo=UTC), "user": User(time_zone="Asia/Tokyo")})
    )
    assert "1 Feb 2026, 05:05" in shown
    assert 'title="2026-01-31 20:05:09 UTC"' in shown


def test_an_error_page_needs_no_request_and_still_says_that_it_is_simulated() -> None:
    from django.template.loader import render_to_string

    for name in ("404.html", "403.html", "403_csrf.html", "429.html", "500.html"):
        assert "Simulator mode" in render_to_string(name)


def test_an_unknown_address_shows_the_404_page(browser: Client) -> None:
    response = browser.get("/no/such/page/")
    assert response.status_code == 404
    assert "There is nothing here" in response.content.decode()


def test_model_rules_of_the_account_reach_its_callers_and_show_again(browser: Client, person: User) -> None:
    rules = {"allowed_models": "openai/*, -gpt-4.1"}
    assert browser.post("/settings/", DEFAULTS | rules).status_code == 302
    caller = find_caller_sync(create_key(person.accounts.get(), "laptop")[1], None)
    assert caller.account_models == {"openai/*", "-gpt-4.1"}
    assert "openai/*\n-gpt-4.1</textarea>" in browser.get("/settings/").content.decode()
