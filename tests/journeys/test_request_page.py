"""A request's page in a real browser: other strategies, feedback, and its neighbours."""

import httpx
from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in
from tests.site_map import send


def test_a_decision_is_read_compared_and_rated(
    person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    newest = send(http)
    signed_in(person, server, account)
    person.goto(f"{server}/requests/{newest}")
    expect(person.get_by_text("from the playground")).to_have_count(0)

    strategies = person.get_by_role("region", name="Choice of each strategy")
    fold = person.locator("summary", has_text="Replay under another strategy")
    expect(strategies).to_be_hidden()
    fold.click()
    expect(strategies.get_by_role("row").filter(has_text="used")).to_contain_text("quality")
    assert strategies.get_by_role("row").count() == 6  # a heading and five strategies

    person.get_by_role("link", name="Older").click()
    expect(person.get_by_role("link", name="Newer")).to_be_visible()
    assert newest not in person.url
    fold.click()
    expect(strategies.get_by_role("row").filter(has_text="used")).to_contain_text("cost")
    person.get_by_role("link", name="Newer").click()
    expect(person).to_have_url(f"{server}/requests/{newest}")

    good = person.get_by_role("button", name="Good")
    good.click()
    expect(good).to_have_attribute("aria-pressed", "true")
    person.reload()
    expect(good).to_have_attribute("aria-pressed", "true")
