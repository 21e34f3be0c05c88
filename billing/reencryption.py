"""Encrypts the secrets in the database again with the current SECRET_KEY, so that an old one can be removed.

Secrets that use the current key already are skipped, so an interrupted run can simply be started again. Each
batch is a short transaction that locks its rows: no concurrent change is lost.
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
from billing.content.models import StoredContent
from billing.models import IdempotentOutcome
from core.encryption import CannotDecrypt, reencrypt, uses_current_key

BATCH = 100  # rows; the outcome stored for an Idempotency-Key may be a megabyte


@dataclass(frozen=True)
class SecretStore:
    """A table with secrets in the column `field`. `load` and `store` map a row to its secrets by name."""

    name: str
    rows: Callable[[], QuerySet[Any]]
    field: str
    load: Callable[[Any], dict[str, bytes]]
    store: Callable[[Any, dict[str, bytes]], None]


@dataclass(frozen=True)
class Reencrypted:
    """Rows of a store that were encrypted anew, used the current key already, or could not be decrypted."""

    name: str
    anew: int
    already: int
    unreadable: int


def reencrypt_all(by: str) -> Iterator[Reencrypted]:
    """Yield the counts of each store as it is finished; the audit log gets one entry at the end."""
    finished = []
    for store in STORES:
        finished.append(_reencrypt_store(store))
        yield finished[-1]
    if any(counts.anew for counts in finished):
        record(None, by, "secrets.resealed", detail={counts.name: counts.anew for counts in finished})


def _reencrypt_store(store: SecretStore) -> Reencrypted:
    results: Counter[str] = Counter()
    last = 0
    while pks := list(store.rows().filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:BATCH]):
        last = pks[-1]
        with transaction.atomic():
            for row in store.rows().select_for_update().filter(pk__in=pks):
                results[_reencrypt_row(store, row)] += 1
    return Reencrypted(store.name, results["anew"], results["already"], results["unreadable"])


def _reencrypt_row(store: SecretStore, row: Any) -> str:
    secrets = store.load(row)
    if all(uses_current_key(encrypted) for encrypted in secrets.values()):
        return "already"
    try:
        store.store(row, {name: reencrypt(encrypted) for name, encrypted in secrets.items()})
    except CannotDecrypt:
        return "unreadable"
    row.save(update_fields=[store.field])
    return "anew"


def _column(name: str) -> tuple[Callable[[Any], dict[str, bytes]], Callable[[Any, dict[str, bytes]], None]]:
    """`load` and `store` of rows with one secret in a column."""

    def load(row: Any) -> dict[str, bytes]:
        return {name: bytes(getattr(row, name))}

    def store(row: Any, encrypted: dict[str, bytes]) -> None:
        setattr(row, name, encrypted[name])

    return load, store


def _load_factor_secrets(row: Authenticator) -> dict[str, bytes]:
    """The secret of an authenticator app, or the seed of recovery codes."""
    return {name: row.data[name].encode() for name in ("secret", "seed") if name in row.data}


def _store_factor_secrets(row: Authenticator, encrypted: dict[str, bytes]) -> None:
    row.data |= {name: value.decode() for name, value in encrypted.items()}


STORES = (
    SecretStore(
        "webhook secrets",
        lambda: AlertChannel.objects.filter(secret__isnull=False),
        "secret",
        *_column("secret"),
    ),
    SecretStore(
        "prompts and answers",
        StoredContent.objects.all,
        "body",
        *_column("body"),
    ),
    SecretStore(
        "second factors",
        Authenticator.objects.all,
        "data",
        _load_factor_secrets,
        _store_factor_secrets,
    ),
    SecretStore(
        "answers under an Idempotency-Key",
        lambda: IdempotentOutcome.objects.filter(body__isnull=False),
        "body",
        *_column("body"),
    ),
)
