"""The cache of all web processes: Redis, and while Redis is away the database.

It counts tries to sign in and remembers codes that were used. Nobody shall be locked out because Redis is
gone, and nobody get in: what is counted while it is away begins anew, so at most twice as much gets through.
"""

import logging
from typing import Any

from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

logger = logging.getLogger(__name__)

TABLE = "accounts_remembered"
# Full, it forgets a third of what still counts: far more than come in the minutes that count.
OPTIONS = {"MAX_ENTRIES": 1_000_000}
_AWAY = (NoConnection, NoAnswer)


class RedisOrDatabaseCache(RedisCache):
    """Django's Redis cache for the calls that are made of it; others fail as ever without Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._instead = DatabaseCache(TABLE, {"OPTIONS": OPTIONS})

    def add(self, *args: Any, **options: Any) -> bool:
        return bool(self._either("add", *args, **options))

    def get(self, *args: Any, **options: Any) -> Any:
        return self._either("get", *args, **options)

    def set(self, *args: Any, **options: Any) -> None:
        self._either("set", *args, **options)

    def delete(self, *args: Any, **options: Any) -> bool:
        return bool(self._either("delete", *args, **options))

    def _either(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            return getattr(super(), name)(*args, **options)
        except _AWAY as error:
            logger.warning("Redis is away (%s); the database counts tries to sign in", type(error).__name__)
            return getattr(self._instead, name)(*args, **options)
