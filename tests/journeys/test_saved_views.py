"""Sorting, columns and saved views of the request list in a real browser, also without a script."""

import httpx
from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in
from tests.site_map import send


def test_a_view_is_made_and_opened(person: Page, server: str, account: Account, http: httpx.Client) -> None:
    send(http)
    signed_in(person, server, account)
    person.goto(f"{server}/requests/")
    person.get_by_label("Status", exact=True).select_option("succeeded")
    expect(person.get_by_role("link", name="Remove filter status: succeeded")).to_be_visible()
    person.get_by_role("link", name="Cost", exact=True).click()
    expect(person.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    person.get_by_text("Columns", exact=True).click()
    person.get_by_label("Column Skill").uncheck()
    person.get_by_role("button", name="Show these").click()
    expect(person.get_by_role("columnheader", name="Skill")).to_be_hidden()
    person.locator("summary", has_text="Save view").click()
    person.get_by_label("Save filters, sort and columns as").fill("Expensive answers")
    person.get_by_role("button", name="Save view").click()
    expect(person.get_by_text("“Expensive answers” is saved.")).to_be_visible()
    person.goto(f"{server}/requests/")
    person.get_by_role("link", name="Expensive answers").click()
    expect(person.get_by_label("Sort", exact=True)).to_have_value("most_expensive")
    expect(person.get_by_role("columnheader", name="Cost")).to_have_attribute("aria-sort", "descending")
    expect(person.locator("#rows tr[data-row]")).to_have_count(3)
    person.locator("summary", has_text="This view").click()
    person.get_by_role("link", name="Delete view").click()
    dialog = person.get_by_role("dialog", name="Delete the view “Expensive answers”")
    dialog.get_by_role("link", name="Cancel").click()
    expect(dialog).to_be_hidden()
    person.get_by_role("link", name="Delete view").click()
    dialog.get_by_role("button", name="Delete view").click()
    expect(person.get_by_text("“Expensive answers” is deleted.")).to_be_visible()


def test_columns_and_sort_work_without_a_script(
    browser: Browser, person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    send(http)
    signed_in(person, server, account)
    context = browser.new_context(java_script_enabled=False, storage_state=person.context.storage_state())
    page = context.new_page()
    page.goto(f"{server}/requests/")
    page.get_by_text("Columns", exact=True).click()
    page.get_by_label("Column First token").check()
    page.get_by_role("button", name="Show these").click()
    expect(page.get_by_role("columnheader", name="First token")).to_be_visible()
    page.get_by_label("Sort", exact=True).select_option("slowest")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("columnheader", name="Latency")).to_have_attribute("aria-sort", "descending")
    context.close()
