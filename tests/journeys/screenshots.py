"""Pictures of every page at three widths, light and dark. Only `make screenshots` collects it."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.journeys.conftest import sign_in, watched
from tests.site_map import PAGES, STRANGERS_PAGES, furnish

FOLDER = Path(os.environ.get("SCREENSHOTS", "var/screenshots"))


def picture(prefix: str, path: str, width: int, scheme: str) -> Path:
    name = re.sub(r"[^a-z0-9.]+", "-", path.lower()).strip("-") or "home"
    return FOLDER / f"{prefix}{name}-{width}-{scheme}.png"


@pytest.mark.parametrize("width", [390, 820, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(browser: Browser, server: str, live_db: None, width: int, scheme: Any) -> None:
    furnished = furnish(server)
    for prefix, paths in (("", PAGES), ("stranger-", STRANGERS_PAGES)):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        if not prefix:
            sign_in(context, furnished, server)
        page = watched(context, [])
        for path in paths:
            page.goto(server + furnished.path(path))
            page.screenshot(path=picture(prefix, path, width, scheme), full_page=True)
        context.close()
