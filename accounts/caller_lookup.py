"""Finds the Caller an API key belongs to: from memory if it was looked up in the last 2 s, else by one query.

The memory saves a chat request the query; entries live only 2 s, so a revocation takes effect within 2 s in
every process.
"""

import asyncio
import hmac
import ipaddress
import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cachetools import FIFOCache
from django.db import DatabaseError, connections
from django.db.models import Q
from msgspec.structs import asdict

from accounts.caller import Caller, Limits
from accounts.key_format import SECRET_LENGTH, digest_of, well_formed
from accounts.models import Account, ApiKey, LimitFields
from core.database import from_database_on
from core.errors import ApiError, ExpiredApiKey, InvalidApiKey, PermissionDenied

TTL_S = 2.0  # how long a revoked key may still work in another process
_KNOWN_KEPT = 20_000  # callers, about 1 kB each
_UNKNOWN_KEPT = 5_000  # kept apart, so that guessing cannot push callers out
_TOUCH_EVERY = timedelta(minutes=1)

CHALLENGE = {"WWW-Authenticate": "Bearer"}
_log = logging.getLogger(__name__)
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


async def find_caller(secret: str, remote_ip: str | None) -> Caller:
    """The caller whose API key this is.

    Raises InvalidApiKey, ExpiredApiKey or PermissionDenied (not from this address).
    """
    digest = _digest_of(secret)
    is_cached, caller = _memory.get(digest)
    if not is_cached:
        _check_form(secret)
        caller = await _load_once(digest)
    return _admitted(caller, remote_ip)


def find_caller_sync(secret: str, remote_ip: str | None) -> Caller:
    """As `find_caller`, for views that are not async; a miss queries the database in this thread."""
    digest = _digest_of(secret)
    is_cached, caller = _memory.get(digest)
    if not is_cached:
        _check_form(secret)
        with _sync_loading:
            is_cached, caller = _memory.get(digest)
            if not is_cached:
                caller, touch_is_due = _load(digest)
                if caller is not None and touch_is_due:
                    _touch(caller.key_id)
    return _admitted(caller, remote_ip)


def own_limits(row: LimitFields) -> Limits:
    """The ceilings set on a plan, an account or a key itself, without those it inherits."""
    return Limits(**{name: getattr(row, name) for name in Limits.__struct_fields__})


def limits_in_force(account: Account) -> Limits:
    """An account's own ceilings, and its plan's where the account has none of its own."""
    own, of_plan = asdict(own_limits(account)), asdict(own_limits(account.plan))
    return Limits(**{name: of_plan[name] if value is None else value for name, value in own.items()})


def forget_caller(digest: str) -> None:
    """Read the key from the database next time: it has changed."""
    _memory.drop(digest)


def forget_all_callers() -> None:
    _memory.clear()


def close_connections() -> None:
    """Close the loading threads' database connections, after the queries under way."""
    gate = threading.Barrier(_LOADERS)

    def close_here() -> None:
        gate.wait()  # blocks the thread until each of the others has a call too
        connections.close_all()

    for done in [_loaders.submit(close_here) for _ in range(_LOADERS)]:
        done.result()


class _Memory:
    """Digest → Caller, or None for a digest of no key; bounded, the oldest entry is dropped first."""

    def __init__(self, most_known: int = _KNOWN_KEPT, most_unknown: int = _UNKNOWN_KEPT) -> None:
        self._known: FIFOCache[str, tuple[float, Caller]] = FIFOCache(most_known)
        self._unknown: FIFOCache[str, float] = FIFOCache(most_unknown)
        self._lock = threading.Lock()

    def get(self, digest: str) -> tuple[bool, Caller | None]:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(digest)
            if known is not None and known[0] > now:
                return True, known[1]
            return self._unknown.get(digest, 0.0) > now, None

    def put(self, digest: str, caller: Caller | None, until: float) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)
            if caller is not None:
                self._known[digest] = (until, caller)
            else:
                self._unknown[digest] = until

    def drop(self, digest: str) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._unknown.pop(digest, None)

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._unknown.clear()


_memory = _Memory()
_sync_loading = threading.Lock()
_LOADERS = 2
_loaders = ThreadPoolExecutor(_LOADERS, thread_name_prefix="callers")
# One query at a time for a digest in an event loop; concurrent requests with the same key await it.
_loading: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[tuple[Caller | None, bool]]] = {}


def _digest_of(secret: str) -> str:
    """The digest of a key of the right length. Raises InvalidApiKey."""
    if len(secret) != SECRET_LENGTH:
        _check_form(secret)
    return digest_of(secret)


def _check_form(secret: str) -> None:
    """Raises InvalidApiKey. A key that is remembered has passed this check before."""
    if not well_formed(secret):
        raise InvalidApiKey("This is not one of our API keys: it is mistyped or cut off.", headers=CHALLENGE)


async def _load_once(digest: str) -> Caller | None:
    loop = asyncio.get_running_loop()
    task = _loading.get((loop, digest))
    if task is None:
        task = _loading[loop, digest] = loop.create_task(from_database_on(_loaders, _load, digest))
        task.add_done_callback(lambda _: _loading.pop((loop, digest)))
    caller, touch_is_due = await asyncio.shield(
        task
    )  # a caller that disconnects must not cancel the query for the others
    if caller is not None and touch_is_due:
        _loaders.submit(_touch_in_thread, caller.key_id)
    return caller


def _load(digest: str) -> tuple[Caller | None, bool]:
    """Query the database and remember the result; its 2 s count from before the query.

    Returns also whether it is time to store when the key was last used.
    """
    until = time.monotonic() + TTL_S
    key = ApiKey.objects.select_related("account__plan").filter(digest=digest, revoked_at=None).first()
    if key is not None and key.suspended_at is not None:
        _memory.put(digest, None, until)
        raise InvalidApiKey(
            "This key is suspended because the member who created it left the account. An owner or admin can "
            "resume it on the page Keys.",
            headers=CHALLENGE,
        )
    if key is None or not hmac.compare_digest(key.digest, digest):
        _memory.put(digest, None, until)
        return None, False
    caller = caller_of(key)
    _memory.put(digest, caller, until)
    return caller, key.last_used_at is None or key.last_used_at < datetime.now(UTC) - _TOUCH_EVERY


def caller_of(key: ApiKey) -> Caller:
    """The caller that a key stands for. Whether the key is still valid is not checked."""
    account = key.account
    return Caller(
        key_id=key.pk,
        lineage_id=key.lineage_id,
        key_name=key.name,
        account_id=account.pk,
        account_name=account.name,
        plan=account.plan_id,
        key_limits=own_limits(key),
        account_limits=limits_in_force(account),
        scopes=frozenset(key.scopes),
        models=frozenset(key.allowed_models),
        account_models=frozenset(account.allowed_models),
        ip_networks=tuple(key.ip_networks),
        expires_at=key.expires_at,
        strategy=key.strategy or account.strategy,
        baseline_model=account.baseline_model or None,
        fallback=account.fallback if key.fallback is None else key.fallback,
        rescue=account.rescue,
        replace_retired=account.replace_retired,
        log_content=account.log_content,
        time_zone=account.time_zone,
    )


def _admitted(caller: Caller | None, remote_ip: str | None) -> Caller:
    if caller is None:
        raise InvalidApiKey(
            "This API key is unknown or was revoked. Create one on the Keys page.", headers=CHALLENGE
        )
    error: ApiError | None = None
    if caller.expires_at is not None and caller.expires_at <= datetime.now(UTC):
        error = ExpiredApiKey(
            f"This API key expired on {caller.expires_at:%Y-%m-%d at %H:%M} UTC. "
            "Create or rotate one on the Keys page.",
            headers=CHALLENGE,
        )
    elif caller.ip_networks and not _is_within(remote_ip, caller.ip_networks):
        error = PermissionDenied(
            "This API key may not be used from this network address. Add it to the key's networks."
        )
    if error is not None:
        error.refused_key = caller.account_id, caller.key_id
        raise error
    return caller


def _is_within(remote_ip: str | None, networks: tuple[str, ...]) -> bool:
    try:
        address = ipaddress.ip_address(remote_ip or "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in _network(network) for network in networks)


@lru_cache(maxsize=10_000)
def _network(text: str) -> _Network:
    return ipaddress.ip_network(text)


def _touch_in_thread(key_id: int) -> None:
    """Store the last use while the request goes on; a failure is only logged."""
    try:
        _touch(key_id)
    except DatabaseError:
        _log.warning("the last use of key %d was not written", key_id, exc_info=True)


def _touch(key_id: int) -> None:
    now = datetime.now(UTC)
    is_old = Q(last_used_at=None) | Q(last_used_at__lt=now - _TOUCH_EVERY)
    ApiKey.objects.filter(is_old, pk=key_id).update(last_used_at=now)
