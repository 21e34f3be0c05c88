"""Tells the operator of jobs that no longer succeed, and takes it back when they do."""

from datetime import datetime

from billing.alerts.job_runs import job_states
from billing.alerts.publish import raise_alert, resolve_alert


def watch(now: datetime) -> None:
    for state in job_states(now):
        key = f"jobs.stale.{state.name}"
        if not state.stale:
            resolve_alert(key)
            continue
        last = f"{state.last_success:%Y-%m-%d %H:%M} UTC" if state.last_success else "never"
        why = f" Its last error: {state.error}" if state.error else ""
        raise_alert(
            "jobs.stale",
            f"The job {state.name} is late",
            f"{state.name} should succeed every {state.every.total_seconds():g} s; it last did: {last}.{why}",
            detail={"job": state.name, "every_s": state.every.total_seconds(), "error": state.error},
            once_key=key,
        )
