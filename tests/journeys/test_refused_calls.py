"""A call that was refused, in a real browser: seen at once, explained, and mended."""

import re

from playwright.sync_api import Page, expect

from tests.journeys.test_first_request import make_key, run_curl, sign_up


def test_a_refused_call_is_seen_explained_and_mended(person: Page, server: str) -> None:
    sign_up(person, server, "refused.call@journeys.example")
    command = make_key(person)
    wrong = re.sub(r'"messages"', '"strategy": "cheapest", "messages"', command, count=1)
    answer = run_curl(wrong)
    assert answer.status_code == 400, answer.text
    message = answer.json()["error"]["message"]

    expect(person.get_by_text("Your call arrived, but it was refused")).to_be_visible()
    person.get_by_role("link", name="Details").click()
    expect(person.get_by_role("heading", name="Refused", exact=False)).to_be_visible()
    expect(person.get_by_text(message).first).to_be_visible()
    expect(person.get_by_role("definition").filter(has_text="strategy").first).to_be_visible()
    expect(person.get_by_text("nothing is charged")).to_be_visible()

    person.get_by_role("link", name="Refused", exact=True).click()
    expect(person.get_by_role("heading", name="Requests", level=1)).to_be_visible()
    person.get_by_role("link", name=re.compile("^req_")).or_(person.locator("#rows a")).first.click()
    expect(person.get_by_text(message).first).to_be_visible()

    assert run_curl(command).status_code == 200
    person.goto(f"{server}/start")
    expect(person.get_by_text("Your request has arrived.")).to_be_visible()
