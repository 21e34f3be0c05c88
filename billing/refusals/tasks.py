"""Celery task that deletes old refused calls."""

from datetime import UTC, datetime, timedelta

from celery import shared_task
from django.conf import settings

from billing.refusals.models import RefusedCall
from core.database import delete_in_batches


@shared_task
def forget_old_refusals() -> None:
    delete_old_refusals(datetime.now(UTC))


def delete_old_refusals(now: datetime) -> int:
    """Delete refused calls older than KEEP_REFUSALS_DAYS; returns how many rows."""
    return delete_in_batches(
        RefusedCall.objects.filter(at__lt=now - timedelta(days=settings.KEEP_REFUSALS_DAYS))
    )
