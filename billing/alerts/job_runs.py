"""What our jobs did last: written down as Celery runs them, so that a page can say which are late.

A failure to write it down is logged and costs only that; the job itself goes on.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from celery.signals import task_failure, task_postrun, task_prerun
from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min

from billing.alerts.models import JobRun

logger = logging.getLogger(__name__)

_OURS = ("billing.", "routing.", "accounts.")
_GRACE = timedelta(seconds=60)  # a worker that restarts, a machine under load


@dataclass(frozen=True)
class JobState:
    """One periodic job."""

    name: str  # of the task
    every: timedelta
    last_started: datetime | None
    last_success: datetime | None
    ok: bool | None  # how the last run that ended went
    error: str
    stale: bool


def job_states(now: datetime | None = None) -> list[JobState]:
    """Every job of the schedule, stale ones first. Stale: no success within three of its periods."""
    now = now or datetime.now(UTC)
    runs = JobRun.objects.in_bulk()
    since = JobRun.objects.aggregate(since=Min("first_started_at"))["since"]
    periods: dict[str, timedelta] = {}
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        name, every = str(entry["task"]), _period(entry["schedule"])
        periods[name] = min(every, periods.get(name, every))
    states = [_state(name, every, runs.get(name), since, now) for name, every in periods.items()]
    return sorted(states, key=lambda state: (not state.stale, state.name))


def _state(
    name: str, every: timedelta, run: JobRun | None, since: datetime | None, now: datetime
) -> JobState:
    # One that never succeeded is late counted from its first run, or from when any job of ours first ran.
    known = (run.succeeded_at or run.first_started_at) if run else since
    return JobState(
        name=name,
        every=every,
        last_started=run.started_at if run else None,
        last_success=run.succeeded_at if run else None,
        ok=run.ok if run else None,
        error=run.error if run else "",
        stale=known is None or now - known > 3 * every + _GRACE,
    )


def _period(schedule: Any) -> timedelta:
    if isinstance(schedule, int | float):
        return timedelta(seconds=schedule)
    if isinstance(schedule, timedelta):
        return schedule
    remaining: timedelta = schedule.remaining_estimate(datetime.now(UTC))  # crontab: at most a day for ours
    return max(remaining, timedelta(days=1))


def _began(task: Any = None, **_: Any) -> None:
    now = datetime.now(UTC)
    _write(
        task.name,
        defaults={"started_at": now, "finished_at": None},
        create_defaults={"started_at": now, "first_started_at": now},
    )


def _failed(sender: Any = None, exception: Any = None, **_: Any) -> None:
    error = f"{type(exception).__name__}: {exception}".replace("\x00", "")[:300]
    _write(sender.name, defaults={"error": error})


def _ended(task: Any = None, state: str | None = None, **_: Any) -> None:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"finished_at": now, "ok": state == "SUCCESS"}
    if state == "SUCCESS":
        fields |= {"succeeded_at": now, "error": ""}
    _write(task.name, defaults=fields)


def _write(name: str, defaults: dict[str, Any], create_defaults: dict[str, Any] | None = None) -> None:
    if not name.startswith(_OURS):
        return
    try:
        if not JobRun.objects.filter(pk=name).update(**defaults) and create_defaults is not None:
            JobRun.objects.get_or_create(pk=name, defaults=create_defaults)
    except DatabaseError:
        logger.warning("the run of %s could not be written down", name, exc_info=True)


task_prerun.connect(_began, dispatch_uid="job_runs.began")
task_failure.connect(_failed, dispatch_uid="job_runs.failed")
task_postrun.connect(_ended, dispatch_uid="job_runs.ended")
