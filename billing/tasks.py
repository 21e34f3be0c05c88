"""Celery tasks of money: expire abandoned requests, delete old rows, refresh prices, audit the ledger."""

import logging
from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings
from django.db.models import Q
from genai_prices import UpdatePrices

from billing.alerts.models import Alert, Delivery
from billing.checks.audit import LATELY, alert_violations, audit, store_audit
from billing.ledger.idempotency import forget_expired
from billing.ledger.sweeper import sweep
from billing.ledger.windows import move_ended_shares
from billing.prices.proposals import note_unpriced
from billing.prices.refresh import refresh
from billing.stripe_meter.models import WebhookEvent
from core.database import database_now, delete_in_batches

logger = logging.getLogger(__name__)


@shared_task
def sweep_open_requests() -> None:
    swept = sweep(database_now())
    if swept:
        logger.warning("%d open requests of dead processes were settled as expired", swept)


@shared_task
def move_ended_window_shares() -> None:
    move_ended_shares(database_now())


@shared_task
def forget_idempotent_outcomes() -> None:
    forget_expired(datetime.now(UTC))


@shared_task
def forget_old_alerts() -> None:
    """Delete old alerts and webhook messages (docs/retention.md)."""
    delete_old_alerts(datetime.now(UTC))


@shared_task
def refresh_prices() -> None:
    """Update the price book from genai-prices. A failure changes nothing, and the next run tries again."""
    try:
        snapshot = UpdatePrices().fetch()
    except Exception as error:  # network, status or format: without a list, prices stay
        logger.warning("the price list could not be fetched (%s); prices stay as they are", error)
        return
    if snapshot is not None:
        refresh(datetime.now(UTC), snapshot)


@shared_task
def ask_for_prices() -> None:
    """Create a price proposal after the first request to a model without a price."""
    note_unpriced(datetime.now(UTC))


@shared_task
def audit_lately() -> None:
    """Audit the requests of the last two days."""
    now = datetime.now(UTC)
    _audit(now, now - LATELY)


@shared_task
def audit_ledger() -> None:
    """Audit all requests, including monthly sums."""
    _audit(datetime.now(UTC), None)


def delete_old_alerts(now: datetime) -> int:
    """Delete old alerts with their deliveries, and old webhook messages; returns how many of both.

    An alert that is open, or has a pending delivery, stays. Nothing that money depends on is ever deleted:
    requests, attempts, windows, rollups, prices, re-pricings, statements, meter events and the audit log.
    """
    before = now - timedelta(days=settings.KEEP_ALERTS_DAYS)
    is_over = Q(resolved_at__lt=before) | Q(once_key="", raised_at__lt=before)
    alerts = Alert.objects.filter(is_over).exclude(deliveries__status=Delivery.Status.PENDING)
    received_before = now - timedelta(days=settings.KEEP_WEBHOOK_EVENTS_DAYS)
    events = WebhookEvent.objects.filter(received_at__lt=received_before)
    return delete_in_batches(alerts) + delete_in_batches(events)


def _audit(now: datetime, since: datetime | None) -> None:
    result = audit(now, since)
    store_audit(result)
    alert_violations(result)
