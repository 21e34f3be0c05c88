"""An alert as text: the body of a webhook call, and the subject and text of an e-mail."""

from typing import Any

import msgspec
from django.conf import settings
from django.template.loader import render_to_string

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


def slack_body(alert: Alert) -> bytes:
    """A message for incoming webhooks of Slack, and of Mattermost, Rocket.Chat and Discord (`/slack`)."""
    whose = f" ({_escaped(alert.account.name)})" if alert.account else ""
    text = (
        f"*{_escaped(alert.subject)}*{whose}\n{_escaped(alert.message)}\n<{page_of(alert)}|Open in RoutePlex>"
    )
    return msgspec.json.encode({"text": text})


def email_html(alert: Alert) -> str:
    return render_to_string("billing/email/alert.html", {"alert": alert, "url": page_of(alert)})


def email_subject(alert: Alert) -> str:
    return f"[RoutePlex] {alert.subject}"


def email_text(alert: Alert) -> str:
    whose = f"Account: {alert.account.name}\n" if alert.account else ""
    return (
        f"{alert.message}\n\n{whose}Raised: {alert.raised_at:%Y-%m-%d %H:%M:%S} UTC ({alert.kind})\n\n"
        f"{page_of(alert)}\n\nAlerts are switched on and off there.\n"
    )


def page_of(alert: Alert) -> str:
    number = (alert.detail or {}).get("statement")
    if number:
        return f"{settings.PUBLIC_URL}/statements/{number}/"
    return settings.PUBLIC_URL + ("/limits/" if alert.account_id else "/operator/")


def _escaped(text: str) -> str:
    """As Slack wants text that must not be read as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
