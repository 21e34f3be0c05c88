"""Forgets what only grows and nobody asks for again: old alerts with their deliveries, messages of Stripe.

Nothing that money depends on is ever forgotten: requests and attempts, windows, rollups, re-pricings, prices,
statements, meter events, and the log of administrative acts (docs/retention.md).
"""

from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Q

from billing.alerts.models import Alert, Delivery
from billing.stripe_meter.models import WebhookEvent
from core.database import delete_in_batches


def forget_old(now: datetime) -> int:
    """Returns how many alerts and messages went. An alert that is open, or still on its way, stays."""
    before = now - timedelta(days=settings.KEEP_ALERTS_DAYS)
    over = Q(resolved_at__lt=before) | Q(once_key="", raised_at__lt=before)
    alerts = Alert.objects.filter(over).exclude(deliveries__status=Delivery.Status.PENDING)
    seen = now - timedelta(days=settings.KEEP_WEBHOOK_EVENTS_DAYS)
    events = WebhookEvent.objects.filter(received_at__lt=seen)
    return delete_in_batches(alerts) + delete_in_batches(events)
