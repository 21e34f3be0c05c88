"""Raise an alert once, resolve it when its cause is gone. The door for every other part.

    from billing.alerts.raising import raise_alert, resolve_alert
    raise_alert("provider.credential", "Provider refuses our key", "…", once_key="provider.credential.x")

Both only write rows, in the caller's transaction if there is one; sending is a job's. From
async code call them in a thread, as core.database.from_database does.
"""

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction

from accounts.models import Account
from billing.alerts.channels import default_channel
from billing.alerts.models import Alert, AlertChannel, ChannelKind, Delivery


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
    """Tell an account, or the operator, something. None: an alert with this `once_key` is open already.

    `subject`: one line, what happened. `message`: a few sentences, also what to do. `severity`: info, warning
    or critical. `detail`: JSON for programs, without any secret.
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
            send(alert, now)
    except IntegrityError:  # another process raised it in between
        if not once_key:
            raise
        return None
    return alert


def resolve_alert(once_key: str) -> bool:
    """The cause is gone: the same may be raised again. False: no such alert was open."""
    open_ones = Alert.objects.filter(once_key=once_key[:200], resolved_at=None)
    return open_ones.update(resolved_at=datetime.now(UTC)) > 0


def send(alert: Alert, now: datetime, only: AlertChannel | None = None) -> None:
    """Put the alert on its way through each channel that is on, or through one."""
    Delivery.objects.bulk_create(
        Delivery(alert=alert, channel=channel, kind=kind, address=address, next_try_at=now, created_at=now)
        for channel, kind, address in _ways(alert, only)
    )


def _ways(alert: Alert, only: AlertChannel | None) -> list[tuple[AlertChannel | None, str, str]]:
    if alert.account is None:  # to all staff, and where the settings say
        ways: list[tuple[AlertChannel | None, str, str]] = [(None, ChannelKind.EMAIL, "")]
        if settings.OPERATOR_WEBHOOK_URL and settings.OPERATOR_WEBHOOK_SECRET:
            ways.append((None, ChannelKind.WEBHOOK, settings.OPERATOR_WEBHOOK_URL))
        return ways
    if only is None:
        default_channel(alert.account)
        channels = AlertChannel.objects.filter(account=alert.account, enabled=True).order_by("pk")
    else:
        channels = AlertChannel.objects.filter(pk=only.pk)
    return [(channel, channel.kind, channel.address) for channel in channels]
