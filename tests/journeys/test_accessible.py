"""Every page in light and dark, on a phone and a desk: axe-core finds nothing, nothing scrolls sideways.

These tests run on SQLite only (`STORED_ALIKE` in tests/conftest.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.journeys.conftest import sign_in, watched
from tests.site_map import PAGES, STRANGERS_PAGES, Furnished, furnish

AXE = (Path(__file__).parent / "data" / "axe.min.js").read_text()
# `preload` would fetch every stylesheet again, for an experimental rule. A theme changes nothing but colours.
CHECKS = {
    "light": """axe.run(document, {
        preload: false, resultTypes: ["violations"], rules: {"label-content-name-mismatch": {enabled: true}},
    })""",
    "dark": "axe.run(document, {preload: false, runOnly: ['color-contrast', 'link-in-text-block']})",
}
# Otherwise an inherited colour reaches each depth of the page a frame later.
STILL = """
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("*, *::before, *::after { transition: none !important; animation: none !important }");
    document.adoptedStyleSheets = [sheet];
"""
WIDTHS = (390, 1440)
OTHER_WIDTHS = (820, 1280)  # pages must fit them, too
LARGEST = 120 * 1024  # bytes of a page's HTML
_ERRORS_MEANT = ("/no-such-page",)  # Chromium complains of the status


@dataclass(frozen=True)
class Visit:
    """A tab of the account's owner and a stranger's, with what their consoles said."""

    site: str
    furnished: Furnished
    owner: Page
    stranger: Page
    complaints: list[str]


@pytest.fixture(scope="module")
def visit(browser: Browser, _live_server: str, django_db_blocker: Any) -> Iterator[Visit]:
    complaints: list[str] = []
    with django_db_blocker.unblock():
        furnished = furnish(_live_server)
        contexts = [browser.new_context() for _ in range(2)]
        sign_in(contexts[0], furnished, _live_server)
        owner, stranger = (watched(context, complaints) for context in contexts)
        yield Visit(_live_server, furnished, owner, stranger, complaints)
        for context in contexts:
            context.close()


def problems(page: Page, url: str) -> list[str]:
    """Violations that axe finds on the page at each width, light and dark; sideways scrolling; its size."""
    violations = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        response = page.goto(url)
        if response is not None and len(response.body()) > LARGEST:
            violations.append(f"{len(response.body()):,} bytes of HTML")
        page.evaluate(STILL)
        page.evaluate(AXE)
        violations += too_wide(page)
        for scheme, check in CHECKS.items():
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            for rule in page.evaluate(check)["violations"]:
                nodes = [f"{node['html'][:160]} {node['failureSummary']}" for node in rule["nodes"][:3]]
                violations.append(f"{width} px, {scheme}: {rule['id']}: {nodes}")
    for width in OTHER_WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        violations += too_wide(page)
    return violations


def too_wide(page: Page) -> list[str]:
    """A complaint if the page scrolls sideways at its present width."""
    width, inner = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    return [f"at {inner} px the page is {width} px wide"] if width > inner else []


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_accessible(visit: Visit, live_db: None, path: str) -> None:
    visit.complaints.clear()
    violations = problems(visit.owner, visit.site + visit.furnished.path(path))
    assert not violations, "\n".join(violations)
    assert path in _ERRORS_MEANT or not visit.complaints


@pytest.mark.parametrize("path", STRANGERS_PAGES)
def test_a_page_for_strangers_is_accessible(visit: Visit, live_db: None, path: str) -> None:
    visit.complaints.clear()
    violations = problems(visit.stranger, visit.site + path)
    assert not violations, "\n".join(violations)
    assert not visit.complaints
