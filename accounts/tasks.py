"""Celery tasks of accounts: delete expired sessions and cache entries."""

from datetime import UTC, datetime

from celery import shared_task
from django.contrib.sessions.models import Session

from accounts.models import Remembered
from core.database import delete_in_batches


@shared_task
def forget_ended_sessions() -> None:
    delete_expired(datetime.now(UTC))


def delete_expired(now: datetime) -> int:
    """Delete expired sessions and expired entries of the database cache; returns how many rows."""
    sessions = Session.objects.filter(expire_date__lt=now)
    cached = Remembered.objects.filter(expires__lt=now)
    return delete_in_batches(sessions) + delete_in_batches(cached)
