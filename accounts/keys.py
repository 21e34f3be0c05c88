"""API keys: created once, stored as a hash, rotated with an overlap, revoked permanently."""

from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import msgspec
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from accounts.caller import Limits
from accounts.caller_lookup import forget_caller, own_limits
from accounts.key_format import digest_of, new_secret
from accounts.models import Account, ApiKey, User

SCOPES = {"chat": "Send chat requests", "read": "Read requests, usage and the key itself"}
EXPIRING_SOON = timedelta(days=7)


class KeyNotUsable(Exception):
    """A revoked or expired key cannot be rotated."""


def create_key(
    account: Account,
    name: str,
    *,
    created_by: User | None = None,
    scopes: Iterable[str] = tuple(SCOPES),
    limits: Limits | None = None,
    strategy: str = "",
    fallback: bool | None = None,
    expires_at: datetime | None = None,
    allowed_models: Iterable[str] = (),
    ip_networks: Iterable[str] = (),
    origin_id: int | None = None,
) -> tuple[ApiKey, str]:
    """Returns the stored key and its secret, which can't be shown again.

    `limits` None: only the account's. `origin_id`: the first key that this one replaces.
    """
    secret = new_secret()
    key = ApiKey.objects.create(
        account=account,
        name=name,
        digest=digest_of(secret),
        last_four=secret[-4:],
        created_by=created_by,
        scopes=list(scopes),
        strategy=strategy,
        fallback=fallback,
        expires_at=expires_at,
        allowed_models=list(allowed_models),
        ip_networks=list(ip_networks),
        origin_id=origin_id,
        **msgspec.structs.asdict(limits or Limits()),
    )
    return key, secret


def playground_key(account: Account) -> ApiKey:
    """The key under which the playground's requests are counted. Its secret is never shown.

    It is created at the account's first request from there.

    Raises KeyNotUsable when it is revoked, as the keys of a deleted account are.
    """
    mine = ApiKey.objects.select_related("account__plan").filter(account=account, is_playground=True)
    key = mine.first()
    if key is None:
        with suppress(IntegrityError), transaction.atomic():  # another process may be first
            ApiKey.objects.create(
                account=account,
                name="Playground",
                digest=digest_of(new_secret()),
                scopes=["chat"],
                is_playground=True,
            )
        key = mine.get()
    if key.revoked_at is not None:
        raise KeyNotUsable("This account's playground is switched off.")
    return key


def revoke(key: ApiKey) -> None:
    """Revoke a key permanently: at once in this process, within 2 s in others."""
    if key.revoked_at is None:
        key.revoked_at = timezone.now()
        key.save(update_fields=["revoked_at"])
    transaction.on_commit(lambda: forget_caller(key.digest))


def suspend_keys_of(user: User, account: Account) -> list[ApiKey]:
    """Suspend the working keys of an account that this person created, and return them."""
    keys = list(
        ApiKey.objects.filter(account=account, created_by=user, revoked_at=None, suspended_at=None).filter(
            Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        )
    )
    ApiKey.objects.filter(pk__in=[key.pk for key in keys]).update(suspended_at=timezone.now())
    for key in keys:
        transaction.on_commit(partial(forget_caller, key.digest))
    return keys


def resume(key: ApiKey) -> None:
    """Let a suspended key work again."""
    key.suspended_at = None
    key.save(update_fields=["suspended_at"])
    transaction.on_commit(lambda: forget_caller(key.digest))


def rotate(key: ApiKey, overlap: timedelta, *, by: User | None = None) -> tuple[ApiKey, str]:
    """Create a new key with the same rights and lifetime; the old one works for `overlap` longer.

    Both count in the same budgets and rates, during the overlap and after it.

    Raises KeyNotUsable when the old key is revoked or expired.
    """
    now = timezone.now()
    with transaction.atomic():
        old = ApiKey.objects.select_for_update().select_related("account").get(pk=key.pk)
        if status_of(old, now) in ("revoked", "expired", "suspended"):
            raise KeyNotUsable("This key is revoked, expired or suspended; create a new one instead.")
        lifetime = old.expires_at - old.created_at if old.expires_at else None
        new, secret = create_key(
            old.account,
            old.name,
            created_by=by,
            scopes=old.scopes,
            limits=own_limits(old),
            strategy=old.strategy,
            fallback=old.fallback,
            expires_at=now + lifetime if lifetime else None,
            allowed_models=old.allowed_models,
            ip_networks=old.ip_networks,
            origin_id=old.lineage_id,
        )
        ends = now + overlap
        old.expires_at = min(old.expires_at, ends) if old.expires_at else ends
        old.save(update_fields=["expires_at"])
        transaction.on_commit(lambda: forget_caller(old.digest))
    return new, secret


def status_of(key: ApiKey, now: datetime) -> str:
    """`active`, `expiring`, `expired`, `suspended` or `revoked`."""
    if key.revoked_at is not None:
        return "revoked"
    if key.expires_at is None:
        return "active" if key.suspended_at is None else "suspended"
    if key.expires_at <= now:
        return "expired"
    if key.suspended_at is not None:
        return "suspended"
    return "expiring" if key.expires_at - now <= EXPIRING_SOON else "active"
