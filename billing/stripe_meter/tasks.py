"""Celery task of metered billing: creates events for usage that is due, then sends them to Stripe."""

from datetime import UTC, datetime

from celery import shared_task

from billing.stripe_meter.client import is_enabled
from billing.stripe_meter.metering import meter, send


@shared_task
def meter_usage() -> None:
    if is_enabled():
        meter(datetime.now(UTC))
        send(datetime.now(UTC))
