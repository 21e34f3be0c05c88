"""Celery tasks of alerts: raise what budgets call for, deliver what is due, watch the other jobs."""

from datetime import UTC, datetime

from celery import shared_task

from billing.alerts.budgets import raise_due
from billing.alerts.delivery import deliver_due
from billing.alerts.job_monitor import watch


@shared_task
def raise_budget_alerts() -> None:
    raise_due(datetime.now(UTC))


@shared_task
def deliver_alerts() -> None:
    deliver_due(datetime.now(UTC))


@shared_task
def watch_jobs() -> None:
    watch(datetime.now(UTC))
