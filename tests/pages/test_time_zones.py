"""Times on pages: moments in the viewer's time zone, limits reset at midnight of the account's."""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template import Context, Template
from django.test import Client
from django.utils import timezone

from accounts.keys import create_key
from accounts.models import Account, User
from accounts.templatetags.components import MissingTimeZone
from billing.statements.models import Statement
from tests.pages.conftest import MakeRequest

pytestmark = pytest.mark.django_db

ZONES = ["America/New_York", "Pacific/Auckland"]


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, mine: tuple[Account, User]) -> ZoneInfo:
    """Account and person in the same zone, with a limit of 2 USD a day."""
    settle_in(mine, account_zone=request.param, viewer_zone=request.param)
    return ZoneInfo(request.param)


def settle_in(mine: tuple[Account, User], account_zone: str, viewer_zone: str) -> None:
    account, person = mine
    account.time_zone, account.daily_usd = account_zone, Decimal(2)
    account.save()
    person.time_zone = viewer_zone
    person.save()


def html_of(page: Client, path: str) -> str:
    return page.get(path).content.decode()


def text_of(page: Client, path: str) -> str:
    return unescape(" ".join(re.sub(r"<[^>]+>", " ", html_of(page, path)).split()))


def next_midnight(zone: ZoneInfo) -> datetime:
    tomorrow = datetime.now(zone).date() + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=zone)


def test_home_says_when_the_budget_resets(page: Client, zone: ZoneInfo, make_request: MakeRequest) -> None:
    make_request(1)
    assert f"Budget today until 00:00 {zone.key}" in text_of(page, "/")
    assert f"{next_midnight(zone).astimezone(ZoneInfo('UTC')):%Y-%m-%d %H:%M:%S} UTC" in html_of(page, "/")


def test_home_lists_requests_in_the_viewers_zone(
    page: Client, zone: ZoneInfo, make_request: MakeRequest
) -> None:
    row = make_request(1)
    shown = f"{row.created_at.astimezone(zone):%-d %b, %H:%M}"
    for top in ("slowest", "most_expensive"):
        assert shown in text_of(page, f"/?top={top}").partition("Top requests")[2]


def test_the_notice_of_a_spent_budget_names_the_accounts_zone(
    page: Client, zone: ZoneInfo, make_request: MakeRequest
) -> None:
    make_request(1, cost_usd=Decimal(3), created_at=timezone.now())
    text = text_of(page, "/")
    assert f"Today's budget of $2.00 is spent: new requests are refused until 00:00 {zone.key}" in text


def test_limits_reset_at_midnight_in_the_viewers_zone(page: Client, zone: ZoneInfo) -> None:
    text = text_of(page, "/limits/")
    assert f"days begin at midnight in {zone.key}" in text
    assert f"{next_midnight(zone):%-d %b, %H:%M}" in text


def test_limits_of_a_key_reset_at_the_same_time(page: Client, zone: ZoneInfo, account: Account) -> None:
    key, _ = create_key(account, "laptop")
    key.daily_usd = Decimal(1)
    key.save()
    assert text_of(page, "/limits/").count(f"{next_midnight(zone):%-d %b, %H:%M}") == 2


def test_the_key_form_names_the_accounts_zone(page: Client, zone: ZoneInfo) -> None:
    assert f"Days begin at midnight in {zone.key}." in text_of(page, "/keys/new/")


def test_a_viewer_abroad_sees_the_reset_in_their_own_zone(mine: tuple[Account, User], page: Client) -> None:
    settle_in(mine, account_zone="America/New_York", viewer_zone="Pacific/Auckland")
    reset = next_midnight(ZoneInfo("America/New_York")).astimezone(ZoneInfo("Pacific/Auckland"))
    assert f"{reset:%-d %b, %H:%M}" in text_of(page, "/limits/")


def test_a_viewer_abroad_sees_the_accounts_midnight_on_home(
    mine: tuple[Account, User], page: Client, make_request: MakeRequest
) -> None:
    settle_in(mine, account_zone="America/New_York", viewer_zone="Pacific/Auckland")
    make_request(1, cost_usd=Decimal(3), created_at=timezone.now())
    text = text_of(page, "/")
    assert "Budget today until 00:00 America/New_York" in text
    assert "refused until 00:00 America/New_York" in text


def test_usage_names_the_first_day_in_the_accounts_zone(page: Client, zone: ZoneInfo) -> None:
    first = datetime.now(zone).date() - timedelta(days=29)
    assert f"Totals since {first:%-d %b %Y}" in html_of(page, "/usage/")


def test_an_expiring_key_is_dated_in_the_viewers_zone(
    page: Client, zone: ZoneInfo, account: Account, make_request: MakeRequest
) -> None:
    make_request(1)
    key, _ = create_key(account, "laptop")
    key.expires_at = next_midnight(zone) + timedelta(hours=1)
    key.save()
    assert f"expires on {next_midnight(zone):%-d %B %Y}" in text_of(page, "/")


def test_a_statement_shows_the_dates_of_its_own_zone(mine: tuple[Account, User], page: Client) -> None:
    settle_in(mine, account_zone="Pacific/Auckland", viewer_zone="America/New_York")
    zone = ZoneInfo("Pacific/Auckland")
    Statement.objects.create(
        account=mine[0],
        number="2026-09-1",
        time_zone=zone.key,
        starts_at=datetime(2026, 9, 1, tzinfo=zone),
        ends_at=datetime(2026, 10, 1, tzinfo=zone),
        made_at=datetime(2026, 10, 1, 1, tzinfo=zone),
        requests=0,
        usage_usd=0,
        total_usd=0,
    )
    assert "1 Sep – 30 Sep" in text_of(page, "/statements/2026-09-1/")


@pytest.mark.parametrize("viewer", [{}, {"user": AnonymousUser()}, {"user": None}])
def test_a_time_without_a_viewer_raises(viewer: dict[str, object]) -> None:
    template = Template("{% load components %}{% time when %}")
    with pytest.raises(MissingTimeZone):
        template.render(Context({"when": timezone.now(), **viewer}))


def test_a_time_with_an_explicit_zone_needs_no_viewer() -> None:
    template = Template("{% load components %}{% time when 'H:i' zone='Asia/Tokyo' %}")
    noon = datetime(2026, 1, 31, 12, tzinfo=ZoneInfo("UTC"))
    assert "21:00" in template.render(Context({"when": noon}))
