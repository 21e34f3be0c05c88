"""Puts what lies encrypted in the database under the present SECRET_KEY, so that an old one can be let go.

What is under it already is left alone, so a run that was cut off is gone on with by the next. Each batch is a
transaction of its own with its rows locked: nobody's change is lost, and nobody waits for long.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allauth.mfa.models import Authenticator
from django.db import transaction
from django.db.models import QuerySet

from accounts.audit import record
from billing.alerts.models import AlertChannel
from billing.models import IdempotentOutcome
from core.encryption import CannotUnseal, is_sealed_anew, reseal

BATCH = 100  # rows; an answer kept for its Idempotency-Key may be a megabyte


@dataclass(frozen=True)
class Shelf:
    """One kind of secret. `read` and `put` tell a row's sealed secrets by name; `field` is their column."""

    name: str
    rows: Callable[[], QuerySet[Any]]
    field: str
    read: Callable[[Any], dict[str, bytes]]
    put: Callable[[Any, dict[str, bytes]], None]


@dataclass(frozen=True)
class Resealed:
    """How many rows of a shelf were encrypted anew, were so already, or could not be read."""

    name: str
    anew: int
    already: int
    unreadable: int


def reseal_all(by: str) -> Iterator[Resealed]:
    """Shelf by shelf, as each is done; an act of the operator, which the audit log tells when it is over."""
    done = []
    for shelf in SHELVES:
        done.append(_reseal(shelf))
        yield done[-1]
    if any(one.anew for one in done):
        record(None, by, "secrets.resealed", detail={one.name: one.anew for one in done})


def _reseal(shelf: Shelf) -> Resealed:
    seen: Counter[str] = Counter()
    last = 0
    while pks := list(shelf.rows().filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        last = pks[-1]
        with transaction.atomic():
            for row in shelf.rows().select_for_update().filter(pk__in=pks):
                seen[_reseal_row(shelf, row)] += 1
    return Resealed(shelf.name, seen["anew"], seen["already"], seen["unreadable"])


def _reseal_row(shelf: Shelf, row: Any) -> str:
    secrets = shelf.read(row)
    if all(is_sealed_anew(sealed) for sealed in secrets.values()):
        return "already"
    try:
        shelf.put(row, {name: reseal(sealed) for name, sealed in secrets.items()})
    except CannotUnseal:
        return "unreadable"
    row.save(update_fields=[shelf.field])
    return "anew"


def _column(name: str) -> tuple[Callable[[Any], dict[str, bytes]], Callable[[Any, dict[str, bytes]], None]]:
    """Of a row with one secret in a column."""

    def read(row: Any) -> dict[str, bytes]:
        return {name: bytes(getattr(row, name))}

    def put(row: Any, sealed: dict[str, bytes]) -> None:
        setattr(row, name, sealed[name])

    return read, put


def _factor_secrets(row: Authenticator) -> dict[str, bytes]:
    """An app's secret, or the seed that recovery codes are made from."""
    return {name: row.data[name].encode() for name in ("secret", "seed") if name in row.data}


def _put_factor_secrets(row: Authenticator, sealed: dict[str, bytes]) -> None:
    row.data |= {name: value.decode() for name, value in sealed.items()}


SHELVES = (
    Shelf(
        "webhook secrets",
        lambda: AlertChannel.objects.filter(secret__isnull=False),
        "secret",
        *_column("secret"),
    ),
    Shelf(
        "second factors",
        Authenticator.objects.all,
        "data",
        _factor_secrets,
        _put_factor_secrets,
    ),
    Shelf(
        "answers under an Idempotency-Key",
        lambda: IdempotentOutcome.objects.filter(body__isnull=False),
        "body",
        *_column("body"),
    ),
)
