"""Jobs are seen: their last run, their last success, and which are late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.alerts import tasks as jobs
from billing.alerts.job_runs import JobState, alert_late_jobs, job_states
from billing.alerts.models import Alert, JobRun

pytestmark = pytest.mark.django_db
NAME = "billing.alerts.tasks.deliver_alerts"


def state(at: datetime | None = None) -> JobState:
    return next(job for job in job_states(at) if job.name == NAME)


def test_every_job_of_the_schedule_is_shown_and_stale_before_any_worker_ran(settings: Any) -> None:
    names = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {job.name for job in job_states()} == names
    assert all(job.stale for job in job_states())


def test_every_job_of_the_schedule_exists(settings: Any) -> None:
    from routeplex_site.celery import app

    app.loader.import_default_modules()
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in app.tasks


def test_jobs_that_pile_up_while_no_worker_runs_are_done_once(settings: Any) -> None:
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["options"]["expires"] == entry["schedule"]  # the next one is due by then


def test_a_run_is_written_down() -> None:
    before = datetime.now(UTC)
    jobs.deliver_alerts.apply()
    job = state()
    assert job.last_success is not None
    assert job.last_success >= before
    assert (job.ok, job.stale, job.every) == (True, False, timedelta(seconds=10))
    assert state(before + timedelta(seconds=80)).stale is False  # three periods and a minute
    assert state(before + timedelta(seconds=95)).stale is True


def test_a_failed_run_keeps_the_last_success_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    jobs.deliver_alerts.apply()
    success = state().last_success

    def fail(_: datetime) -> None:
        raise RuntimeError("the disk is full")

    monkeypatch.setattr(jobs, "deliver_due", fail)
    jobs.deliver_alerts.apply()
    job = state()
    assert (job.ok, job.error) == (False, "RuntimeError: the disk is full")
    assert job.last_success == success


def test_a_job_that_never_ran_is_late_by_the_first_that_did() -> None:
    jobs.deliver_alerts.apply()
    now = datetime.now(UTC)
    daily = "billing.tasks.refresh_prices"
    assert not next(job for job in job_states(now) if job.name == daily).stale
    late = now + timedelta(days=4)
    assert next(job for job in job_states(late) if job.name == daily).stale


def test_a_late_job_alerts_the_operator_once_until_it_succeeds() -> None:
    jobs.deliver_alerts.apply()
    JobRun.objects.update(succeeded_at=datetime.now(UTC) - timedelta(hours=1))
    for _ in range(2):
        alert_late_jobs(datetime.now(UTC))
    alert = Alert.objects.get(once_key=f"jobs.stale.{NAME}")
    assert alert.account is None
    assert alert.detail is not None
    assert alert.detail["job"] == NAME
    jobs.deliver_alerts.apply()
    alert_late_jobs(datetime.now(UTC))
    alert.refresh_from_db()
    assert alert.resolved_at is not None
