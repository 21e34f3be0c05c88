"""Celery tasks of alerts: raise budget alerts, deliver what is due, alert on late jobs.

Importing this module also has Celery record the runs of all tasks.
"""

from datetime import UTC, datetime

from celery import shared_task
from celery.signals import task_failure, task_postrun, task_prerun

from billing.alerts.budgets import raise_due
from billing.alerts.delivery import deliver_due
from billing.alerts.job_runs import alert_late_jobs, record_end, record_error, record_start

task_prerun.connect(record_start, dispatch_uid="job_runs.began")
task_failure.connect(record_error, dispatch_uid="job_runs.failed")
task_postrun.connect(record_end, dispatch_uid="job_runs.ended")


@shared_task
def raise_budget_alerts() -> None:
    raise_due(datetime.now(UTC))


@shared_task
def deliver_alerts() -> None:
    deliver_due(datetime.now(UTC))


@shared_task
def watch_jobs() -> None:
    alert_late_jobs(datetime.now(UTC))
