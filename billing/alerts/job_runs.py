"""The last run of each periodic job: recorded as Celery runs it, shown on a page, alerted on when it is late.

Recording is best effort: a failure is logged and never fails the job. `billing/alerts/tasks.py` connects it
to Celery, which web processes do not load.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Min

from billing.alerts.models import JobRun
from billing.alerts.publish import raise_alert, resolve_alert

logger = logging.getLogger(__name__)

_OUR_TASKS = ("billing.", "routing.", "accounts.")
_GRACE = timedelta(seconds=60)  # for a worker that restarts, or a machine under load


@dataclass(frozen=True)
class JobState:
    """One periodic job."""

    name: str  # of the task
    every: timedelta
    last_started: datetime | None
    last_success: datetime | None
    ok: bool | None  # whether the last finished run succeeded
    error: str
    stale: bool


def job_states(now: datetime | None = None) -> list[JobState]:
    """Every scheduled job, stale ones first. Stale: no success within three of its periods and a minute."""
    now = now or datetime.now(UTC)
    runs = JobRun.objects.in_bulk()
    since = JobRun.objects.aggregate(since=Min("first_started_at"))["since"]
    periods: dict[str, timedelta] = {}
    for entry in settings.CELERY_BEAT_SCHEDULE.values():
        name, every = str(entry["task"]), _period(entry["schedule"])
        periods[name] = min(every, periods.get(name, every))
    states = [_state(name, every, runs.get(name), since, now) for name, every in periods.items()]
    return sorted(states, key=lambda state: (not state.stale, state.name))


def alert_late_jobs(now: datetime) -> None:
    """Alert the operator of each stale job; resolve the alert when it succeeds again."""
    for state in job_states(now):
        key = f"jobs.stale.{state.name}"
        if not state.stale:
            resolve_alert(key)
            continue
        last = f"{state.last_success:%Y-%m-%d %H:%M} UTC" if state.last_success else "never"
        error = f" Its last error: {state.error}" if state.error else ""
        every_s = state.every.total_seconds()
        raise_alert(
            "jobs.stale",
            f"The job {state.name} is late",
            f"{state.name} should succeed every {every_s:g} s; its last success: {last}.{error}",
            detail={"job": state.name, "every_s": every_s, "error": state.error},
            once_key=key,
        )


def _state(
    name: str, every: timedelta, run: JobRun | None, since: datetime | None, now: datetime
) -> JobState:
    # A job that never succeeded is measured from its first run; one that never ran, from any job's first run.
    last = (run.succeeded_at or run.first_started_at) if run else since
    return JobState(
        name=name,
        every=every,
        last_started=run.started_at if run else None,
        last_success=run.succeeded_at if run else None,
        ok=run.ok if run else None,
        error=run.error if run else "",
        stale=last is None or now - last > 3 * every + _GRACE,
    )


def _period(schedule: Any) -> timedelta:
    if isinstance(schedule, int | float):
        return timedelta(seconds=schedule)
    if isinstance(schedule, timedelta):
        return schedule
    remaining: timedelta = schedule.remaining_estimate(datetime.now(UTC))  # crontab: daily or oftener
    return max(remaining, timedelta(days=1))


def record_start(task: Any = None, **_: Any) -> None:
    now = datetime.now(UTC)
    _write(
        task.name,
        defaults={"started_at": now, "finished_at": None},
        create_defaults={"started_at": now, "first_started_at": now},
    )


def record_error(sender: Any = None, exception: Any = None, **_: Any) -> None:
    error = f"{type(exception).__name__}: {exception}".replace("\x00", "")[:300]
    _write(sender.name, defaults={"error": error})


def record_end(task: Any = None, state: str | None = None, **_: Any) -> None:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"finished_at": now, "ok": state == "SUCCESS"}
    if state == "SUCCESS":
        fields |= {"succeeded_at": now, "error": ""}
    _write(task.name, defaults=fields)


def _write(name: str, defaults: dict[str, Any], create_defaults: dict[str, Any] | None = None) -> None:
    if not name.startswith(_OUR_TASKS):
        return
    try:
        if not JobRun.objects.filter(pk=name).update(**defaults) and create_defaults is not None:
            JobRun.objects.get_or_create(pk=name, defaults=create_defaults)
    except DatabaseError:
        logger.warning("could not record the run of %s", name, exc_info=True)
