"""Celery tasks of routing: what traffic showed of each arm, and whether decisions go to one alone."""

from datetime import UTC, datetime

from celery import shared_task

from routing.catalog.measure import measure
from routing.learning import distribution


@shared_task
def measure_health() -> None:
    measure(datetime.now(UTC))


@shared_task
def watch_distribution() -> None:
    distribution.watch(datetime.now(UTC))
