"""Settles the open requests of dead processes, so that every request ends and every hold is released.

A request is abandoned when its lease has expired or when its owner is dead. A process is dead when it was
found silent twice, some time apart. Once is not enough: while the database is away no process can show that
it is alive, so right after an outage all of them look silent.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing.ledger import windows
from billing.ledger.windows import Change, Payer
from billing.models import Request, WebProcess

_BATCH = 200  # requests per transaction
_KEEP_DEAD = timedelta(days=1)  # rows of dead processes are deleted after that


def sweep(now: datetime) -> int:
    """Expire abandoned requests; returns how many. Idempotent, and safe to run in several processes at once.

    `now` is the database's (core.database.database_now): a process's own clock may be hours off.
    """
    dead = _dead_processes(now)
    abandoned = Request.objects.filter(status=Request.Status.OPEN).filter(
        Q(lease_until__lt=now) | Q(owner__in=dead)
    )
    # A process computes leases by its own clock. If that is behind the database's, its leases end too early
    # by the same amount; the SQL above compares without it, so the exact test is made here.
    behind = _clocks_behind()
    pks = [
        pk
        for pk, owner, lease_until in abandoned.values_list("pk", "owner", "lease_until")
        if owner in dead or lease_until + behind.get(owner, timedelta()) < now
    ]
    swept = sum(_expire(pks[start : start + _BATCH], now) for start in range(0, len(pks), _BATCH))
    WebProcess.objects.filter(pk__in=dead, seen_at__lt=now - _KEEP_DEAD).delete()
    return swept


def _dead_processes(now: datetime) -> list[str]:
    """Processes found silent now and before; `missed_at` records when one was first found silent."""
    silence = timedelta(seconds=settings.PROCESS_SILENCE_S)
    silent = WebProcess.objects.filter(seen_at__lt=now - silence)
    dead = list(silent.filter(missed_at__lt=now - silence / 2).values_list("pk", flat=True))
    silent.filter(missed_at=None).update(missed_at=now)
    return dead


def _clocks_behind() -> dict[str, timedelta]:
    """How far a process's clock is behind the database's, for those more than a second behind."""
    slow = WebProcess.objects.filter(ahead_s__lt=-1)
    return {pk: timedelta(seconds=-ahead_s) for pk, ahead_s in slow.values_list("pk", "ahead_s")}


def _expire(pks: list[str], now: datetime) -> int:
    """Settle the requests at no cost and release their holds, in one transaction.

    The update is conditional on the status, because the owner may be alive after all and settle the request
    at the same moment: the first one wins and the other changes nothing.
    """
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
