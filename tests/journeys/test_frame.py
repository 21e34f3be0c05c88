"""The frame of every page, in a real browser: the sidebar, the left edge, and sections that open."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from accounts.models import Account
from tests.journeys.test_limits import signed_in
from tests.site_map import send

# Every way to fold something, and one page that has it.
FOLDED = ("/requests/{request}", "/requests/", "/usage/", "/docs/api/chat", "/models/", "/learning/")


def test_the_end_of_the_sidebar_is_in_sight_in_a_low_window(
    person: Page, server: str, account: Account
) -> None:
    signed_in(person, server, account)
    for height in (900, 600):
        person.set_viewport_size({"width": 1440, "height": height})
        person.goto(f"{server}/models/")
        expect(person.get_by_role("button", name="Sign out")).to_be_in_viewport(ratio=1)
    person.get_by_role("link", name="Settings").focus()
    expect(person.get_by_role("link", name="Settings")).to_be_in_viewport(ratio=1)


def test_pages_begin_at_the_same_left_edge(person: Page, server: str, account: Account) -> None:
    signed_in(person, server, account)
    person.set_viewport_size({"width": 1440, "height": 900})
    edges = set()
    for path in ("/models/", "/settings/", "/keys/new/", "/accounts/2fa/", "/usage/"):
        person.goto(server + path)
        box = person.get_by_role("heading", level=1).bounding_box()
        assert box is not None
        edges.add(box["x"])
    assert len(edges) == 1


def test_the_days_of_a_model_can_be_seen(person: Page, server: str, account: Account) -> None:
    signed_in(person, server, account)
    person.goto(f"{server}/models/gpt-5.2")
    box = person.get_by_role("img", name="last 30 days").bounding_box()
    assert box is not None
    assert box["height"] > 15


@pytest.mark.parametrize("path", FOLDED)
def test_what_opens_has_a_mark_that_turns(
    path: str, person: Page, server: str, account: Account, http: httpx.Client
) -> None:
    """A reader tells a section that opens from a link: by a chevron, or by the look of a button."""
    request = send(http)
    signed_in(person, server, account)
    person.goto(server + path.format(request=request))
    unmarked = person.evaluate(
        """() => [...document.querySelectorAll("main summary")].filter((summary) => {
            const before = getComputedStyle(summary, "::before");
            const drawn = before.content !== "none" && before.borderRightWidth !== "0px";
            return !drawn && !summary.querySelector(".icon") && !summary.classList.contains("btn");
        }).map((summary) => summary.textContent)"""
    )
    assert unmarked == []
