"""The cache of all web processes: Redis, and while Redis is away the database.

It counts sign-in attempts and remembers used one-time codes. Losing Redis must neither lock people out nor
let attackers in: the database's counts start at zero, so at most twice as many attempts get through.
"""

import logging
from typing import Any

from django.core.cache.backends.db import DatabaseCache
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import ConnectionError as NoConnection
from redis.exceptions import TimeoutError as NoAnswer

logger = logging.getLogger(__name__)

TABLE = "accounts_remembered"
# When full, the database cache deletes a third of its entries: far more rows than the counted minutes
# produce.
OPTIONS = {"MAX_ENTRIES": 1_000_000}
_AWAY = (NoConnection, NoAnswer)


class RedisOrDatabaseCache(RedisCache):
    """Django's Redis cache with a fallback for the four methods we use; other methods need Redis."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._fallback = DatabaseCache(TABLE, {"OPTIONS": OPTIONS})

    def add(self, *args: Any, **options: Any) -> bool:
        return bool(self._with_fallback("add", *args, **options))

    def get(self, *args: Any, **options: Any) -> Any:
        return self._with_fallback("get", *args, **options)

    def set(self, *args: Any, **options: Any) -> None:
        self._with_fallback("set", *args, **options)

    def delete(self, *args: Any, **options: Any) -> bool:
        return bool(self._with_fallback("delete", *args, **options))

    def _with_fallback(self, name: str, *args: Any, **options: Any) -> Any:
        try:
            return getattr(super(), name)(*args, **options)
        except _AWAY as error:
            logger.warning("Redis is away (%s); the database counts sign-in attempts", type(error).__name__)
            return getattr(self._fallback, name)(*args, **options)
