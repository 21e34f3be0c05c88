"""Audits the ledger: checks every invariant on one consistent snapshot while traffic goes on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import Count, Q

from billing.alerts.publish import raise_alert, resolve_alert
from billing.checks.invariants import INVARIANTS, Scope, violations
from billing.models import LedgerAudit, Request, Window
from billing.reports.measures import nano_sum, usd

LATELY = timedelta(hours=48)  # checked by the hourly audit
_KEEP = timedelta(days=90)


class Check(msgspec.Struct, frozen=True):
    """Result of checking one invariant; `first` names a few of the rows that violate it."""

    name: str
    promise: str
    violations: int
    first: tuple[str, ...]


class Audit(msgspec.Struct, frozen=True):
    """Result of an audit. `figures`: counts and USD of the requests it covers."""

    at: datetime
    since: datetime | None
    took_ms: int
    figures: dict[str, int | str]
    checks: tuple[Check, ...]

    @property
    def violations(self) -> int:
        return sum(check.violations for check in self.checks)


def audit(now: datetime, since: datetime | None = None, account_id: int | None = None) -> Audit:
    """Check every invariant for requests created since; None: all requests, and then also monthly sums."""
    scope = Scope(now, since, account_id)
    began = time.monotonic()
    with consistent_view():
        figures = _figures(scope)
        checks = tuple(_checked(scope))
    took_ms = round((time.monotonic() - began) * 1000)
    return Audit(now, since, took_ms, figures, checks)


def store_audit(audit: Audit) -> LedgerAudit:
    """Store the result, and delete results older than 90 days."""
    LedgerAudit.objects.filter(at__lt=audit.at - _KEEP).delete()
    return LedgerAudit.objects.create(
        at=audit.at,
        since=audit.since,
        took_ms=audit.took_ms,
        violations=audit.violations,
        result=msgspec.to_builtins(audit),
    )


def alert_violations(audit: Audit) -> None:
    """Alert the operator of each violated invariant; a full audit resolves the alerts of the others."""
    for check in audit.checks:
        once_key = f"invariant.{check.name}"
        if check.violations:
            raise_alert(
                once_key,
                f"The ledger breaks a promise: {check.name}",
                f"{check.promise} {check.violations} rows violate it, the first: {', '.join(check.first)}. "
                "`manage.py audit` checks again, and resolves this alert when no row violates it.",
                severity="critical",
                detail={"violations": check.violations, "first": list(check.first)},
                once_key=once_key,
            )
        elif audit.since is None:
            resolve_alert(once_key)


def last_audit() -> LedgerAudit | None:
    return LedgerAudit.objects.order_by("-at", "-pk").first()


@contextmanager
def consistent_view() -> Iterator[None]:
    """One snapshot for all queries inside, without blocking writers.

    Uses the caller's transaction if there is one.
    """
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:  # atomic() would take SQLite's write lock (settings: IMMEDIATE); a plain BEGIN only reads
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def _checked(scope: Scope) -> Iterator[Check]:
    for invariant in INVARIANTS:
        count, first = violations(invariant, scope)
        if "windows_add_up" in invariant.name:
            first = _named_windows(first)
        yield Check(invariant.name, invariant.promise, count, first)


def _named_windows(pks: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(str(window) for window in Window.objects.filter(pk__in=pks).order_by("pk"))


def _figures(scope: Scope) -> dict[str, Any]:
    rows = Request.objects.all()
    if scope.since is not None:
        rows = rows.filter(created_at__gte=scope.since)
    if scope.account_id is not None:
        rows = rows.filter(account_id=scope.account_id)
    is_open = Q(status=Request.Status.OPEN)
    figures = rows.aggregate(
        accepted=Count("pk"),
        open=Count("pk", filter=is_open),
        settled=Count("pk", filter=~is_open),
        expired=Count("pk", filter=Q(status=Request.Status.EXPIRED)),
        unpriced=Count("pk", filter=Q(unpriced=True)),
        spent_usd=nano_sum("cost_usd"),
        held_usd=nano_sum("held_usd"),
    )
    return {name: f"{usd(value):f}" if name.endswith("_usd") else value for name, value in figures.items()}
