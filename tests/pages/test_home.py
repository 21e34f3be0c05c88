"""Home: the figures of a period against the one before, where requests went, what needs attention."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts.keys import create_key
from accounts.models import Account, ApiKey, User
from billing.models import Request
from billing.reports.queries import Sources
from billing.reports.rollup import roll_up
from billing.reports.summary import Summary
from routing.catalog.live import catalog
from routing.catalog.models import Model
from routing.pages.home import queries
from routing.pages.home.attention import findings
from routing.pages.periods import DAYS
from tests.pages.conftest import MakeRequest


def lately(account: Account) -> Summary:
    now = timezone.now()
    return Sources.now(account.pk, now - timedelta(days=1), now).summary(now - timedelta(days=1), now)


@pytest.fixture(params=["from the ledger", "rolled up"])
def roll(request: pytest.FixtureRequest) -> Callable[[], None]:
    """Rolls up what `make_request` wrote, or does not: figures are the same."""

    def roll() -> None:
        if request.param == "rolled up":
            later = timezone.now() + timedelta(hours=2)
            assert roll_up(later) > 0

    return roll


def test_visitors_learn_what_this_is_and_how_to_begin(client: Client, db: None) -> None:
    shown = client.get("/").content.decode()
    assert "The right model for every request" in shown
    assert "/accounts/signup/" in shown
    assert "/accounts/login/" in shown


def test_without_requests_home_leads_to_the_first_one(page: Client) -> None:
    assert 'href="/start"' in page.get("/").content.decode()


def test_a_provider_without_attempts_is_not_called_healthy(page: Client, make_request: MakeRequest) -> None:
    make_request(1)
    response = page.get("/")
    assert {health.status for health in response.context["providers"]} == {"not used yet"}
    assert "no attempts yet" in response.content.decode()


def test_totals_add_up_exactly(account: Account, make_request: MakeRequest, roll: Callable[[], None]) -> None:
    make_request(1, cost_usd=Decimal("0.000000001"), baseline_usd=Decimal("0.5"))
    make_request(2, cost_usd=Decimal("0.000000002"), baseline_usd=None)
    make_request(3, status="failed", cost_usd=Decimal(0), baseline_usd=None)
    make_request(4, status="aborted", cost_usd=Decimal(0), baseline_usd=None)
    roll()
    totals = queries.totals(lately(account))
    assert totals.requests == 4
    assert totals.spend_usd == Decimal("0.000000003")
    assert totals.saved_usd == Decimal("0.499999999")  # over those with a baseline
    assert totals.success_rate == pytest.approx(2 / 3)  # aborted by the caller is not a failure


def test_savings_can_be_negative(
    account: Account, make_request: MakeRequest, roll: Callable[[], None]
) -> None:
    make_request(1, cost_usd=Decimal("0.3"), baseline_usd=Decimal("0.1"))
    roll()
    assert queries.totals(lately(account)).saved_usd == Decimal("-0.2")


def test_percentiles_are_nearest_ranks(
    account: Account, make_request: MakeRequest, roll: Callable[[], None]
) -> None:
    for number, latency in enumerate([100, 200, 300, 400, 20_055]):
        make_request(number, latency_ms=latency)
    roll()
    totals = queries.totals(lately(account))
    assert (totals.p50_ms, totals.p95_ms) == (300, 20_000)  # above 10 s in steps of 100 ms


def test_another_accounts_rows_do_not_count(
    account: Account, stranger: Account, make_request: MakeRequest
) -> None:
    make_request(1, account=stranger, key=create_key(stranger, "theirs")[0])
    assert queries.totals(lately(account)) == queries.Totals()


def test_distribution_counts_what_answered(
    account: Account, make_request: MakeRequest, roll: Callable[[], None]
) -> None:
    for number in range(3):
        make_request(number)
    make_request(4, served_model="large")
    make_request(5, served_model="", status="failed")
    roll()
    shares = queries.distribution(lately(account))
    assert [(share.model, share.requests, share.share) for share in shares] == [
        ("small", 3, 0.75),
        ("large", 1, 0.25),
    ]


def test_slowest_and_most_expensive_come_first(
    account: Account, make_request: MakeRequest, roll: Callable[[], None]
) -> None:
    slow = make_request(1, latency_ms=90_000)
    dear = make_request(2, cost_usd=Decimal(7))
    roll()
    of = lately(account)
    slowest, most_expensive = queries.listed(account, of.slowest, of.most_expensive)
    assert [rows[0].id for rows in (slowest, most_expensive)] == [slow.id, dear.id]


def test_home_lists_the_slowest_or_the_most_expensive(page: Client, make_request: MakeRequest) -> None:
    slow = make_request(1, latency_ms=90_000)
    dear = make_request(2, cost_usd=Decimal(7))
    firsts = {
        top: page.get("/", {"top": top}).context["top_requests"][0].id for top in ("", "most_expensive")
    }
    assert firsts == {"": slow.id, "most_expensive": dear.id}
    shown = page.get("/?period=30d&top=most_expensive").content.decode()
    assert 'href="?period=30d&amp;top=slowest#top-requests"' in shown
    assert 'href="?period=90d&amp;top=most_expensive"' in shown


def test_a_month_is_read_from_rollups_but_for_its_edges(page: Client, make_request: MakeRequest) -> None:
    """Whole closed hours are never read from the ledger: a million rows would take seconds."""
    for number in range(40):
        make_request(number, created_at=timezone.now() - number * timedelta(hours=15))
    roll_up(timezone.now())
    with CaptureQueriesContext(connection) as captured:
        shown = page.get("/", {"period": "30d"}).content.decode()
    assert '<span class="stat-value">40</span>' in shown
    spans = [
        datetime.fromisoformat(until) - datetime.fromisoformat(since)
        for query in captured
        if 'FROM "billing_request"' in query["sql"]
        for since, until in re.findall(
            r"\"created_at\" >= '([^']+)'.+?\"created_at\" < '([^']+)'", query["sql"]
        )
    ]
    assert spans
    assert max(spans) <= timedelta(hours=2, minutes=10)


@given(
    st.sampled_from(list(DAYS)),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
)
def test_a_period_is_compared_with_one_as_long(name: str, now: datetime) -> None:
    period = queries.period_named(name, now)
    assert period.end - period.start == period.before_end - period.before_start
    assert period.before_end <= period.start or name == "today"
    assert period.before_start < period.start <= period.end == now


def test_30_days_are_the_same_days_on_home_usage_and_savings(
    page: Client, mine: tuple[Account, User], make_request: MakeRequest
) -> None:
    """Days of the account's zone, today included, whatever zone the viewer is in."""
    account, person = mine
    Account.objects.filter(pk=account.pk).update(time_zone="Pacific/Auckland")
    User.objects.filter(pk=person.pk).update(time_zone="America/New_York")
    today = timezone.now().astimezone(ZoneInfo("Pacific/Auckland")).replace(hour=0, minute=0, second=0)
    for number, ago in enumerate([timedelta(0), timedelta(days=29), timedelta(days=29, seconds=2)]):
        make_request(number, created_at=today - ago + timedelta(seconds=1))
    assert page.get("/", {"period": "30d"}).context["totals"].requests == 2
    assert page.get("/savings/", {"period": "30d"}).context["savings"].requests == 2
    assert page.get("/usage/").context["report"].total.requests == 2


@pytest.mark.parametrize("period", ["today", "7d", "30d", "nonsense"])
def test_every_period_shows(period: str, page: Client, make_request: MakeRequest) -> None:
    make_request(1, created_at=timezone.now() - timedelta(days=3))
    make_request(2, created_at=timezone.now() - timedelta(days=9))
    assert page.get("/", {"period": period}).status_code == 200


def test_home_asks_a_bounded_number_of_bounded_questions(
    page: Client, make_request: MakeRequest, django_assert_max_num_queries: Any
) -> None:
    for number in range(20):
        make_request(number)
    assert catalog.snapshot
    with django_assert_max_num_queries(25) as captured:
        page.get("/")
    for query in captured:
        if "billing_request" in query["sql"] and "LIMIT 1" not in query["sql"]:
            of_time = '"created_at" >=' in query["sql"] and '"account_id" =' in query["sql"]
            assert of_time or '"id" IN' in query["sql"]


def texts(account: Account) -> str:
    now = timezone.now()
    return " ".join(
        finding.text
        for finding in findings(account, catalog.snapshot, queries.budget_today(account, now), now)
    )


def test_many_failures_need_attention(account: Account, make_request: MakeRequest) -> None:
    for number in range(20):
        make_request(number, status="failed" if number < 4 else "succeeded")
    assert "4 of 20 requests failed" in texts(account)


def test_few_failures_do_not(account: Account, make_request: MakeRequest) -> None:
    for number in range(5):
        make_request(number, status="failed")
    assert "failed" not in texts(account)


def test_a_key_about_to_expire_needs_attention(account: Account, key: ApiKey) -> None:
    key.expires_at = timezone.now() + timedelta(days=2)
    key.save()
    assert "expires on" in texts(account)


def test_a_budget_nearly_spent_needs_attention(account: Account, make_request: MakeRequest) -> None:
    account.daily_usd = Decimal(1)
    make_request(1, cost_usd=Decimal("0.9"), created_at=timezone.now())
    assert "90% of today's budget of $1.00 is spent" in texts(account)


def test_held_money_counts_against_the_budget(account: Account, make_request: MakeRequest) -> None:
    account.daily_usd = Decimal(2)
    make_request(1, cost_usd=Decimal("0.5"), created_at=timezone.now())
    make_request(2, status="open", cost_usd=None, held_usd=Decimal("0.25"), created_at=timezone.now())
    budget = queries.budget_today(account, timezone.now())
    assert budget is not None
    assert (budget.spent_usd, budget.held_usd, budget.left_usd) == (
        Decimal("0.5"),
        Decimal("0.25"),
        Decimal("1.25"),
    )


def test_the_budget_shows_on_home(page: Client, account: Account, make_request: MakeRequest) -> None:
    account.daily_usd = Decimal(2)
    account.save()
    make_request(1)
    assert "Budget today" in page.get("/").content.decode()


def test_a_used_model_about_to_retire_needs_attention(account: Account, make_request: MakeRequest) -> None:
    model = Model.objects.first()
    assert model is not None
    Model.objects.filter(pk=model.pk).update(shutdown=timezone.now().date() + timedelta(days=9))
    make_request(1, served_model=model.pk)
    assert f"{model.pk}, which you used this week, will be retired on" in texts(account)


def test_a_named_model_about_to_retire_is_reported_with_its_successor(
    account: Account, make_request: MakeRequest
) -> None:
    days = (timezone.now().date() + timedelta(days=n) for n in (14, 20))
    for number, (model, day) in enumerate(zip(("gpt-5-nano", "gpt-4.1"), days, strict=True)):
        Model.objects.filter(pk=model).update(shutdown=day)
        make_request(number, mode="manual", requested_model=f"openai/{model}", served_model="small")
    now = timezone.now()
    reported = findings(account, catalog.snapshot, queries.budget_today(account, now), now)
    by_tone = {finding.tone: finding.text for finding in reported if "retired" in finding.text}
    assert "gpt-5-nano, which your requests ask for by name, will be retired on" in by_tone["warn"]
    assert by_tone["warn"].endswith("Its documented successor is gpt-6-luna.")
    assert "gpt-4.1, which your requests ask for by name" in by_tone["info"]


def test_a_model_that_only_smart_routing_was_offered_is_not_reported(
    account: Account, make_request: MakeRequest
) -> None:
    Model.objects.filter(pk="gpt-5-nano").update(shutdown=timezone.now().date() + timedelta(days=9))
    make_request(1, requested_model="", served_model="small")
    assert "retired" not in texts(account)


def test_unpriced_requests_need_attention(account: Account, make_request: MakeRequest) -> None:
    make_request(1, unpriced=True, cost_usd=None)
    assert "without a known price" in texts(account)
    assert Request.objects.filter(unpriced=True).count() == 1
