"""System check: the URL and the secret of the operator's webhook are usable, before an alert needs them."""

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
    errors: list[CheckMessage] = []
    try:
        check_url(settings.OPERATOR_WEBHOOK_URL)
    except RefusedUrl as error:
        hint = "Add a host of your own network to OUTBOUND_ALLOWED_HOSTS."
        errors.append(Error(f"OPERATOR_WEBHOOK_URL: {error}", hint=hint, id="alerts.E001"))
    try:
        Webhook(settings.OPERATOR_WEBHOOK_SECRET)
    except (EmptyWebhookSecretError, ValueError):
        hint = "Create one with: echo whsec_$(head -c 32 /dev/urandom | base64)"
        errors.append(
            Error("OPERATOR_WEBHOOK_SECRET must be whsec_ followed by base64.", hint=hint, id="alerts.E002")
        )
    return errors
