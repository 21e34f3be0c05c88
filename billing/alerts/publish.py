"""Raise an alert once, resolve it when its cause is gone: the only way other packages send alerts.

    from billing.alerts.publish import raise_alert, resolve_alert
    raise_alert("provider.credential", "Provider refuses our key", "…", once_key="provider.credential.x")

Both only write rows, in the caller's transaction if there is one; a Celery task sends the messages. From
async code call them in a thread, as core.database.from_database does.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Account
from billing.alerts.channels import ChannelError, default_channel
from billing.alerts.models import Alert, AlertChannel, ChannelKind, Delivery

_BETWEEN_TESTS = timedelta(seconds=10)


def raise_alert(
    kind: str,
    subject: str,
    message: str,
    *,
    account: Account | None = None,
    severity: str = "warning",
    detail: dict[str, Any] | None = None,
    once_key: str | None = None,
) -> Alert | None:
    """Alert an account, or the operator if `account` is None.

    `subject`: one line, what happened. `message`: a few sentences, also what to do. `severity`: info, warning
    or critical. `detail`: JSON for programs, without any secret. Returns None, and writes nothing, when an
    alert with this `once_key` is already open.
    """
    now = datetime.now(UTC)
    if once_key and Alert.objects.filter(once_key=once_key[:200], resolved_at=None).exists():
        return None
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                account=account,
                kind=kind[:80],
                subject=" ".join(subject.split())[:160],
                message=message,
                severity=severity,
                detail=detail,
                once_key=(once_key or "")[:200],
                raised_at=now,
            )
            _queue_deliveries(alert, now)
    except IntegrityError:  # another process raised it in between
        if not once_key:
            raise
        return None
    return alert


def resolve_alert(once_key: str) -> bool:
    """Close the open alert with this key, so that it can be raised again. False: no such alert was open."""
    open_alerts = Alert.objects.filter(once_key=once_key[:200], resolved_at=None)
    return open_alerts.update(resolved_at=datetime.now(UTC)) > 0


def send_test(channel: AlertChannel, now: datetime) -> Delivery:
    """Send a test alert through one channel. Raises ChannelError within ten seconds of the last test."""
    recent = Delivery.objects.filter(channel=channel, created_at__gt=now - _BETWEEN_TESTS)
    if recent.filter(alert__kind="test").exists():
        raise ChannelError("A test was sent just now. Wait ten seconds.")
    with transaction.atomic():
        alert = Alert.objects.create(
            account=channel.account,
            kind="test",
            subject="Test of an alert channel",
            message="This is a test: alerts of this account arrive here.",
            severity=Alert.Severity.INFO,
            raised_at=now,
            resolved_at=now,
        )
        _queue_deliveries(alert, now, only=channel)
    return alert.deliveries.get()


def _queue_deliveries(alert: Alert, now: datetime, only: AlertChannel | None = None) -> None:
    """Write a delivery for each enabled channel, or for one channel."""
    Delivery.objects.bulk_create(
        Delivery(alert=alert, channel=channel, kind=kind, address=address, next_try_at=now, created_at=now)
        for channel, kind, address in _destinations(alert, only)
    )


def _destinations(alert: Alert, only: AlertChannel | None) -> list[tuple[AlertChannel | None, str, str]]:
    """Channel, kind and address of each delivery; the operator's alerts have no channel row."""
    if alert.account is None:  # to all staff by e-mail, and to the webhook of the settings
        destinations: list[tuple[AlertChannel | None, str, str]] = [(None, ChannelKind.EMAIL, "")]
        if settings.OPERATOR_WEBHOOK_URL and settings.OPERATOR_WEBHOOK_SECRET:
            destinations.append((None, ChannelKind.WEBHOOK, settings.OPERATOR_WEBHOOK_URL))
        return destinations
    if only is None:
        default_channel(alert.account)
        channels = AlertChannel.objects.filter(account=alert.account, enabled=True).order_by("pk")
    else:
        channels = AlertChannel.objects.filter(pk=only.pk)
    return [(channel, channel.kind, channel.address) for channel in channels]
