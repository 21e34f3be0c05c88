"""A person's browser: Debian's Chromium, driven by Playwright; any console or CSP error fails the test."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

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
_TIMEOUT_MS = 15_000


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
