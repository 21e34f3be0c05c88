"""The Models page in a real browser: ticking models to compare them, and what its words mean."""

from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in


def test_comparing_waits_for_two_models(person: Page, server: str, account: Account) -> None:
    signed_in(person, server, account)
    person.goto(f"{server}/models/")
    compare = person.get_by_role("button", name="Compare", exact=True)
    boxes = person.get_by_role("checkbox")
    expect(compare).to_be_disabled()
    boxes.nth(0).check()
    expect(person.get_by_text("Tick one more model to compare")).to_be_visible()
    boxes.nth(1).check()
    expect(compare).to_be_enabled()
    for at in (2, 3, 4):
        boxes.nth(at).check()
    expect(person.get_by_text("4 models at most: untick 1")).to_be_visible()
    expect(compare).to_be_disabled()
    boxes.nth(4).uncheck()
    compare.click()
    expect(person.get_by_role("columnheader")).to_have_count(5)


def test_a_premium_model_says_what_that_means(person: Page, server: str, account: Account) -> None:
    signed_in(person, server, account)
    person.goto(f"{server}/models/")
    person.get_by_role("link", name="premium", exact=True).first.focus()
    expect(person.get_by_text("A model that test mode never uses").first).to_be_visible()
