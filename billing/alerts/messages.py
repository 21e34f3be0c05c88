"""An alert as text: the body of a webhook call, and the subject and text of an e-mail."""

from typing import Any

import msgspec
from django.conf import settings

from billing.alerts.models import Alert


def webhook_body(alert: Alert) -> bytes:
    """JSON in the form Standard Webhooks recommends: type, timestamp, data. The same at every try."""
    data: dict[str, Any] = {
        "id": alert.pk,
        "account": None if alert.account is None else {"id": alert.account.pk, "name": alert.account.name},
        "severity": alert.severity,
        "subject": alert.subject,
        "message": alert.message,
        "detail": alert.detail or {},
        "url": page_of(alert),
    }
    payload = {"type": alert.kind, "timestamp": f"{alert.raised_at:%Y-%m-%dT%H:%M:%S.%fZ}", "data": data}
    return msgspec.json.encode(payload)


def email_subject(alert: Alert) -> str:
    return f"[RoutePlex] {alert.subject}"


def email_text(alert: Alert) -> str:
    whose = f"Account: {alert.account.name}\n" if alert.account else ""
    return (
        f"{alert.message}\n\n{whose}Raised: {alert.raised_at:%Y-%m-%d %H:%M:%S} UTC ({alert.kind})\n\n"
        f"{page_of(alert)}\n\nAlerts are switched on and off there.\n"
    )


def page_of(alert: Alert) -> str:
    return settings.PUBLIC_URL + ("/limits/" if alert.account_id else "/operator/")
