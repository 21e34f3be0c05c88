"""The playground in a real browser: decisions, streamed answers side by side, code; also without a script."""

import re

from playwright.sync_api import Browser, Page, expect

from tests.conftest import Simulator
from tests.execute.odd_answers import answer, chat, frames
from tests.journeys.test_first_request import sign_up

MODEL = "gpt-4o-mini"


def open_playground(page: Page, server: str, email: str, query: str = "") -> None:
    sign_up(page, server, email)
    page.goto(f"{server}/playground/{query}")


def test_a_decision_then_two_answers_side_by_side(person: Page, server: str) -> None:
    open_playground(person, server, "side.by.side@journeys.example")
    person.get_by_label("Prompt").first.fill("What is the capital of France?")
    person.get_by_role("button", name="Add a column").click()
    columns = person.locator("[data-columns] > section")
    person.get_by_label("Strategy or model").nth(1).select_option(f"model:{MODEL}")
    assert person.url.endswith("?target=strategy%3Aauto&target=model%3Agpt-4o-mini")

    expect(columns.nth(1).get_by_role("heading", name="GPT-4o mini")).to_be_visible()
    person.get_by_role("button", name="Preview the choice").click()
    expect(columns.first.get_by_text("chance of a good answer")).to_be_visible()
    columns.first.get_by_text("Why this model?").click()
    expect(columns.first.get_by_text("nothing is charged")).to_be_visible()

    person.get_by_label("Prompt").first.press("Control+Enter")
    for column in (columns.first, columns.nth(1)):
        expect(column.get_by_role("link", name="Open the request")).to_be_visible()
        expect(column.locator("[data-answer]")).to_contain_text("Paris")
        expect(column.locator("[data-facts]")).to_contain_text("$")
    columns.nth(1).get_by_role("link", name="Open the request").click()
    expect(person.get_by_text("from the playground")).to_be_visible()


def test_text_shows_while_it_is_written_and_can_be_stopped(
    person: Page, server: str, simulator: Simulator
) -> None:
    open_playground(person, server, "streams@journeys.example", f"?target=model:{MODEL}")
    answer(
        simulator,
        *(frames(chat({"content": text})) for text in ("First ", "second ", "third ")),
        delay_s=0.7,
    )
    person.get_by_label("Prompt").first.fill("Count")
    person.get_by_role("button", name="Send").click()
    text = person.locator("[data-columns] [data-answer]")
    expect(text).to_have_text("First")
    expect(text).to_have_text("First second")
    person.get_by_role("button", name="Stop").click()
    expect(person.get_by_text("What was written so far is charged.")).to_be_visible()
    expect(person.get_by_role("button", name="Send")).to_be_visible()


def test_code_to_copy(person: Page, server: str) -> None:
    open_playground(person, server, "code@journeys.example")
    person.get_by_label("Prompt").first.fill("What is 2 + 2?")
    person.get_by_role("button", name="Code").click()
    dialog = person.get_by_role("dialog", name="This request as code")
    expect(dialog.get_by_role("region", name="curl")).to_contain_text("What is 2 + 2?")
    dialog.get_by_role("tab", name="Python").click()
    expect(dialog.get_by_role("region", name="Python")).to_contain_text("httpx.post")
    person.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_a_session_that_ended_is_explained(person: Page, server: str) -> None:
    open_playground(person, server, "signed.out@journeys.example")
    person.get_by_label("Prompt").first.fill("Hello")
    person.context.clear_cookies(name="sessionid")
    person.get_by_role("button", name="Send").click()
    expect(person.get_by_text("signed out").first).to_be_visible()


def test_at_most_four_columns(person: Page, server: str) -> None:
    open_playground(person, server, "columns@journeys.example")
    for _ in range(3):
        person.get_by_role("button", name="Add a column").click()
    expect(person.get_by_role("button", name="Add a column")).to_be_disabled()
    assert len(set(re.findall(r"target=([^&]+)", person.url))) == 4
    person.get_by_role("button", name="Remove this column").first.click()
    expect(person.get_by_role("button", name="Add a column")).to_be_enabled()
    person.reload()
    expect(person.locator("[data-columns] > section")).to_have_count(3)


def test_one_answer_without_a_script(browser: Browser, person: Page, server: str) -> None:
    sign_up(person, server, "playground.no.script@journeys.example")
    context = browser.new_context(java_script_enabled=False, storage_state=person.context.storage_state())
    page = context.new_page()
    page.goto(f"{server}/playground/")
    page.get_by_label("Prompt").first.fill("What is the capital of France?")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_text("The capital of France is Paris.")).to_be_visible()
    page.get_by_role("link", name="Open the request").click()
    expect(page.get_by_text("from the playground")).to_be_visible()
    context.close()
