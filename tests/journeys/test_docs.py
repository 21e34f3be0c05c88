"""The documentation in a real browser: search while typing, tabs, the assistant, and all without a script."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Simulator
from tests.journeys.conftest import sign_in
from tests.site_map import furnish


def test_search_leads_to_the_passage(person: Page, server: str) -> None:
    person.goto(server)
    person.get_by_role("link", name="Read the docs").click()
    expect(person.get_by_role("heading", name="Documentation")).to_be_visible()
    person.wait_for_load_state()  # before that, the shortcut's script may not have run
    person.keyboard.press("/")
    expect(person.get_by_role("searchbox", name="Search the docs")).to_be_focused()
    person.keyboard.type("rotate a k")
    person.get_by_role("link", name="Authentication: Rotate and revoke").click()
    expect(person.get_by_role("heading", name="Rotate and revoke")).to_be_in_viewport()
    assert person.url.endswith("/docs/authentication#rotate-and-revoke")


def test_a_language_is_chosen_for_all_samples_and_pages(person: Page, server: str) -> None:
    person.goto(f"{server}/docs/cost-control")
    expect(person.locator(".code-tabs").first.get_by_role("region", name="curl")).to_be_visible()
    person.locator(".code-tabs").first.get_by_text("Python", exact=True).click()
    for tabs in person.locator(".code-tabs").all():
        expect(tabs.get_by_role("region", name="Python")).to_be_visible()
        expect(tabs.get_by_role("region", name="curl")).to_be_hidden()
    person.goto(f"{server}/docs/strategies")
    expect(person.get_by_role("region", name="Python")).to_be_visible()


def test_docs_read_without_a_script(browser: Browser, server: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server}/docs/strategies")
    expect(page.get_by_role("region", name="curl")).to_be_visible()
    page.get_by_text("JavaScript", exact=True).click()
    expect(page.get_by_role("region", name="JavaScript")).to_be_visible()
    expect(page.get_by_role("region", name="curl")).to_be_hidden()
    page.get_by_role("searchbox").fill("idempotency key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Results for")).to_be_visible()
    page.locator(".docs-results a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Idempotency")
    context.close()


def test_the_assistant_answers_in_its_panel(
    person: Page, server: str, settings: Any, simulator: Simulator, live_db: None
) -> None:
    cache.clear()
    settings.ASSISTANT = "on"
    person.goto(f"{server}/docs/strategies")
    person.get_by_role("button", name="Ask RoutePlex AI").click()
    panel = person.get_by_role("dialog", name="RoutePlex AI")
    expect(panel.get_by_text("Always online")).to_be_visible()
    expect(panel.get_by_role("heading", name=re.compile("Good (morning|afternoon|evening)!"))).to_be_visible()
    panel.get_by_role("button", name="Which strategy should I use?").click()
    expect(panel.get_by_text("composed by the simulated model")).to_be_visible()
    expect(panel.get_by_role("link", name="Strategies", exact=True)).to_be_visible()
    panel.get_by_label("Question to RoutePlex AI").fill("How do I bake sourdough bread?")
    person.keyboard.press("Enter")
    panel.get_by_role("link", name="Send it to support").click()
    expect(person.get_by_text("How do I bake sourdough bread?")).to_be_visible()
    cache.clear()


def test_the_assistant_answers_without_a_script(browser: Browser, server: str, live_db: None) -> None:
    cache.clear()
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{server}/docs/strategies")
    page.get_by_role("button", name="Ask RoutePlex AI").click()
    page.get_by_role("button", name="Can I use the OpenAI SDK?").click()
    expect(page.get_by_text("No model is set up for this assistant.")).to_be_visible()
    page.get_by_role("link", name="SDKs and clients: OpenAI").click()
    expect(page.get_by_role("heading", name="SDKs and clients")).to_be_visible()
    context.close()
    cache.clear()


@pytest.mark.parametrize(("width", "frame"), [(390, "banner"), (1280, "navigation")])
def test_the_assistant_opens_from_the_frame_of_the_page(
    browser: Browser, server: str, live_db: None, width: int, frame: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900})
    sign_in(context, furnish(server), server)
    page = context.new_page()
    page.goto(f"{server}/usage/")
    button = page.get_by_role(frame).get_by_role("button", name="Ask RoutePlex AI")  # type: ignore[arg-type]
    button.click()
    panel = page.get_by_role("dialog", name="RoutePlex AI")
    expect(panel.get_by_label("Question to RoutePlex AI")).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel).to_be_hidden()
    expect(button).to_be_focused()
    context.close()


def test_an_operation_is_tried_with_the_readers_key(person: Page, server: str, api_key: str) -> None:
    person.goto(f"{server}/docs/api")
    person.get_by_role("link", name="POST /api/v1/chat Have the best model answer").click()
    expect(person.get_by_role("heading", name="Have the best model answer", level=1)).to_be_visible()
    person.get_by_label("API key").fill(api_key)
    person.get_by_role("button", name="Send", exact=True).click()
    expect(person.get_by_role("region", name="Response")).to_contain_text('"success": true')
    expect(person.get_by_text("200 OK")).to_be_visible()
    person.get_by_label("Body").fill('{"messages": [{"role": "user", "content": "Hi"}], "stream": true}')
    person.get_by_role("button", name="Send", exact=True).click()
    expect(person.get_by_role("region", name="Response")).to_contain_text("[DONE]")
    person.reload()
    assert person.get_by_label("API key").input_value() == ""
