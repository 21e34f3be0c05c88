"""What requests with an Idempotency-Key came to, kept for a day: a key is charged at most once.

Who claims a key may run its request; every other one with the same key waits for the outcome or is refused. A
claim ends by the outcome being kept, when the ledger says that something was charged, or by being given up.
All of it is blocking and meant for a thread: `core.database.from_database`. It bears being run twice.
"""

import logging
import time
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.db.models.functions import Length

from billing.ledger.sweeper import sweep
from billing.models import IdempotentOutcome, Request, WebProcess
from core.encryption import CannotDecrypt, decrypt_bytes, encrypt_bytes
from core.errors import ApiError

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(hours=24)  # spec/ledger.md: Idempotency-Key (24 h, per account)
# Longer than a ledger row's lease, so that a dead claim's row is never still waiting to be settled.
LEASE_GRACE = timedelta(seconds=90)
MOST_BYTES = 4 * 1024 * 1024  # of one outcome, compressed: above any answer of 128,000 tokens
MOST_BYTES_OF_ACCOUNT = 256 * 1024 * 1024
_SIZE_KNOWN_S = 30.0  # between sums over all that an account has kept
_BATCH = 500  # rows deleted a transaction


class IdempotencyConflict(ApiError):
    """The key was used for another request."""

    code, status = "idempotency_conflict", 409


class IdempotencyInProgress(ApiError):
    """The first request with the key was still running when this one had waited for as long as it may."""

    code, status = "idempotency_in_progress", 409


class IdempotencyNotReplayable(ApiError):
    """The first request was charged, but its answer is not there to be told again."""

    code, status = "idempotency_not_replayable", 409


class Claim(msgspec.Struct, frozen=True):
    """One request's wish to be the one that runs under this key."""

    account_id: int
    key: str
    fingerprint: str  # SHA-256, hexadecimal
    request_id: str
    owner: str  # the WebProcess
    at: datetime

    @property
    def lease_until(self) -> datetime:
        return self.at + timedelta(seconds=settings.REQUEST_TIMEOUT_S) + LEASE_GRACE


class Outcome(msgspec.Struct, frozen=True):
    """An HTTP response. `body`: compressed with zlib; None: it was too large to keep, or lost in a crash."""

    request_id: str
    status: int
    headers: dict[str, str]
    body: bytes | None


_RUNNING = 102  # HTTP's "processing", for what has no status yet; never written down


class Found(Enum):
    CLAIMED = "claimed"  # ours: run the request, then `end` the claim
    BUSY = "busy"  # another's, and it lives


def claim(wish: Claim) -> Outcome | Found:
    """Take the key, or say what stands in the way. Raises IdempotencyConflict: other request, same key."""
    fields = _claimed(wish)
    while True:
        row, is_new = IdempotentOutcome.objects.get_or_create(
            account_id=wish.account_id, key=wish.key, defaults=fields
        )
        if is_new or _is_ours(row, wish):
            return Found.CLAIMED
        if row.expires_at > wish.at:
            if row.status is None and _is_dead(row, wish.at):
                row.status = _clear_up(row, wish.at)
            elif row.status is None:
                row.status = _RUNNING
            if row.status is not None and row.fingerprint != wish.fingerprint:
                raise _conflict()
            if row.status == _RUNNING:
                return Found.BUSY
            if row.status is not None:
                return _kept(row)
        seen = IdempotentOutcome.objects.filter(pk=row.pk, request_id=row.request_id)
        if seen.filter(Q(status=None) | Q(expires_at__lte=wish.at)).update(**fields):
            return Found.CLAIMED


def end(wish: Claim, outcome: Outcome) -> None:
    """Keep the outcome if its request was charged or succeeded, else give the key free for a new try.

    A request whose settlement is not written yet keeps its claim: nobody knows what it will have cost.
    """
    with transaction.atomic():
        ours = IdempotentOutcome.objects.filter(
            account_id=wish.account_id, key=wish.key, request_id=wish.request_id, status=None
        )
        match _was_charged(wish.request_id):
            case True:
                ours.update(
                    status=outcome.status, headers=outcome.headers, body=_sealed(wish.account_id, outcome)
                )
            case False:
                ours.delete()


def forget_expired(now: datetime) -> int:
    """Delete outcomes past their day; returns how many."""
    forgotten = 0
    while True:
        pks = list(IdempotentOutcome.objects.filter(expires_at__lt=now).values_list("pk", flat=True)[:_BATCH])
        if not pks:
            return forgotten
        forgotten += IdempotentOutcome.objects.filter(pk__in=pks, expires_at__lt=now).delete()[0]


def _claimed(wish: Claim) -> dict[str, Any]:
    return {
        "fingerprint": wish.fingerprint,
        "request_id": wish.request_id,
        "owner": wish.owner,
        "lease_until": wish.lease_until,
        "created_at": wish.at,
        "expires_at": wish.at + KEPT_FOR,
        "status": None,
        "headers": None,
        "body": None,
    }


def _is_ours(row: IdempotentOutcome, wish: Claim) -> bool:
    """Claimed by this very request before, without our being told."""
    return row.request_id == wish.request_id and row.status is None


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict(
        "This Idempotency-Key was used for another request within the last 24 hours: the path, the body or a "
        "steering header differs. Use a new key for a new request."
    )


def _is_dead(row: IdempotentOutcome, now: datetime) -> bool:
    """Whether this claim is abandoned: its lease has expired, or its process is gone (see sweeper.py)."""
    if row.lease_until <= now:
        return True
    silence = timedelta(seconds=settings.PROCESS_SILENCE_S)
    is_silent = Q(seen_at__lt=now - silence, missed_at__lt=now - silence / 2)
    return bool(row.owner) and not WebProcess.objects.filter(~is_silent, pk=row.owner).exists()


def _clear_up(row: IdempotentOutcome, now: datetime) -> int | None:
    """What a dead claim is to count as: free (None), running while its request is open, or kept.

    A request that was charged, but whose process died before its outcome was kept, counts as kept without a
    body: a new try would be charged again.
    """
    if _was_charged(row.request_id) is None:
        sweep(now)  # rather than wait: it must not be settled after the new try
    match _was_charged(row.request_id):
        case None:
            return _RUNNING
        case False:
            return None
    logger.error("the outcome of request %s was lost with its process", row.request_id)
    unfinished = IdempotentOutcome.objects.filter(pk=row.pk, request_id=row.request_id, status=None)
    unfinished.update(status=200, headers={}, body=None)
    return 200


def _was_charged(request_id: str) -> bool | None:
    """Whether the ledger has a cost, or a success, for it; None: it is open. Never begun: False."""
    found = Request.objects.filter(pk=request_id).values_list("status", "cost_usd", "unpriced").first()
    if found is None:
        return False
    status, cost_usd, is_unpriced = found
    if status == Request.Status.OPEN:
        return None
    return status == Request.Status.SUCCEEDED or is_unpriced or bool(cost_usd)


def _kept(row: IdempotentOutcome) -> Outcome:
    assert row.status is not None
    body = None
    if row.body is not None:
        try:
            body = decrypt_bytes(bytes(row.body))
        except CannotDecrypt as error:  # charged all the same: it must not run again
            logger.error("the outcome of request %s cannot be told again: %s", row.request_id, error)
    return Outcome(row.request_id, row.status, row.headers or {}, body)


def _sealed(account_id: int, outcome: Outcome) -> bytes | None:
    """None: more than we keep; then a second try is refused rather than charged again."""
    if outcome.body is None or len(outcome.body) > MOST_BYTES:
        return None
    encrypted = encrypt_bytes(outcome.body)
    return encrypted if _shelves.takes(account_id, len(encrypted)) else None


class _Shelves:
    """Roughly how much each account has kept, known to this process."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, int]] = {}

    def takes(self, account_id: int, size: int) -> bool:
        until, kept = self._known.get(account_id, (0.0, 0))
        if until < time.monotonic():
            total = IdempotentOutcome.objects.filter(account_id=account_id).aggregate(n=Sum(Length("body")))
            until, kept = time.monotonic() + _SIZE_KNOWN_S, total["n"] or 0
            if len(self._known) >= 10_000:
                self._known.clear()
        if kept + size > MOST_BYTES_OF_ACCOUNT:
            return False
        self._known[account_id] = until, kept + size
        return True


_shelves = _Shelves()
