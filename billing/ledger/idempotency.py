"""Outcomes of requests with an Idempotency-Key, stored for a day: a key is charged at most once.

The request that claims a key runs; others with the same key wait for its outcome or are refused. When it
ends, its outcome is stored if the ledger says that it was charged; otherwise the key is free again. The
functions block, so async code calls them through `core.database.from_database`; all of them are idempotent.
"""

import logging
import time
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

import msgspec
from cachetools import LRUCache
from django.conf import settings
from django.db import transaction
from django.db.models import Q, Sum
from django.db.models.functions import Length

from billing.ledger.sweeper import sweep
from billing.models import IdempotentOutcome, Request, WebProcess
from core.encryption import CannotDecrypt, decrypt_bytes, encrypt_bytes
from core.errors import ApiError

logger = logging.getLogger(__name__)

KEPT_FOR = timedelta(hours=24)  # docs/idempotency.md
# Longer than the lease of a request, so that the request of an expired claim is settled already.
LEASE_GRACE = timedelta(seconds=90)
MOST_BYTES = 4 * 1024 * 1024  # of one outcome, compressed: more than an answer of 128,000 tokens
MOST_BYTES_OF_ACCOUNT = 256 * 1024 * 1024
_SIZE_KNOWN_S = 30.0  # how long a computed total of an account is used
_BATCH = 500  # rows deleted per transaction


class IdempotencyConflict(ApiError):
    """The key was used for another request."""

    code, status = "idempotency_conflict", 409


class IdempotencyInProgress(ApiError):
    """The first request with the key is still running after the longest time this one may wait."""

    code, status = "idempotency_in_progress", 409


class IdempotencyNotReplayable(ApiError):
    """The first request was charged, but its answer was not stored."""

    code, status = "idempotency_not_replayable", 409


class Claim(msgspec.Struct, frozen=True):
    """A request that wants to run under this key."""

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
    """An HTTP response. `body`: compressed with zlib; None: it was too large to store, or lost in a crash."""

    request_id: str
    status: int
    headers: dict[str, str]
    body: bytes | None


_RUNNING = 102  # HTTP's "processing", stands for a claim whose request still runs; never stored


class ClaimResult(Enum):
    CLAIMED = "claimed"  # run the request, then `finish` the claim
    BUSY = "busy"  # another request with the key is running


def acquire(claim: Claim) -> Outcome | ClaimResult:
    """Claim the key, or return the stored outcome. Raises IdempotencyConflict: other request, same key.

    The unique constraint on (account, key) lets one of several concurrent requests insert the row. An
    existing row is one of four: this request's own, inserted by a try whose acknowledgement was lost;
    running; finished; or left by a dead process. A dead or expired row is taken over by an update that
    matches only the request it was read with, so that of two takers one wins and the other reads the row
    again.
    """
    fields = _claim_fields(claim)
    while True:
        row, is_new = IdempotentOutcome.objects.get_or_create(
            account_id=claim.account_id, key=claim.key, defaults=fields
        )
        if is_new or _is_own(row, claim):
            return ClaimResult.CLAIMED
        if row.expires_at > claim.at:
            if row.status is None and _is_dead(row, claim.at):
                row.status = _resolve_dead(row, claim.at)
            elif row.status is None:
                row.status = _RUNNING
            if row.status is not None and row.fingerprint != claim.fingerprint:
                raise _conflict()
            if row.status == _RUNNING:
                return ClaimResult.BUSY
            if row.status is not None:
                return _stored(row)
        unchanged = IdempotentOutcome.objects.filter(pk=row.pk, request_id=row.request_id)
        if unchanged.filter(Q(status=None) | Q(expires_at__lte=claim.at)).update(**fields):
            return ClaimResult.CLAIMED


def finish(claim: Claim, outcome: Outcome) -> None:
    """Store the outcome if its request was charged or succeeded, else free the key for a new try.

    While the settlement is not committed, the cost is unknown and the claim stays as it is.
    """
    with transaction.atomic():
        claims = IdempotentOutcome.objects.filter(
            account_id=claim.account_id, key=claim.key, request_id=claim.request_id, status=None
        )
        match _was_charged(claim.request_id):
            case True:
                claims.update(
                    status=outcome.status, headers=outcome.headers, body=_encrypted(claim.account_id, outcome)
                )
            case False:
                claims.delete()


def forget_expired(now: datetime) -> int:
    """Delete outcomes older than a day; returns how many."""
    deleted = 0
    while True:
        pks = list(IdempotentOutcome.objects.filter(expires_at__lt=now).values_list("pk", flat=True)[:_BATCH])
        if not pks:
            return deleted
        deleted += IdempotentOutcome.objects.filter(pk__in=pks, expires_at__lt=now).delete()[0]


def _claim_fields(claim: Claim) -> dict[str, Any]:
    return {
        "fingerprint": claim.fingerprint,
        "request_id": claim.request_id,
        "owner": claim.owner,
        "lease_until": claim.lease_until,
        "created_at": claim.at,
        "expires_at": claim.at + KEPT_FOR,
        "status": None,
        "headers": None,
        "body": None,
    }


def _is_own(row: IdempotentOutcome, claim: Claim) -> bool:
    """Claimed by this request in an earlier try whose acknowledgement was lost."""
    return row.request_id == claim.request_id and row.status is None


def _conflict() -> IdempotencyConflict:
    return IdempotencyConflict(
        "This Idempotency-Key was used for another request within the last 24 hours: the path, the body or a "
        "steering header differs. Use a new key for a new request."
    )


def _is_dead(row: IdempotentOutcome, now: datetime) -> bool:
    """The claim's lease has expired, or its process is dead (see sweeper.py)."""
    if row.lease_until <= now:
        return True
    silence = timedelta(seconds=settings.PROCESS_SILENCE_S)
    is_silent = Q(seen_at__lt=now - silence, missed_at__lt=now - silence / 2)
    return bool(row.owner) and not WebProcess.objects.filter(~is_silent, pk=row.owner).exists()


def _resolve_dead(row: IdempotentOutcome, now: datetime) -> int | None:
    """The status a dead claim gets: None (free), _RUNNING while its request is open, or 200 (used).

    If the request was charged but its process died before the outcome was stored, the key stays used without
    a body, because a new try would be charged again. An open request is settled here, not left to the next
    sweep: if it were settled after the new try began, the key could be charged twice.
    """
    if _was_charged(row.request_id) is None:
        sweep(now)
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
    """True: it succeeded or cost something. None: it is still open. False: it cost nothing or never began."""
    row = Request.objects.filter(pk=request_id).values_list("status", "cost_usd", "unpriced").first()
    if row is None:
        return False
    status, cost_usd, is_unpriced = row
    if status == Request.Status.OPEN:
        return None
    return status == Request.Status.SUCCEEDED or is_unpriced or bool(cost_usd)


def _stored(row: IdempotentOutcome) -> Outcome:
    assert row.status is not None
    body = None
    if row.body is not None:
        try:
            body = decrypt_bytes(bytes(row.body))
        except CannotDecrypt as error:  # it was charged, so it must not run again
            logger.error("the outcome of request %s cannot be replayed: %s", row.request_id, error)
    return Outcome(row.request_id, row.status, row.headers or {}, body)


def _encrypted(account_id: int, outcome: Outcome) -> bytes | None:
    """The body as it is stored; None if it is too large. A second try is then refused, not charged again."""
    if outcome.body is None or len(outcome.body) > MOST_BYTES:
        return None
    encrypted = encrypt_bytes(outcome.body)
    return encrypted if _quota.takes(account_id, len(encrypted)) else None


_ACCOUNTS_KNOWN = 10_000


class _Quota:
    """Roughly how many bytes each account has stored, as far as this process knows."""

    def __init__(self) -> None:
        self._known: LRUCache[int, tuple[float, int]] = LRUCache(_ACCOUNTS_KNOWN)

    def takes(self, account_id: int, size: int) -> bool:
        until, stored = self._known.get(account_id, (0.0, 0))
        if until < time.monotonic():
            total = IdempotentOutcome.objects.filter(account_id=account_id).aggregate(n=Sum(Length("body")))
            until, stored = time.monotonic() + _SIZE_KNOWN_S, total["n"] or 0
        if stored + size > MOST_BYTES_OF_ACCOUNT:
            return False
        self._known[account_id] = until, stored + size
        return True


_quota = _Quota()
