"""A key and those that replace it by rotation have one budget and one rate, in the overlap and after it."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.caller import Limits
from accounts.keys import create_key, rotate
from accounts.models import ApiKey
from billing.alerts.budgets import raise_due
from billing.alerts.models import Alert
from billing.checks.audit import audit
from billing.ledger.rate_limits import RateRule, figures_of
from billing.ledger.sweeper import sweep
from billing.ledger.windows import totals
from billing.models import Request, Window
from tests.door_client import NativeClient, Reply

HOUR = timedelta(hours=1)
CAP = Decimal("0.0004")


class Key:
    """A key and its client."""

    def __init__(self, server: str, key: ApiKey, secret: str) -> None:
        self.row, self.http = key, httpx.Client(base_url=server, timeout=30)
        self.http.headers["Authorization"] = f"Bearer {secret}"
        self._server = server

    def ask(self) -> Reply:
        return NativeClient(self.http, streamed=False).ask(
            model="gpt-4.1", max_output_tokens=30, fallback=False
        )

    def rotated(self, overlap: timedelta) -> "Key":
        return Key(self._server, *rotate(self.row, overlap))

    def today(self) -> dict[str, Any]:
        today: dict[str, Any] = self.http.get("/api/v1/key").json()["data"]["today"]
        return today


@pytest.fixture
def server_key(server: str, account: Any) -> Any:
    def make(**limits: Any) -> Key:
        return Key(server, *create_key(account, "rotor", limits=Limits(**limits)))

    return make


def is_refused(reply: Reply) -> bool:
    return reply.status == 429


def broken(account: Any) -> list[str]:
    checks = audit(datetime.now(UTC), account_id=account.pk).checks
    return [check.name for check in checks if check.violations]


@pytest.mark.parametrize("overlap", [timedelta(0), HOUR], ids=["at once", "overlap"])
def test_a_key_at_its_cap_stays_there_when_it_is_rotated(
    server_key: Any, account: Any, overlap: timedelta
) -> None:
    old = server_key(daily_usd=CAP)
    while not is_refused(old.ask()):
        assert Request.objects.filter(account=account).count() < 20
    spent = old.today()["spent_usd"]
    new = old.rotated(overlap)
    assert is_refused(new.ask())
    assert new.today()["spent_usd"] == spent > 0
    assert is_refused(new.rotated(overlap).ask()), "rotated twice"
    assert broken(account) == []


def test_both_keys_spend_one_budget_during_the_overlap(server_key: Any, account: Any) -> None:
    old = server_key(daily_usd=CAP)
    new = old.rotated(HOUR)
    turns = [old, new] * 10
    for key in turns:
        key.ask()
    rows = Request.objects.filter(account=account)
    assert {row.key_id for row in rows} == {old.row.pk, new.row.pk}
    assert sum(row.cost_usd or 0 for row in rows) <= CAP
    assert broken(account) == []


def test_a_rotated_key_goes_on_in_its_rates(server_key: Any) -> None:
    old = server_key(requests_per_minute=2)
    assert [old.ask().status, old.ask().status] == [200, 200]
    new = old.rotated(HOUR)
    assert [is_refused(new.ask()), is_refused(old.ask())] == [True, True]
    rule = RateRule("key", new.row.lineage_id, 2, None, None)
    assert figures_of(rule, datetime.now(UTC)).requests == 2, "also by the ledger's own count"


def test_a_budget_alert_is_not_repeated_after_a_rotation(server_key: Any, account: Any) -> None:
    old = server_key(daily_usd=CAP)
    old.ask()
    Window.objects.filter(scope="key", scope_id=old.row.pk, period="day").update(spent_usd=CAP)
    raise_due(datetime.now(UTC))
    new = old.rotated(HOUR)
    new.ask()
    raise_due(datetime.now(UTC))
    assert [alert.severity for alert in Alert.objects.filter(account=account)] == ["critical"]


def test_the_hold_of_a_rotated_key_is_released_by_the_sweeper(server_key: Any, account: Any) -> None:
    new = server_key(daily_usd=CAP).rotated(HOUR)
    row = Request.objects.get(pk=new.ask().request_id)
    held = Decimal("0.0001")
    past = datetime.now(UTC) - HOUR
    Request.objects.filter(pk=row.pk).update(
        status="open", settled_at=None, held_usd=held, lease_until=past, owner="gone"
    )
    of_key, of_account = (
        Window.objects.filter(scope=scope, scope_id=pk)
        for scope, pk in (("key", new.row.lineage_id), ("account", account.pk))
    )
    assert [of_key.update(held_usd=held), of_account.update(held_usd=held)] == [2, 2]
    sweep(datetime.now(UTC))
    assert [window.held_usd for window in (*totals(of_key), *totals(of_account))] == [0] * 4
