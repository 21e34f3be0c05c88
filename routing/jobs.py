"""Celery tasks of routing: what traffic showed of each arm, for the next decisions."""

from datetime import UTC, datetime

from celery import shared_task

from routing.catalog.measure import measure


@shared_task
def measure_health() -> None:
    measure(datetime.now(UTC))
