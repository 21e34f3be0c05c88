"""The command palette in a real browser, with the keyboard and without a script."""

from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in


def test_the_keyboard_opens_a_page_a_model_and_the_docs(person: Page, server: str, account: Account) -> None:
    signed_in(person, server, account)
    person.goto(f"{server}/usage/")
    person.wait_for_load_state()
    person.keyboard.press("Control+k")
    dialog = person.get_by_role("dialog", name="Search everything")
    expect(dialog.get_by_role("link", name="Savings")).to_be_visible()
    person.keyboard.type("savin")
    expect(dialog.get_by_role("link", name="Usage")).to_be_hidden()
    person.keyboard.press("Enter")
    expect(person.get_by_role("heading", name="Savings", level=1)).to_be_visible()

    person.wait_for_load_state()
    person.keyboard.press("Control+k")
    person.keyboard.type("idempotency")
    docs = dialog.get_by_role("region", name="Docs")
    expect(docs.get_by_role("link").first).to_be_visible()
    person.keyboard.press("ArrowDown")
    person.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_search_is_a_page_without_a_script(
    browser: Browser, person: Page, server: str, account: Account
) -> None:
    signed_in(person, server, account)
    context = browser.new_context(java_script_enabled=False, storage_state=person.context.storage_state())
    page = context.new_page()
    page.goto(f"{server}/usage/")
    page.get_by_role("link", name="Search").click()
    page.get_by_role("searchbox", name="Search everything").fill("keys")
    page.keyboard.press("Enter")
    page.get_by_role("main").get_by_role("link", name="Keys", exact=False).first.click()
    expect(page.get_by_role("heading", name="Keys", level=1)).to_be_visible()
    context.close()
