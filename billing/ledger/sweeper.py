"""Settles what a dead process left open, so that no request stays without an outcome and no hold is left.

A request is left when its lease is over, or when the process that owned it is dead: silent for a while, found
silent, and silent still some time after that. Two looks, because a database that was away silences everyone.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing.ledger import windows
from billing.ledger.windows import Change, Payer
from billing.models import Request, WebProcess

_BATCH = 200  # requests a transaction
_FORGOTTEN = timedelta(days=1)  # rows of dead processes go after that


def sweep(now: datetime) -> int:
    """Expire what was left open; returns how many. Safe to run anywhere, any number of times.

    `now` is the database's (core.database.database_now): a process's own clock may be hours off.
    """
    dead = _dead_processes(now)
    left = Request.objects.filter(status=Request.Status.OPEN).filter(
        Q(lease_until__lt=now) | Q(owner__in=dead)
    )
    behind = _behind()
    pks = [
        pk
        for pk, owner, lease_until in left.values_list("pk", "owner", "lease_until")
        if owner in dead or lease_until + behind.get(owner, timedelta()) < now
    ]
    swept = sum(_expire(pks[start : start + _BATCH], now) for start in range(0, len(pks), _BATCH))
    WebProcess.objects.filter(pk__in=dead, seen_at__lt=now - _FORGOTTEN).delete()
    return swept


def _dead_processes(now: datetime) -> list[str]:
    """Those found silent earlier and silent since; others that are silent now are noted for the next look."""
    silence = timedelta(seconds=settings.PROCESS_SILENCE_S)
    silent = WebProcess.objects.filter(seen_at__lt=now - silence)
    dead = list(silent.filter(missed_at__lt=now - silence / 2).values_list("pk", flat=True))
    silent.filter(missed_at=None).update(missed_at=now)
    return dead


def _behind() -> dict[str, timedelta]:
    """Processes whose clock is behind the database's: the leases they wrote end that much later."""
    slow = WebProcess.objects.filter(ahead_s__lt=-1)
    return {pk: timedelta(seconds=-ahead_s) for pk, ahead_s in slow.values_list("pk", "ahead_s")}


def _expire(pks: list[str], now: datetime) -> int:
    rows = list(Request.objects.filter(pk__in=pks))
    swept = 0
    with transaction.atomic():
        locked = windows.lock([(_payer(row), row.created_at) for row in rows])
        for row in rows:
            still_open = Request.objects.filter(pk=row.pk, status=Request.Status.OPEN)
            if not still_open.update(
                status=Request.Status.EXPIRED,
                settled_at=now,
                held_usd=Decimal(0),
                held_tokens=0,
                cost_usd=Decimal(0),
                error_code="internal_error",
                error_message="The process that served this request ended before it could be settled.",
            ):
                continue
            swept += 1
            locked.apply(
                Change(_payer(row), row.created_at, held_usd=-row.held_usd, held_tokens=-row.held_tokens)
            )
        locked.save()
    return swept


def _payer(row: Request) -> Payer:
    return Payer(row.account_id, row.key_id)
