"""Charts in a real browser: drawn, read by arrow keys, and tables without a script."""

import httpx
from playwright.sync_api import Browser, Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in
from tests.site_map import send


def test_arrow_keys_read_a_chart(person: Page, server: str, account: Account, http: httpx.Client) -> None:
    send(http)
    signed_in(person, server, account)
    for path, chart, words in (
        ("/", "spend", "Spend"),
        ("/usage/", "usage", "Together"),
        ("/savings/", "savings", "Paid"),
    ):
        person.goto(server + path)
        figure = person.locator(f"[data-chart={chart}]")
        expect(figure.locator(".chart-plot canvas")).to_be_visible()
        figure.locator(".chart-plot").focus()
        person.keyboard.press("End")
        expect(figure.get_by_role("status")).to_contain_text("$0.0")
        figure.get_by_text("as a table").first.click()
        expect(figure.get_by_role("columnheader", name=words)).to_be_visible()


def test_charts_are_tables_without_a_script(
    browser: Browser, person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    send(http)
    signed_in(person, server, account)
    context = browser.new_context(java_script_enabled=False, storage_state=person.context.storage_state())
    page = context.new_page()
    page.goto(f"{server}/usage/")
    expect(page.locator(".chart-plot")).to_be_hidden()
    expect(page.locator(".chart-keys")).to_be_hidden()
    page.get_by_text("as a table").click()
    expect(page.get_by_role("columnheader", name="Together")).to_be_visible()
    context.close()
