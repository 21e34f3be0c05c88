"""A provider's failure, measured and counted by the real job, in a real browser."""

import threading
from datetime import UTC, datetime

import httpx
from django.db import connection
from playwright.sync_api import Page, expect

from accounts.models import Account
from billing.models import Attempt
from routing.catalog.availability import roll_up
from tests.conftest import Simulator
from tests.journeys.test_limits import signed_in
from tests.site_map import send


def run_job() -> None:
    """In a thread, because Playwright runs an event loop in this one."""

    def work() -> None:
        roll_up(datetime.now(UTC))
        connection.close()

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()


def test_a_failure_shows_on_home_and_on_the_models_page(
    person: Page, server: str, account: Account, http: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=1)
    send(http)
    attempt = Attempt.objects.get(request__account=account, outcome="failed")
    run_job()
    signed_in(person, server, account)
    person.goto(server)
    strip = person.get_by_role("img", name=f"{attempt.provider}, last 24 hours")
    expect(strip.locator("span")).to_have_count(24)
    person.get_by_text("Availability as a table").click()
    table = person.get_by_role("table", name="Availability of each provider by day")
    expect(table.get_by_role("cell", name=attempt.provider).first).to_be_visible()
    person.goto(f"{server}/models/{attempt.model}")
    expect(person.get_by_role("heading", name="Availability, last 30 days")).to_be_visible()
    expect(person.get_by_text("attempts did not fail")).to_be_visible()
