"""Celery tasks of reports: roll up closed hours."""

from datetime import UTC, datetime

from celery import shared_task

from billing.reports.rollup import roll_up


@shared_task
def roll_up_usage() -> None:
    roll_up(datetime.now(UTC))
