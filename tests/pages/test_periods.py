"""Home, Usage and Savings offer the same periods, under the same names and in the same place."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from routing.pages.savings.queries import savings
from tests.pages.conftest import MakeRequest

SHARED = [("today", "Today"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days")]


def offered(page: Client, path: str) -> list[tuple[str, str]]:
    shown = page.get(path).content.decode()
    picker = shown.partition('aria-label="Period"')[2].partition("</nav>")[0]
    return re.findall(r'href="\?period=(\w+)[^"]*"[^>]*>([^<]+)</a>', picker)


@pytest.mark.parametrize(
    ("path", "further"), [("/", []), ("/savings/", []), ("/usage/", [("12m", "12 months")])]
)
def test_the_same_periods_are_offered(
    path: str, further: list[tuple[str, str]], page: Client, make_request: MakeRequest
) -> None:
    make_request(1)
    assert offered(page, path) == [*SHARED, *further]


@pytest.mark.parametrize("name", [name for name, _ in SHARED])
def test_a_period_has_the_same_requests_and_cost_on_each(
    name: str, page: Client, make_request: MakeRequest
) -> None:
    for number, ago in enumerate([0, 3, 20, 60, 200]):
        make_request(number, created_at=timezone.now() - timedelta(days=ago, seconds=1))
    number_of = {"today": 1, "7d": 2, "30d": 3, "90d": 4}[name]
    cost = number_of * Decimal("0.00018")
    home, usage = (page.get(path, {"period": name}).context for path in ("/", "/usage/"))
    saved = page.get("/savings/", {"period": name}).context["savings"]
    assert (home["totals"].requests, home["totals"].spend_usd) == (number_of, cost)
    assert (usage["report"].total.requests, usage["report"].total.cost_usd) == (number_of, cost)
    assert (saved.requests, saved.paid) == (number_of, cost)


def test_savings_of_today_are_drawn_by_hour(account: Account, make_request: MakeRequest) -> None:
    now = timezone.now().replace(hour=13, minute=30)
    for number in (1, 2):
        make_request(number, created_at=now - timedelta(hours=4 * number))
    report = savings(account, 1, now)
    assert (report.per, len(report.starts), report.days_compared) == ("hour", 14, 1)
    assert [at for at, part in enumerate(report.parts) if part.compared] == [5, 9]
    assert report.low is None


def test_a_single_day_is_not_compared_with_other_days(page: Client, make_request: MakeRequest) -> None:
    make_request(1, created_at=timezone.now())
    assert "needs 5 days with requests" in page.get("/savings/?period=7d").content.decode()
    assert "needs 5 days with requests" not in page.get("/savings/?period=today").content.decode()


def test_usage_keeps_the_grouping_when_the_period_changes(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    shown = page.get("/usage/?by=skill&from=2026-01-01&until=2026-01-03").content.decode()
    assert 'href="?period=7d&amp;by=skill"' in shown
