"""Terms in a real browser: their meaning shows on focus, and they lead to the glossary."""

import httpx
from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in
from tests.site_map import send


def test_a_term_shows_its_meaning_on_focus_and_leads_to_it(
    person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    send(http)
    signed_in(person, server, account)
    person.goto(f"{server}/savings/")
    term = person.get_by_role("link", name="The baseline", exact=True)
    meaning = person.get_by_text("The one model you would use for every request without routing.")
    expect(meaning).to_be_hidden()
    term.focus()
    expect(meaning).to_be_visible()
    person.keyboard.press("Escape")
    expect(meaning).to_be_hidden()
    person.keyboard.press("Enter")
    expect(person).to_have_url(f"{server}/docs/glossary#baseline")
    expect(person.locator("#baseline")).to_be_visible()


def test_a_finger_first_shows_the_meaning_of_a_term(
    browser: Browser, person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    send(http)
    signed_in(person, server, account)
    context = browser.new_context(
        has_touch=True,
        is_mobile=True,
        viewport={"width": 390, "height": 844},
        storage_state=person.context.storage_state(),
    )
    page = context.new_page()
    page.goto(f"{server}/savings/")
    page.wait_for_load_state()
    term = page.get_by_role("link", name="The baseline", exact=True)
    term.tap()
    expect(page.get_by_text("The one model you would use for every request")).to_be_visible()
    expect(page).to_have_url(f"{server}/savings/")
    term.tap()
    expect(page).to_have_url(f"{server}/docs/glossary#baseline")
    context.close()
