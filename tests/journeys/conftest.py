"""A person's browser: Debian's Chromium, driven by Playwright; any console or CSP error fails the test."""

import functools
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Locator,
    Page,
    expect,
    sync_playwright,
)

from tests.site_map import Furnished

# The system's, else the one `make browser` had Playwright fetch.
CHROMIUM = shutil.which(os.environ.get("CHROMIUM", "chromium"))
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Generous: a journey waits for what it expects, never for time to pass, and CI's cores are shared.
_TIMEOUT_MS = 30_000
expect.set_options(timeout=_TIMEOUT_MS)

# What a person does to an element, as Playwright names it.
_ACTIONS = ("check", "click", "fill", "focus", "hover", "press", "select_option", "uncheck")


def _once_loaded(action: Callable[..., Any]) -> Callable[..., Any]:
    """Act once the element's page has loaded.

    Playwright acts as soon as an element can be seen, which may be before the page's scripts run: a form
    would then be submitted as it is without scripts.
    """

    @functools.wraps(action)
    def act(locator: Locator, *args: Any, **options: Any) -> Any:
        locator.first.wait_for(state="attached")
        locator.page.wait_for_load_state()
        return action(locator, *args, **options)

    return act


@pytest.fixture(scope="module", autouse=True)
def _people_wait_for_pages() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in _ACTIONS:
            patch.setattr(Locator, name, _once_loaded(getattr(Locator, name)))
        yield


@pytest.fixture(scope="module")
def browser(django_db_setup: None) -> Iterator[Browser]:
    """Started after the database: Playwright's loop in this thread would get connections of its own.

    It ends with its module: while that loop lives, no asynchronous test can run in the same worker.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """Console errors of any page, which include CSP violations."""
    return []


@pytest.fixture
def person(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """A new person's only tab."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, permissions=["clipboard-read"])
    page = watched(context, complaints)
    yield page
    context.close()
    assert complaints == []


def sign_in(context: BrowserContext, furnished: Furnished, site: str) -> None:
    value = furnished.browser().cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": value, "url": site}])


def watched(context: BrowserContext, complaints: list[str]) -> Page:
    page = context.new_page()
    page.set_default_timeout(_TIMEOUT_MS)

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"{page.url}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
    return page
