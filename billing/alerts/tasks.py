"""Celery tasks of alerts: raise budget alerts, deliver what is due, alert on late jobs."""

from datetime import UTC, datetime

from celery import shared_task

from billing.alerts.budgets import raise_due
from billing.alerts.delivery import deliver_due
from billing.alerts.job_runs import alert_late_jobs


@shared_task
def raise_budget_alerts() -> None:
    raise_due(datetime.now(UTC))


@shared_task
def deliver_alerts() -> None:
    deliver_due(datetime.now(UTC))


@shared_task
def watch_jobs() -> None:
    alert_late_jobs(datetime.now(UTC))
