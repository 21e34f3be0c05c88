"""Savings: exact sums beside the baseline, negative when negative, with an interval over days."""

import re
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import Account, AuditEntry
from routing.learning.models import Outcome
from routing.pages.savings.chart import dots
from routing.pages.savings.queries import FEWEST_DAYS, savings
from routing.replay.what_if import Figure, WhatIf
from tests.pages.conftest import MakeRequest


def days(make_request: MakeRequest, *baselines: str) -> None:
    """A request on each of the last days, today first; each cost 0.001 USD."""
    for number, baseline in enumerate(baselines):
        make_request(
            number,
            created_at=timezone.now() - timedelta(days=number, minutes=1),
            cost_usd=Decimal("0.001"),
            baseline_usd=Decimal(baseline),
        )


def test_what_was_saved_is_the_baseline_less_what_was_paid(
    account: Account, make_request: MakeRequest
) -> None:
    days(make_request, "0.004", "0.002", "0.000000001")
    report = savings(account, 7, timezone.now())
    assert (report.compared, report.paid, report.baseline) == (3, Decimal("0.003"), Decimal("0.006000001"))
    assert report.saved == Decimal("0.003000001")
    assert report.low is None


def test_it_is_negative_when_it_is(page: Client, account: Account, make_request: MakeRequest) -> None:
    days(make_request, "0.0005")
    assert savings(account, 7, timezone.now()).saved == Decimal("-0.0005")
    text = page.get("/savings/").content.decode()
    assert "Paid more" in text
    assert "100% more than the baseline" in text
    assert "−$0.0005" in text


def test_enough_days_say_how_sure_it_is(page: Client, account: Account, make_request: MakeRequest) -> None:
    days(make_request, "0.004", "0.002", "0.001", "0.009", "0.003", "0.002")
    report = savings(account, 30, timezone.now())
    assert report.low is not None
    assert report.high is not None
    assert report.low < report.saved < report.high
    assert "with 95% confidence" in page.get("/savings/").content.decode()
    assert FEWEST_DAYS <= 6


def test_what_is_shown_adds_up(page: Client, make_request: MakeRequest) -> None:
    make_request(1, cost_usd=Decimal("0.00872"), baseline_usd=Decimal("0.13627"))
    text = page.get("/savings/").content.decode()
    for shown in (">$0.1276</data>", ">$0.0087</data>", ">$0.1363</data>", "93.6% less than the baseline"):
        assert shown in text
    assert (
        "a second range, by how much the days differ, needs 5 days with requests; there is 1 so far." in text
    )


def test_requests_without_a_baseline_or_price_are_left_out_and_counted(
    page: Client, make_request: MakeRequest
) -> None:
    days(make_request, "0.004")
    make_request(50, baseline_usd=None)
    make_request(51, cost_usd=None, unpriced=True)
    assert "1 of 3 requests have a price and a baseline" in page.get("/savings/").content.decode()


def test_quality_stands_beside_it(account: Account, make_request: MakeRequest) -> None:
    days(make_request, "0.004")
    row = make_request(50, status="failed", cost_usd=Decimal(0))
    make_request(51, status="aborted", cost_usd=Decimal(0))
    for source, score in (("feedback", 0.25), ("form", 1.0)):
        Outcome.objects.create(
            request=row, account=account, source=source, arm="a", model="a", skill="coding", expected=0.5,
            score=score, at=timezone.now() - timedelta(minutes=1),
        )  # fmt: skip
    quality = savings(account, 7, timezone.now()).quality
    assert quality.answered == pytest.approx(0.5)
    assert (quality.feedback, quality.feedback_count, quality.form, quality.form_count) == (0.25, 1, 1.0, 1)


def test_before_the_first_request_it_says_what_it_is_for(page: Client) -> None:
    shown = page.get("/savings/").content.decode()
    assert "Nothing to compare yet" in shown
    assert 'href="/start">Send a request</a>' in shown
    assert "no answered requests" in page.get("/savings/strategies").content.decode()


def test_another_accounts_are_not_in_it(page: Client, stranger: Account, make_request: MakeRequest) -> None:
    from accounts.keys import create_key

    make_request(account=stranger, key=create_key(stranger, "theirs")[0])
    shown = page.get("/savings/").content.decode()
    assert "Nothing to compare yet" in shown
    assert 'href="/start">Send a request</a>' in shown


def test_as_json(page: Client, make_request: MakeRequest) -> None:
    days(make_request, "0.004", "0.002")
    report = page.get("/savings/export.json?period=7d").json()
    assert report["saved_usd"] == 0.004
    assert report["saved_interval_usd"] is None
    assert report["baseline_model"] is None
    assert set(report["strategies"]) == {"auto", "balanced", "cost", "quality", "speed"}


@pytest.mark.parametrize("period", ["today", "7d", "90d", "x", ""])
def test_it_asks_the_database_as_often_however_much_there_is(
    page: Client, make_request: MakeRequest, period: str
) -> None:
    counts = []
    for number in (1, 30):
        make_request(number)
        with CaptureQueriesContext(connection) as queries:
            assert page.get(f"/savings/?period={period}").status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def test_a_sum_of_both_rules_says_so_and_has_the_interval_of_the_forecasts(
    page: Client, account: Account, make_request: MakeRequest
) -> None:
    days(make_request, "0.004")
    make_request(
        50, cost_usd=Decimal("0.001"), baseline_version=2, baseline_usd=Decimal("0.010"),
        baseline_low_usd=Decimal("0.003"), baseline_high_usd=Decimal("0.030"),
    )  # fmt: skip
    report = savings(account, 7, timezone.now())
    assert (report.compared, report.by_forecast, report.by_older_rule) == (2, 1, 1)
    assert (report.saved_low, report.saved, report.saved_high) == (
        Decimal("0.005"), Decimal("0.012"), Decimal("0.032"),
    )  # fmt: skip
    text = page.get("/savings/").content.decode()
    assert "The sum mixes two rules: 1 of these requests are older" in text
    exported = page.get("/savings/export.json?period=7d").json()
    assert exported["forecast_interval_usd"] == [0.005, 0.032]
    assert exported["requests_by_version"] == {"1": 1, "2": 1}
    assert "1 requests by the" in page.get("/").content.decode()


def without_tokens(answer: HttpResponse) -> str:
    """The page without its CSRF tokens, which differ each time."""
    return re.sub(r'(name="csrfmiddlewaretoken" value=)"\w+"', r"\1", answer.content.decode())


def test_the_strategies_are_a_part_for_htmx_and_else_a_whole_page(
    page: Client, make_request: MakeRequest
) -> None:
    make_request(1)
    part = without_tokens(page.get("/savings/strategies", headers={"hx-request": "true"}))
    assert "<html" not in part
    whole = without_tokens(page.get("/savings/strategies"))
    assert "<title>What each strategy would have done" in whole
    assert part.strip() in whole


def test_the_chart_sums_up_to_the_tiles(page: Client, account: Account, make_request: MakeRequest) -> None:
    days(make_request, "0.004", "0.002", "0.001")
    context = page.get("/savings/").context
    paid, baseline = context["chart"].columns[:2]
    assert paid.values[-1] == context["savings"].paid
    assert baseline.values[-1] == context["savings"].baseline
    values = [value for value in paid.values if value is not None]
    assert values == sorted(values)
    assert len(values) < len(paid.values)  # the days before the first request have none


def test_a_strategy_becomes_the_default_and_the_audit_says_so(page: Client, account: Account) -> None:
    assert page.post("/savings/strategy", {"strategy": "cost"}).status_code == 302
    account.refresh_from_db()
    assert account.strategy == "cost"
    entry = AuditEntry.objects.get(account=account, action="settings.changed")
    assert entry.detail == {"strategy": ["auto", "cost"]}
    assert page.post("/savings/strategy", {"strategy": "best"}).status_code == 400


def what_if(cost_usd: float, success: float, paid_usd: float = 0.02, success_was: float = 0.8) -> WhatIf:
    def figure(value: float) -> Figure:
        return Figure(value, value, value)

    return WhatIf(
        requests=9, left_out=0, same=1.0, alone=0.0, paid_usd=paid_usd, cost_usd=figure(cost_usd),
        cost_difference_usd=figure(0), latency_ms=figure(1), success=figure(success),
        success_was=success_was, judged=0,
    )  # fmt: skip


def test_labels_of_close_dots_do_not_cover_each_other(db: None) -> None:
    results = [("cost", what_if(0.01, 0.9, 0.0101, 0.901)), ("quality", what_if(0.0102, 0.9))]
    picture = dots(results, own="cost")
    assert picture is not None
    heights = sorted(dot.label_y for dot in picture.dots)
    assert all(upper - lower >= 15 for lower, upper in pairwise(heights))


def test_dots_on_one_spot_share_a_label(db: None) -> None:
    result = what_if(0.01, 0.9)
    picture = dots([("cost", result), ("speed", result)], own="speed")
    assert picture is not None
    assert [(dot.name, dot.kind) for dot in picture.dots] == [
        ("cost, speed", "is-own"), ("what you paid", "is-paid"),
    ]  # fmt: skip
    assert all(0 <= dot.x <= picture.width and 0 <= dot.y <= picture.height for dot in picture.dots)


@pytest.mark.parametrize(("cost_usd", "ticks"), [
    (0.0039, ["$0.00", "$0.001", "$0.002", "$0.003", "$0.004"]),
    (0.012, ["$0.00", "$0.005", "$0.01", "$0.015"]),
])  # fmt: skip
def test_axes_of_strategies_have_round_numbers(db: None, cost_usd: float, ticks: list[str]) -> None:
    picture = dots([("cost", what_if(cost_usd, 0.9, cost_usd / 2, 0.8))], own="cost")
    assert picture is not None
    assert [tick.text for tick in picture.x_ticks] == ticks
    assert [tick.text for tick in picture.y_ticks] == ["75%", "80%", "85%", "90%", "95%"]
