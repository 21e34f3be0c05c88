"""System check: the operator's webhook can be called and signed, before the first alert needs it."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from core.outbound import RefusedUrl, check_url


@register
def check_operator_webhook(**_: Any) -> list[CheckMessage]:
    if not settings.OPERATOR_WEBHOOK_URL:
        return []
    found: list[CheckMessage] = []
    try:
        check_url(settings.OPERATOR_WEBHOOK_URL)
    except RefusedUrl as error:
        hint = "A host of your own network goes into OUTBOUND_ALLOWED_HOSTS."
        found.append(Error(f"OPERATOR_WEBHOOK_URL: {error}", hint=hint, id="alerts.E001"))
    try:
        Webhook(settings.OPERATOR_WEBHOOK_SECRET)
    except (EmptyWebhookSecretError, ValueError):
        hint = "Make one: echo whsec_$(head -c 32 /dev/urandom | base64)"
        found.append(Error("OPERATOR_WEBHOOK_SECRET must be whsec_ and base64.", hint=hint, id="alerts.E002"))
    return found
