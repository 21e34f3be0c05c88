"""A month of requests has the same sums in the ledger, on every page and in the export."""

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

from django.db.models import Sum
from django.test import Client
from django.utils import timezone

from accounts.models import Account
from billing.models import Request
from billing.reports.rollup import roll_up


def test_a_month_has_the_same_sums_everywhere(
    page: Client, account: Account, make_request: Callable[..., Request]
) -> None:
    for number in range(80):
        make_request(
            number,
            created_at=timezone.now() - timedelta(hours=8 * number, minutes=5),
            cost_usd=Decimal(number * 7_919 + 1).scaleb(-9),
            baseline_usd=Decimal(number * 15_001 + 3).scaleb(-9),
            served_model=f"model-{number % 9}",
        )
    roll_up(timezone.now())
    rows = Request.objects.filter(account=account)
    spent = sum((row.cost_usd or Decimal(0) for row in rows), Decimal(0))
    baseline = sum((row.baseline_usd or Decimal(0) for row in rows), Decimal(0))
    assert rows.aggregate(tokens=Sum("output_tokens"))["tokens"] == 80 * 200

    home = page.get("/", {"period": "30d"}).context
    assert (home["totals"].requests, home["totals"].spend_usd) == (80, spent)
    assert sum(home["traffic"].columns[0].values) == 80
    assert sum(home["spend"].columns[0].values) == spent
    assert sum(share.spend_usd for share in home["shares"]) == spent

    usage = page.get("/usage/", {"period": "30d"}).context
    assert usage["report"].total.cost_usd == spent
    assert sum(sum(column.values) for column in usage["chart"].columns if column.kind) == spent
    document = page.get("/usage/export.json", {"period": "30d"}).json()
    assert Decimal(str(document["total"]["cost_usd"])) == spent

    savings = page.get("/savings/", {"period": "30d"}).context
    assert (savings["savings"].paid, savings["savings"].baseline) == (spent, baseline)
    assert [column.values[-1] for column in savings["chart"].columns[:2]] == [spent, baseline]
