"""Entries kept for a while, encrypted: in Redis, for all web processes, or without Redis in this process.

Never in the database. Best effort: while Redis is not available, nothing is stored or returned.
"""

import contextlib
import hashlib
import time
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from cachetools import TTLCache
from django.conf import settings

from core.encryption import CannotDecrypt, decrypt_bytes, encrypt_bytes
from core.shared_redis import RedisAway, SharedRedis

MOST_BYTES = 32_000_000  # of each kind, in this process
_TIMEOUT_S = 0.25  # a request waits at most that long for Redis


class Store(Protocol):
    async def put(self, key: bytes, entry: bytes) -> None: ...
    async def get(self, keys: list[bytes]) -> list[bytes | None]: ...

    async def touch(self, keys: list[bytes]) -> None:
        """Keep the entries as long again as new ones."""

    async def close(self) -> None: ...


class MemoryStore:
    """In this process, bounded by bytes; the least recently used entries are dropped first."""

    def __init__(self, seconds: float, most_bytes: int = MOST_BYTES) -> None:
        self._entries: TTLCache[bytes, bytes] = TTLCache(
            most_bytes, seconds, timer=lambda: time.monotonic(), getsizeof=len
        )

    async def put(self, key: bytes, entry: bytes) -> None:
        self._entries[key] = entry

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._entries.get(key) for key in keys]

    async def touch(self, keys: list[bytes]) -> None:
        for key in keys:
            if (entry := self._entries.get(key)) is not None:
                self._entries[key] = entry

    async def close(self) -> None:
        self._entries.clear()


class RedisStore:
    """Shared by all web processes, encrypted; while Redis is not available, nothing is stored or returned."""

    def __init__(self, url: str, prefix: str, seconds: int, kind: str) -> None:
        self._redis = SharedRedis(
            url, timeout_s=_TIMEOUT_S, meanwhile=f"requests go without the {kind} of earlier turns"
        )
        self._prefix, self._seconds = f"{prefix}:{kind}", seconds

    async def put(self, key: bytes, entry: bytes) -> None:
        name, encrypted = self._name(key), encrypt_bytes(entry)
        with contextlib.suppress(RedisAway):
            await self._redis.run(lambda: self._redis.client.set(name, encrypted, ex=self._seconds))

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        names = [self._name(key) for key in keys]
        try:
            entries: list[Any] = await self._redis.run(lambda: self._redis.client.mget(names))
        except RedisAway:
            return [None] * len(keys)
        return [_decrypted(entry) for entry in entries]

    async def touch(self, keys: list[bytes]) -> None:
        async def expire() -> None:
            async with self._redis.client.pipeline(transaction=False) as pipeline:
                for key in keys:
                    pipeline.expire(self._name(key), self._seconds)
                await pipeline.execute()

        with contextlib.suppress(RedisAway):
            await self._redis.run(expire)

    async def close(self) -> None:
        await self._redis.close()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}:{key.hex()}"


def _decrypted(entry: bytes | None) -> bytes | None:
    try:
        return None if entry is None else decrypt_bytes(entry)
    except CannotDecrypt:  # the SECRET_KEY was changed meanwhile
        return None


def store_for(kind: str, seconds: int) -> Store | None:
    """The store that the settings choose for a kind of entry; None: nothing is stored."""
    if seconds == 0:
        return None
    if settings.REDIS_URL:
        return RedisStore(settings.REDIS_URL, settings.REDIS_PREFIX, seconds, kind)
    return MemoryStore(seconds)


def entry_key(account_id: int, names: Iterable[str]) -> bytes:
    """The key of an account's entry: a keyed hash of its names."""
    digest = hashlib.blake2b(digest_size=16, key=account_id.to_bytes(8))
    digest.update(msgspec.msgpack.encode(list(names)))
    return digest.digest()
