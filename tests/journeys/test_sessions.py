"""Ended sessions and the browser's history, in a real browser."""

from typing import Any

from django.contrib.sessions.models import Session
from playwright.sync_api import Page, expect

from tests.journeys.test_first_request import PASSWORD, make_key, run_curl, sign_up


def end_sessions(page: Page) -> None:
    """End the person's session on the server; the browser still has its cookie."""
    (cookie,) = (each for each in page.context.cookies() if each["name"] == "sessionid")
    Session.objects.filter(pk=cookie["value"]).delete()


def test_a_live_list_leads_to_sign_in_and_back_when_the_session_ends(person: Page, server: str) -> None:
    email = "session.ended@journeys.example"
    sign_up(person, server, email)
    run_curl(make_key(person))
    person.goto(f"{server}/requests/?status=succeeded")
    expect(person.get_by_text("Live", exact=True)).to_be_visible()
    end_sessions(person)
    expect(person.get_by_role("button", name="Sign in")).to_be_visible()
    expect(person.locator("#requests")).to_have_count(0)
    person.get_by_label("Email").fill(email)
    person.get_by_label("Password").fill(PASSWORD)
    person.get_by_role("button", name="Sign in").click()
    expect(person.get_by_role("heading", name="Requests")).to_be_visible()
    assert person.url == f"{server}/requests/?status=succeeded"


def test_back_and_forward_after_filtering(person: Page, server: str, complaints: Any) -> None:
    sign_up(person, server, "history@journeys.example")
    run_curl(make_key(person))
    person.goto(f"{server}/requests/")
    person.get_by_label("Status", exact=True).select_option("failed")
    expect(person.get_by_text("No request matches")).to_be_visible()
    person.get_by_label("Status", exact=True).select_option("succeeded")
    expect(person.locator("#rows tr[data-row]")).to_have_count(1)
    person.go_back()
    expect(person.get_by_text("No request matches")).to_be_visible()
    person.go_forward()
    expect(person.locator("#rows tr[data-row]")).to_have_count(1)
    assert complaints == []
