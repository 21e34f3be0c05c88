"""The usage page: exact sums by day, week and month of the account's zone, by what they were spent on."""

import csv
import io
import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.keys import create_key
from accounts.models import Account
from billing.reports.rollup import roll_up
from routing.pages.usage.chart import chart
from routing.pages.usage.queries import Range, usage
from tests.pages.conftest import MakeRequest

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def by(account: Account, group: str, per: str = "30d", tag: str = "") -> dict[str, Any]:
    report = usage(account, per, group, tag, NOW)
    return {group.name: group.total.cost_usd for group in report.groups}


@pytest.mark.parametrize("rolled", [False, True])
@pytest.mark.parametrize(
    ("zone", "midnight"),
    [
        ("Asia/Kolkata", "18:30"),  # +05:30: midnight there is within an hour of ours, which rollups are by
        ("Asia/Kathmandu", "18:15"),
        ("Australia/Eucla", "15:15"),
        ("America/St_Johns", "03:30"),
        ("Pacific/Chatham", "10:15"),  # +13:45 in its summer
    ],
)
def test_a_day_begins_at_the_midnight_of_the_accounts_zone(
    account: Account, make_request: MakeRequest, zone: str, midnight: str, rolled: bool
) -> None:
    account.time_zone = zone
    begin = datetime.fromisoformat(f"2026-11-18T{midnight}:00+00:00")
    day = begin.astimezone(ZoneInfo(zone)).date()
    make_request(1, created_at=begin - timedelta(microseconds=1), cost_usd=Decimal("0.000000001"))
    make_request(2, created_at=begin, cost_usd=Decimal("0.000000002"))
    make_request(3, created_at=begin + timedelta(hours=1), cost_usd=Decimal("0.000000004"))
    if rolled:
        assert roll_up(NOW) == 2
    report = usage(account, "30d", "model", "", NOW)
    (small,) = report.groups
    costs = {
        bucket.day: sums.cost_usd
        for bucket, sums in zip(report.buckets, small.by_bucket, strict=True)
        if sums.requests
    }
    assert costs == {day - DAY: Decimal("0.000000001"), day: Decimal("0.000000006")}


def test_groups_add_up_to_the_total_whatever_they_are(account: Account, make_request: MakeRequest) -> None:
    other = create_key(account, "other")[0]
    make_request(1, created_at=NOW - DAY, cost_usd=Decimal("0.1"), metadata={"team": "a"})
    make_request(2, created_at=NOW - 2 * DAY, cost_usd=Decimal("0.2"), served_model="large", key=other)
    make_request(3, created_at=NOW - 3 * DAY, cost_usd=Decimal("0.4"), strategy="cost", query_type="coding")
    assert by(account, "model") == {"small": Decimal("0.5"), "large": Decimal("0.2")}
    assert by(account, "strategy") == {"auto": Decimal("0.3"), "cost": Decimal("0.4")}
    assert by(account, "skill") == {"conversation": Decimal("0.3"), "coding": Decimal("0.4")}
    assert by(account, "tag", tag="team") == {"a": Decimal("0.1"), "without the tag": Decimal("0.6")}
    assert sorted(by(account, "key").values()) == [Decimal("0.2"), Decimal("0.5")]


def test_further_tag_values_are_one_group(account: Account, make_request: MakeRequest) -> None:
    for number in range(25):
        make_request(
            number, created_at=NOW - DAY, cost_usd=Decimal(number + 1), metadata={"job": f"j{number}"}
        )
    costs = by(account, "tag", tag="job")
    assert costs["others"] == sum(range(1, 6))
    assert costs["j24"] == 25
    assert sum(costs.values()) == sum(range(1, 26))


def test_weeks_begin_on_monday_and_months_on_the_first(account: Account) -> None:
    last = NOW.date()
    weeks = usage(account, Range.of_days(last - timedelta(days=99), last), "model", "", NOW).buckets
    assert len(weeks) == 15
    assert {bucket.day.isoweekday() for bucket in weeks} == {1}
    months = usage(account, "12m", "model", "", NOW).buckets
    assert [months[0].day.isoformat(), months[-1].day.isoformat()] == ["2025-12-01", "2026-11-01"]
    assert all(month.end == next_.start for month, next_ in itertools.pairwise(months))


def test_the_time_before_is_as_long_as_this_one_until_now(
    account: Account, make_request: MakeRequest
) -> None:
    make_request(
        1, created_at=NOW - 30 * DAY - timedelta(minutes=1), cost_usd=Decimal(3)
    )  # at this hour then
    make_request(2, created_at=NOW - 30 * DAY + timedelta(minutes=1), cost_usd=Decimal(4))  # later that day
    assert usage(account, "30d", "model", "", NOW).before.cost_usd == 3


def test_the_chart_has_the_costs_of_each_group_and_all_of_them(
    account: Account, make_request: MakeRequest
) -> None:
    make_request(1, created_at=NOW - DAY, cost_usd=Decimal(1))
    make_request(2, created_at=NOW - DAY, cost_usd=Decimal(3), served_model="large")
    drawn = chart(usage(account, "7d", "model", "", NOW), "UTC", str.title)
    assert drawn is not None
    assert [(column.title, column.values[-2]) for column in drawn.columns] == [
        ("Large", 3), ("Small", 1), ("Together", 4), ("Requests", 2),
    ]  # fmt: skip


def test_many_groups_are_six_layers(account: Account, make_request: MakeRequest) -> None:
    for number in range(9):
        make_request(number, created_at=NOW - DAY, served_model=f"m{number}", cost_usd=Decimal(1 + number))
    drawn = chart(usage(account, "30d", "model", "", NOW), "UTC", str)
    assert drawn is not None
    layers = [column for column in drawn.columns if column.kind]
    assert [column.title for column in layers] == ["m8", "m7", "m6", "m5", "m4", "Others"]
    assert sum(layers[-1].values) == 1 + 2 + 3 + 4


def test_the_first_day_is_shown_by_hour(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    assert page.get("/usage/").context["report"].per == "hour"
    make_request(2, created_at=NOW - 400 * DAY)
    assert page.get("/usage/").context["report"].per == "day"


@pytest.mark.parametrize(
    ("days", "per", "buckets"),
    [(1, "hour", 24), (2, "hour", 48), (3, "day", 3), (93, "week", 14), (400, "month", 14)],
)
def test_chosen_days_are_divided_to_fit_a_chart(account: Account, days: int, per: str, buckets: int) -> None:
    last = (NOW - 10 * DAY).date()
    report = usage(account, Range.of_days(last - timedelta(days=days - 1), last), "model", "", NOW)
    assert (report.per, len(report.buckets)) == (per, buckets)
    assert all(first.end == second.start for first, second in itertools.pairwise(report.buckets))


def test_chosen_days_are_counted_whole(page: Client, make_request: MakeRequest) -> None:
    for number, day in enumerate(("2026-03-01", "2026-03-02", "2026-03-03", "2026-03-04")):
        at = datetime.fromisoformat(f"{day}T23:59:59+00:00")
        make_request(number, created_at=at, cost_usd=Decimal(1))
    document = page.get("/usage/export.json", {"from": "2026-03-02", "until": "2026-03-03"}).json()
    assert document["total"]["requests"] == 2
    assert [row.get("day") or row["hour"][:10] for row in document["rows"]] == ["2026-03-02", "2026-03-03"]


def test_known_tags_are_offered(page: Client, make_request: MakeRequest) -> None:
    make_request(1, metadata={"team": "a", "app": "x"})
    make_request(2, metadata={"team": "b"})
    assert [tag for tag, _ in page.get("/usage/", {"by": "tag"}).context["tags"]] == ["team", "app"]


def test_the_page_links_to_the_requests_behind_a_figure(page: Client, make_request: MakeRequest) -> None:
    make_request(1, served_model="la&rge")
    shown = page.get("/usage/").content.decode()
    assert "/requests/?model=la%26rge&amp;since=" in shown
    assert "$0.00018" in shown


@pytest.mark.parametrize(
    "query", ["", "?by=tag", "?by=tag&tag=te%22am", "?period=90d&by=key", "?period=x&by=y"]
)
def test_every_view_shows(page: Client, make_request: MakeRequest, query: str) -> None:
    make_request(1, metadata={'te"am': "a"})
    assert page.get(f"/usage/{query}").status_code == 200
    assert page.get(f"/usage/export.json{query}").json()["total"]["requests"] == 1


def test_the_export_is_exact_and_harmless(page: Client, make_request: MakeRequest) -> None:
    make_request(1, cost_usd=Decimal("0.000000001"), served_model="=1+1")
    (row,) = csv.DictReader(io.StringIO(page.get("/usage/export.csv").content.decode()))
    assert (row["model"], row["cost_usd"], row["requests"]) == ("'=1+1", "0.000000001", "1")


def test_another_accounts_money_does_not_show(
    page: Client, account: Account, stranger: Account, make_request: MakeRequest
) -> None:
    make_request(1, account=stranger, key=create_key(stranger, "theirs")[0])
    assert page.get("/usage/export.json").json()["rows"] == []
    assert by(account, "key") == {}


def test_the_number_of_questions_does_not_grow_with_requests(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    page.get("/usage/")
    with CaptureQueriesContext(connection) as few:
        page.get("/usage/")
    for number in range(2, 40):
        make_request(number, served_model=f"m{number}")
    with CaptureQueriesContext(connection) as many:
        page.get("/usage/")
    assert len(many) == len(few) <= 60
