"""Settles the open requests of dead processes, so that every request ends and every hold is released.

A request is abandoned when its owner is dead, or when its lease has expired and no living process owns it. A
process is dead when it was found silent twice, some time apart. Once is not enough: while the database is
away no process can show that it is alive, so right after an outage all of them look silent. A living process
settles its own requests, however late; only far past the lease is a row taken from it, as a leak.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.db.models import Q

from billing.ledger import windows
from billing.ledger.windows import Change, Payer, move_shares
from billing.models import Request, WebProcess

_BATCH = 200  # requests per transaction
_KEEP_DEAD = timedelta(days=1)  # rows of dead processes are deleted after that
# A living process ends each request at its deadline, a minute before the lease, and retries its settlement
# while the database is away. A row open this long past its lease while the database works was forgotten.
LEAKED = timedelta(minutes=10)


def sweep(now: datetime) -> int:
    """Expire abandoned requests; returns how many. Idempotent, and safe to run in several processes at once.

    `now` is the database's (core.database.database_now): a process's own clock may be hours off.
    """
    dead = _dead_processes(now)
    abandoned = Request.objects.filter(status=Request.Status.OPEN).filter(
        Q(lease_until__lt=now) | Q(owner__in=dead)
    )
    # The SQL above knows no living owners, so the exact test is made here.
    grace = _grace_of_living()
    pks = [
        pk
        for pk, owner, lease_until in abandoned.values_list("pk", "owner", "lease_until")
        if owner in dead or lease_until + grace.get(owner, timedelta()) < now
    ]
    swept = sum(_expire(pks[start : start + _BATCH], now) for start in range(0, len(pks), _BATCH))
    move_shares(dead)
    WebProcess.objects.filter(pk__in=dead, seen_at__lt=now - _KEEP_DEAD).delete()
    return swept


def _dead_processes(now: datetime) -> list[str]:
    """Processes found silent now and before; `missed_at` records when one was first found silent."""
    silence = timedelta(seconds=settings.PROCESS_SILENCE_S)
    silent = WebProcess.objects.filter(seen_at__lt=now - silence)
    dead = list(silent.filter(missed_at__lt=now - silence / 2).values_list("pk", flat=True))
    silent.filter(missed_at=None).update(missed_at=now)
    return dead


def _grace_of_living() -> dict[str, timedelta]:
    """How long past its lease a row still belongs to each known process.

    A process computes leases by its own clock: if that is behind the database's, its leases end too early by
    the same amount.
    """
    clocks = WebProcess.objects.values_list("pk", "ahead_s")
    return {pk: LEAKED + timedelta(seconds=max(0.0, -ahead_s)) for pk, ahead_s in clocks}


def _expire(pks: list[str], now: datetime) -> int:
    """Settle the requests at no cost and release their holds, in one transaction.

    The update is conditional on the status, because the owner may be alive after all and settle the request
    at the same moment: the first one wins and the other changes nothing.
    """
    rows = list(Request.objects.filter(pk__in=pks).select_related("key").defer("trace"))
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
    return Payer(row.account_id, row.key.lineage_id)
