"""Celery tasks of people: forget what has ended."""

from datetime import UTC, datetime

from celery import shared_task

from accounts.retention import forget_ended


@shared_task
def forget_ended_sessions() -> None:
    forget_ended(datetime.now(UTC))
