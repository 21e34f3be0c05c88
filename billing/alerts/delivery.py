"""Delivers alerts: retries with growing pauses until a delivery succeeds or its tries are used up.

A worker claims a delivery by moving its next try into the future in a short transaction. So no two workers
send it at once, and if the worker dies another one retries it. Delivery is at least once, with the same
webhook-id at every try.
"""

import asyncio
import logging
import smtplib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.db import connection, transaction
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from accounts.models import User
from billing.alerts.channels import recipients
from billing.alerts.messages import email_html, email_subject, email_text, slack_body, webhook_body
from billing.alerts.models import AlertChannel, ChannelKind, Delivery
from core.encryption import CannotDecrypt, decrypt
from core.outbound import OutboundError, post

logger = logging.getLogger(__name__)

PAUSES = (  # after the first try, the second, …; after the last try it has failed
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
)
_BATCH = 20
_ANSWER_WITHIN_S = 10.0
_CLAIMED_FOR = timedelta(minutes=5)  # longer than a batch can take
_GONE = 410  # Standard Webhooks: the receiver wants no more messages


@dataclass(frozen=True)
class Outcome:
    """Result of one try. `code`: the receiver's HTTP status, None if it did not answer."""

    ok: bool
    code: int | None = None
    error: str = ""


def deliver_due(now: datetime) -> int:
    """Try every delivery that is due; returns the number of tries. Safe to run concurrently."""
    tried = 0
    while batch := _claim_batch(now):
        webhooks = [delivery for delivery in batch if delivery.kind != ChannelKind.EMAIL]
        for delivery, outcome in zip(webhooks, asyncio.run(_post_all(webhooks)), strict=True):
            _record(delivery, outcome)
        for delivery in batch:
            if delivery.kind == ChannelKind.EMAIL:
                _record(delivery, _mail(delivery))
        tried += len(batch)
    return tried


def _claim_batch(now: datetime) -> list[Delivery]:
    with transaction.atomic():
        due = Delivery.objects.filter(status=Delivery.Status.PENDING, next_try_at__lte=now)
        due = due.select_for_update(skip_locked=connection.features.has_select_for_update_skip_locked)
        pks = [delivery.pk for delivery in due.order_by("next_try_at")[:_BATCH]]
        Delivery.objects.filter(pk__in=pks).update(next_try_at=now + _CLAIMED_FOR)
    return list(Delivery.objects.filter(pk__in=pks).select_related("alert__account", "channel"))


async def _post_all(deliveries: Sequence[Delivery]) -> list[Outcome]:
    return await asyncio.gather(*(_post(delivery) for delivery in deliveries))


async def _post(delivery: Delivery) -> Outcome:
    try:
        body, headers = _message(delivery)
        answer = await post(delivery.address, body, headers, within_s=_ANSWER_WITHIN_S)
    except (OutboundError, CannotDecrypt) as error:
        return Outcome(False, error=str(error))
    except (EmptyWebhookSecretError, ValueError):
        return Outcome(False, error="The secret must be whsec_ and at least 24 bytes in base64.")
    if 200 <= answer.status < 300:
        return Outcome(True, answer.status)
    return Outcome(False, answer.status, answer.body.decode(errors="replace").replace("\x00", ""))


def _message(delivery: Delivery) -> tuple[bytes, dict[str, str]]:
    """Body and headers. A Slack-compatible address is a secret, so its message is not signed.

    Raises CannotDecrypt, EmptyWebhookSecretError and ValueError for a secret that cannot sign.
    """
    if delivery.kind == ChannelKind.SLACK:
        return slack_body(delivery.alert), {"content-type": "application/json"}
    body, sent_at = webhook_body(delivery.alert), datetime.now(UTC)
    signature = Webhook(_secret(delivery)).sign(delivery.webhook_id, sent_at, body.decode())
    return body, {
        "content-type": "application/json",
        "webhook-id": delivery.webhook_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": signature,
    }


def _secret(delivery: Delivery) -> str:
    if delivery.channel is None:
        return str(settings.OPERATOR_WEBHOOK_SECRET)
    return decrypt(bytes(delivery.channel.secret or b""))


def _mail(delivery: Delivery) -> Outcome:
    to = _people(delivery)
    if not to:
        return Outcome(False, error="No active user has this address any more.")
    message = EmailMultiAlternatives(
        email_subject(delivery.alert),
        email_text(delivery.alert),
        settings.DEFAULT_FROM_EMAIL,
        bcc=to if len(to) > 1 else [],
        to=to if len(to) == 1 else [],
    )
    message.attach_alternative(email_html(delivery.alert), "text/html")
    try:
        message.send()
    except (OSError, smtplib.SMTPException) as error:
        return Outcome(False, error=f"The mail server refused it: {error}")
    return Outcome(True)


def _people(delivery: Delivery) -> list[str]:
    if delivery.channel is not None:
        return recipients(delivery.channel)
    if delivery.alert.account_id is not None:
        return []
    staff = User.objects.filter(is_staff=True, is_active=True).order_by("pk")
    return list(staff.values_list("email", flat=True))


def _record(delivery: Delivery, outcome: Outcome) -> None:
    now = datetime.now(UTC)
    tries = delivery.tries + 1
    fields: dict[str, object] = {
        "tries": tries,
        "last_status_code": outcome.code,
        "last_error": outcome.error[:300],
    }
    if outcome.ok:
        fields |= {"status": Delivery.Status.DELIVERED, "delivered_at": now}
    elif tries > len(PAUSES) or outcome.code == _GONE:
        fields["status"] = Delivery.Status.FAILED
        logger.warning("alert %s could not be delivered: %s", delivery.alert.kind, outcome.error[:300])
    else:
        fields["next_try_at"] = now + PAUSES[tries - 1]
    with transaction.atomic():
        # Only if it is still pending: the channel may have been switched off meanwhile.
        Delivery.objects.filter(pk=delivery.pk, status=Delivery.Status.PENDING).update(**fields)
        if delivery.channel_id is not None:
            _record_on_channel(delivery.channel_id, outcome, now)


def _record_on_channel(pk: int, outcome: Outcome, now: datetime) -> None:
    channel = AlertChannel.objects.filter(pk=pk)
    if outcome.ok:
        channel.exclude(failing_since=None).update(failing_since=None)
    else:
        channel.filter(failing_since=None).update(failing_since=now)
        if outcome.code == _GONE:
            channel.update(enabled=False)
