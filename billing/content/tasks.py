"""Celery tasks that delete stored content and details of requests when their time is over."""

from datetime import UTC, datetime

from celery import shared_task

from billing.content.details import erase_old_details
from billing.content.store import delete_old_content


@shared_task
def forget_old_content() -> None:
    now = datetime.now(UTC)
    delete_old_content(now)
    erase_old_details(now)
