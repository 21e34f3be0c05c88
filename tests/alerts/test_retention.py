"""Old alerts and messages of Stripe are forgotten; what is open, under way or money never is."""

from datetime import UTC, datetime, timedelta
from typing import Any

from accounts.models import Account
from billing.alerts.delivery import deliver_due
from billing.alerts.models import Alert, Delivery
from billing.alerts.publish import raise_alert, resolve_alert
from billing.stripe_meter.models import WebhookEvent
from billing.tasks import delete_old_alerts

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def raised(account: Account, once: str | None = None) -> Alert:
    alert = raise_alert("a", "subject", "message", account=account, once_key=once)
    assert alert is not None
    return alert


def test_an_alert_that_is_over_goes_with_its_deliveries_after_its_time(
    account: Account, settings: Any
) -> None:
    settings.KEEP_ALERTS_DAYS = 30
    raised(account, "resolved")
    raised(account)  # one that is never resolved
    deliver_due(datetime.now(UTC))
    resolve_alert("resolved")
    assert delete_old_alerts(NOW + 29 * DAY) == 0
    assert delete_old_alerts(NOW + 31 * DAY) == 2
    assert not Alert.objects.exists()
    assert not Delivery.objects.exists()


def test_an_open_alert_stays_however_old(account: Account) -> None:
    raised(account, "open")
    deliver_due(datetime.now(UTC))
    assert delete_old_alerts(NOW + 9999 * DAY) == 0
    assert raise_alert("a", "subject", "message", account=account, once_key="open") is None


def test_an_alert_on_its_way_stays(account: Account) -> None:
    raised(account)
    assert delete_old_alerts(NOW + 9999 * DAY) == 0
    assert Delivery.objects.filter(status=Delivery.Status.PENDING).count() == 1


def test_more_than_a_batch_is_forgotten(db: None) -> None:
    WebhookEvent.objects.bulk_create(
        WebhookEvent(event_id=f"evt_{number}", kind="a", received_at=NOW - number * DAY / 10)
        for number in range(1_600)
    )
    assert delete_old_alerts(NOW) == 699  # older than 90 days
    assert WebhookEvent.objects.count() == 901
    assert delete_old_alerts(NOW) == 0
