"""Charts: their tables have the ledger's figures, part by part, and the parts make up the period."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from accounts.models import Account
from billing.models import Request
from billing.reports.queries import Sources
from billing.reports.rollup import roll_up
from billing.reports.summary import merged
from routing.pages.chart import Chart, Column, Spark, sparkbars, sparkline
from routing.pages.home.queries import Period, period_named
from routing.pages.home.series import edges


@examples(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["today", "7d", "30d"]),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
    st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns"]),
)
def test_parts_make_up_the_period_and_begin_after_midnight(name: str, at: datetime, zone: str) -> None:
    period = period_named(name, at.replace(tzinfo=ZoneInfo(zone)))
    parts = edges(name, period)
    moments = [moment.timestamp() for moment in parts]
    assert (parts[0], parts[-1]) == (period.start, period.end)
    assert moments == sorted(moments)
    assert all(part.hour % {"today": 1, "7d": 6, "30d": 24}[name] == 0 for part in parts[1:-1])


def test_homes_chart_adds_up_to_its_tiles(page: Client, make_request: Callable[..., Request]) -> None:
    for number in range(6):
        at = timezone.now() - number * timedelta(hours=20)
        make_request(number, created_at=at, cost_usd=Decimal("0.5") + number)
    context = page.get("/", {"period": "7d"}).context
    requests, spend = context["traffic"].columns[0], context["spend"].columns[0]
    assert sum(requests.values) == context["totals"].requests == 6
    assert sum(spend.values) == context["totals"].spend_usd == Decimal(18)


def test_a_chart_is_drawn_from_its_table(page: Client, make_request: Callable[..., Request]) -> None:
    make_request(1, cost_usd=Decimal("1.234567891"))
    shown = page.get("/").content.decode()
    assert 'data-v="1.234567891" title="$1.234567891">$1.23</td>' in shown


def test_a_sparkline_of_one_value_or_none_is_empty() -> None:
    assert sparkline([1]) == sparkline([]) == sparkline([0, 0]) == sparkbars([0, 0]) == Spark()
    assert sparkline([0, 2]).line == "M0.0,23.0 L100.0,1.0"


def test_a_sparkline_has_gaps_and_a_dash_for_a_lone_value() -> None:
    assert sparkline([0, 2, None, None, 1]).line == "M0.0,23.0 L25.0,1.0 M96.0,12.0 L100.0,12.0"


def test_negative_bars_hang_below_the_line_of_zero() -> None:
    up, down = sparkbars([1, 0, 0, -1]).bars.split(" M")
    assert (up, down) == (
        "M0.0,12.0 L0.0,1.0 L18.8,1.0 L18.8,12.0 Z",
        "75.0,12.0 L75.0,23.0 L93.8,23.0 L93.8,12.0 Z",
    )


def test_a_band_has_one_entry_in_the_legend() -> None:
    columns = [
        Column("Low", "usd", [], "low"),
        Column("High", "usd", [], "high", key="90% range"),
        Column("Only in the table", "usd", []),
        Column("Paid", "usd", [], "line"),
    ]
    assert Chart("a", "A", "UTC", [], [], columns).keys == [(1, "90% range"), (3, "Paid")]


def test_failures_are_drawn_only_when_there_are_any(
    page: Client, make_request: Callable[..., Request]
) -> None:
    make_request(1)
    assert [words for _, words in page.get("/").context["traffic"].keys] == ["Requests per 6 hours"]
    make_request(2, status="failed")
    assert [words for _, words in page.get("/").context["traffic"].keys][1:] == ["Failed"]


def test_a_period_without_length_has_one_part() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert edges("today", Period(now, now, now, now)) == [now, now]


@pytest.mark.parametrize("period", ["today", "7d", "30d"])
def test_home_has_charts_for_every_period(
    page: Client, make_request: Callable[..., Request], period: str
) -> None:
    make_request(1)
    assert page.get("/", {"period": period}).content.decode().count("data-chart=") == 3


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("rolled", [False, True])
def test_parts_are_read_together_as_each_would_be_alone(
    account: Account, make_request: Callable[..., Request], zone: str, rolled: bool
) -> None:
    now = timezone.now().astimezone(ZoneInfo(zone))
    for number in range(60):
        at = now - number * timedelta(hours=2, minutes=37)
        failed = number % 7 == 0
        make_request(
            number, created_at=at, latency_ms=100 + number, status="failed" if failed else "succeeded"
        )
    if rolled:
        roll_up(timezone.now())
    parts = edges("7d", period_named("7d", now))
    sources = Sources.now(account.pk, parts[0], parts[-1])
    together = sources.summaries(parts)
    for (start, end), summary in zip(pairwise(parts), together, strict=True):
        alone = sources.summary(start, end)
        assert (sorted(map(str, summary.parts)), summary.latencies) == (
            sorted(map(str, alone.parts)),
            alone.latencies,
        )
    assert merged(together).slowest == sources.summary(parts[0], parts[-1]).slowest
