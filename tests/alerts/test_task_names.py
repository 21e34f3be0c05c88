"""The migration that carries recorded runs and open alerts to the new names of Celery tasks."""

from datetime import UTC, datetime
from importlib import import_module

import pytest
from django.apps import apps
from django.db import migrations

from billing.alerts.job_runs import job_states
from billing.alerts.models import Alert, JobRun
from billing.alerts.publish import raise_alert

pytestmark = pytest.mark.django_db
THEN = datetime(2026, 11, 20, tzinfo=UTC)
OLD, NEW = "billing.jobs.refresh_prices", "billing.tasks.refresh_prices"


def step() -> migrations.RunPython:
    operation = import_module("billing.alerts.migrations.0002_task_names").Migration.operations[0]
    assert isinstance(operation, migrations.RunPython)
    return operation


def run(name: str) -> JobRun:
    return JobRun.objects.create(
        name=name, started_at=THEN, first_started_at=THEN, succeeded_at=THEN, ok=True
    )


def test_a_run_under_the_old_name_shows_under_the_new_one() -> None:
    run(OLD)
    step().code(apps, None)
    assert JobRun.objects.get().name == NEW
    assert next(state for state in job_states() if state.name == NEW).last_success == THEN


def test_every_recorded_run_is_of_a_scheduled_job_afterwards() -> None:
    for state in job_states():
        run(state.name.replace(".tasks.", ".jobs."))
    step().code(apps, None)
    assert set(JobRun.objects.values_list("name", flat=True)) == {state.name for state in job_states()}


def test_a_run_under_the_new_name_wins_over_the_old_one() -> None:
    run(OLD)
    newer = run(NEW)
    JobRun.objects.filter(pk=newer.pk).update(error="newer")
    step().code(apps, None)
    assert [(row.name, row.error) for row in JobRun.objects.all()] == [(NEW, "newer")]


def test_an_open_alert_of_a_late_job_is_renamed() -> None:
    raise_alert("jobs.stale", "late", "late", once_key=f"jobs.stale.{OLD}")
    step().code(apps, None)
    alert = Alert.objects.get()
    assert (alert.once_key, alert.resolved_at) == (f"jobs.stale.{NEW}", None)


def test_an_alert_that_is_open_under_both_names_is_resolved_under_the_old_one() -> None:
    for name in (OLD, NEW):
        raise_alert("jobs.stale", "late", "late", once_key=f"jobs.stale.{name}")
    step().code(apps, None)
    assert Alert.objects.get(resolved_at=None).once_key == f"jobs.stale.{NEW}"
    assert Alert.objects.count() == 2


def test_the_migration_can_be_reversed() -> None:
    run(OLD)
    raise_alert("jobs.stale", "late", "late", once_key=f"jobs.stale.{OLD}")
    operation = step()
    assert operation.reverse_code is not None
    operation.code(apps, None)
    operation.reverse_code(apps, None)
    assert JobRun.objects.get().name == OLD
    assert Alert.objects.get().once_key == f"jobs.stale.{OLD}"
