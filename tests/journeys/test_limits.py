"""Limits and alerts in a real browser: a webhook added, tested and seen arriving; every page fits."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from accounts.caller import Limits
from accounts.keys import create_key
from accounts.models import Account, User
from billing.alerts.channels import add_webhook
from billing.alerts.delivery import deliver_due
from billing.alerts.publish import raise_alert
from billing.models import Request
from tests.alerts.conftest import Receiver, receiver, spend
from tests.journeys.conftest import watched

__all__ = ["receiver", "spend"]  # fixtures


def signed_in(page: Page, server: str, account: Account) -> User:
    user = account.members.get()
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    cookie = client.cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": cookie, "url": server}])
    return user


def deliver() -> None:
    """Run the job in a thread, because Playwright runs an event loop in this one."""

    def work() -> None:
        deliver_due(datetime.now(UTC))
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()


def test_a_webhook_is_added_tested_and_seen_arriving(
    person: Page, server: str, account: Account, receiver: Receiver
) -> None:
    signed_in(person, server, account)
    person.goto(f"{server}/")
    person.get_by_role("link", name="Limits").click()
    person.get_by_role("link", name="Add a webhook").click()
    person.get_by_label("URL").fill(receiver.url)
    person.get_by_role("button", name="Add webhook").click()
    secret = person.locator("#secret").inner_text()
    person.get_by_role("link", name="I have copied it").click()
    person.get_by_role("button", name=f"Send a test to {receiver.url}").click()
    expect(person.get_by_text("A test is on its way")).to_be_visible()
    deliver()
    person.reload()
    expect(person.get_by_text("delivered", exact=True)).to_be_visible()
    assert receiver.verified(secret)[0]["type"] == "test"
    person.get_by_role("link", name=f"Remove {receiver.url}").click()
    person.get_by_label("Name").fill(receiver.url)
    person.get_by_role("button", name="Remove channel").click()
    expect(person.get_by_text("gets no more alerts")).to_be_visible()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_of_limits_fit(
    width: int,
    scheme: Any,
    browser: Browser,
    complaints: list[str],
    server: str,
    account: Account,
    receiver: Receiver,
    spend: Callable[..., None],
    tmp_path: Path,
) -> None:
    """Pictures of each page are left in pytest's temporary folder."""
    Account.objects.filter(pk=account.pk).update(
        daily_usd=10, monthly_usd=200, daily_tokens=1_000_000, requests_per_minute=60, concurrent_requests=5
    )
    key, _ = create_key(account, "production", limits=Limits(daily_usd=Decimal(2), monthly_tokens=50_000))
    create_key(account, "laptop", limits=Limits(requests_per_minute=5))
    spend(account, usd="8.25", held="0.75", tokens=420_000)
    spend(key, usd="2", tokens=31_234)
    add_webhook(account, receiver.url + "/a/rather/long/path/that/has/to/be/broken?token=0123456789", None)
    receiver.answers = [503]
    raise_alert(
        "budget.day.80", "The account Tests has spent 80 % of its USD today", "8.25 of 10.", account=account
    )
    deliver()
    now = datetime.now(UTC)
    alive = Request.objects.create(
        id=f"req_{account.pk:026d}", account=account, key=key, created_at=now, lease_until=now, door="native",
        owner="0123456789abcdef", mode="m", strategy="auto", routed_model="small",
        held_usd=Decimal("0.012345678"),
        held_tokens=4321, trace={},
    )  # fmt: skip
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = watched(context, complaints)
    user = signed_in(page, server, account)
    User.objects.filter(pk=user.pk).update(is_staff=True)
    for path in (
        "/limits/", f"/keys/{key.pk}/limits/", "/limits/channels/webhook/new/", "/keys/",
        "/operator/accounts/", f"/operator/accounts/{account.pk}/",
    ):  # fmt: skip
        answer = page.goto(server + path)
        assert answer is not None
        assert answer.status == 200
        page.screenshot(path=tmp_path / f"{path.strip('/').replace('/', '-')}.png", full_page=True)
        too_wide = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert too_wide == 0, f"{path} scrolls sideways by {too_wide} px"
    context.close()
    alive.delete()
    assert complaints == []
