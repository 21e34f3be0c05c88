"""Budget alerts: at 50, 80 and 100 % of every limit, once a threshold, window and limit."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import Account, ApiKey
from billing.alerts.budgets import raise_due
from billing.alerts.models import Alert
from billing.models import Window
from tests.alerts.conftest import make_account

pytestmark = pytest.mark.django_db
Spend = Callable[..., None]


def raised_kinds(at: datetime | None = None) -> list[str]:
    """The kinds of alerts that one more run of the job raises."""
    before = set(Alert.objects.values_list("pk", flat=True))
    raise_due(at or datetime.now(UTC))
    return sorted(Alert.objects.exclude(pk__in=before).values_list("kind", flat=True))


@pytest.mark.parametrize(
    ("usd", "kinds"),
    [
        ("4.999999999", []),
        ("5", ["budget.day.50"]),
        ("7.99", ["budget.day.50"]),
        ("8", ["budget.day.80"]),
        ("9.9", ["budget.day.80"]),
        ("9.95", ["budget.day.100"]),  # no answer fits in what is left
        ("10", ["budget.day.100"]),
        ("12", ["budget.day.100"]),
    ],
)
def test_a_reached_threshold_raises_an_alert(
    account: Account, spend: Spend, usd: str, kinds: list[str]
) -> None:
    spend(account, usd=usd)
    assert raised_kinds() == kinds
    assert raised_kinds() == []


def test_each_threshold_is_alerted_once(account: Account, spend: Spend) -> None:
    kinds = []
    for usd in ("1", "5", "6", "8", "9", "10", "10"):
        spend(account, usd=usd)
        kinds += raised_kinds()
    assert kinds == ["budget.day.50", "budget.day.80", "budget.day.100"]


def test_the_alert_says_what_is_spent_left_and_when_it_resets(account: Account, spend: Spend) -> None:
    spend(account, usd="8.25", held="0.5")
    raised_kinds()
    alert = Alert.objects.get()
    window = Window.objects.get(period="day")
    assert alert.account == account
    assert alert.subject == "The account mine has spent 80 % of its USD today"
    assert "has spent 8.25 of its 10 USD today" in alert.message
    assert alert.severity == "warning"
    assert alert.detail is not None
    assert alert.detail == {
        "scope": "account", "scope_id": account.pk, "period": "day", "unit": "usd", "threshold": 80,
        "limit": "10", "spent": "8.25", "held": "0.5", "left": "1.25",
        "resets_at": f"{window.ends_at:%Y-%m-%dT%H:%M:%SZ}",
    }  # fmt: skip


def test_a_new_day_and_a_new_limit_raise_new_alerts(account: Account, spend: Spend) -> None:
    spend(account, usd=8)
    assert raised_kinds() == ["budget.day.80"]
    account.daily_usd = Decimal(16)
    account.save()
    assert raised_kinds() == ["budget.day.50"]
    spend(account, usd=0)
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    assert raised_kinds(tomorrow) == []
    assert not Alert.objects.filter(resolved_at=None).exists()


def test_every_kind_of_limit_is_looked_at(account: Account, key: ApiKey, spend: Spend) -> None:
    Account.objects.filter(pk=account.pk).update(
        daily_usd=None, monthly_usd=10, daily_tokens=1000, monthly_tokens=2000
    )
    ApiKey.objects.filter(pk=key.pk).update(daily_tokens=100, monthly_usd=1)
    spend(account, usd=5, tokens=1000)
    spend(key, usd="0.8", tokens=100)
    assert raised_kinds() == [
        "budget.day.100", "budget.day.100", "budget.month.50", "budget.month.50", "budget.month.80",
    ]  # fmt: skip
    assert Alert.objects.filter(subject__startswith="The key production (…").count() == 2


def test_a_plans_limits_count_where_the_account_has_none(spend: Spend) -> None:
    account = make_account("newcomer", plan="evaluation")  # 0.17 USD and 20,000 tokens a day
    spend(account, usd="0.16", tokens=10_000)
    assert raised_kinds() == ["budget.day.50", "budget.day.80"]


def test_windows_of_a_former_time_zone_raise_no_alert(account: Account, spend: Spend) -> None:
    spend(account, usd=9)
    Account.objects.filter(pk=account.pk).update(time_zone="Asia/Tokyo")
    assert raised_kinds() == []


def test_the_reset_time_is_in_the_accounts_time_zone(spend: Spend) -> None:
    account = make_account("kiwis", daily_usd=Decimal(10), time_zone="Pacific/Auckland")
    spend(account, usd=10)
    raise_due(datetime.now(UTC))
    alert = Alert.objects.get(kind="budget.day.100")
    assert re.search(r"resets at \d{4}-\d\d-\d\d 00:00 \(Pacific/Auckland\)", alert.message)


def test_a_limit_of_nothing_and_no_limit_are_quiet(spend: Spend) -> None:
    spend(make_account("closed", daily_usd=Decimal(0)), usd=1)
    spend(make_account("free"), usd=1000)
    assert raised_kinds() == []


def test_many_windows_take_few_queries(spend: Spend, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        spend(make_account(f"account{number}", daily_usd=Decimal(10)), usd=1)
    with django_assert_max_num_queries(8):
        raise_due(datetime.now(UTC))
