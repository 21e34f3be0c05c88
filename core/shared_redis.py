"""A Redis connection for work that must not wait for Redis.

A call that fails or takes too long raises `RedisAway`, and so does every call of the next second, without
touching Redis: a request then waits once for a Redis that hangs, and the others not at all.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.redis_scripts import Argument, Script, ScriptConnection

__all__ = ["GONE", "RedisAway", "Script", "SharedRedis"]

logger = logging.getLogger(__name__)

PAUSE_S = 1.0  # after a failure
GONE = (RedisError, OSError, TimeoutError)
Result = TypeVar("Result")


class RedisAway(Exception):
    """Redis did not answer in time, failed, or is left alone after a failure."""


class SharedRedis:
    """`timeout_s` limits connecting and each reply. `meanwhile`: what happens without Redis, for the log."""

    def __init__(self, url: str, *, timeout_s: float, meanwhile: str) -> None:
        self.client: Redis = Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=Retry(NoBackoff(), 0)
        )
        self._scripts = ScriptConnection(self.client.connection_pool, timeout_s)
        self._meanwhile = meanwhile
        self._paused_until = 0.0
        self._is_away = False

    async def run(
        self,
        work: Callable[[], Awaitable[Result]],
        *,
        within_s: float | None = None,
        during_pause: bool = False,
    ) -> Result:
        """Return the result of calls of `client`. Raises RedisAway.

        `within_s` limits all of the work; `during_pause` is for work that no request waits for.
        """
        if time.monotonic() < self._paused_until and not during_pause:
            raise RedisAway
        try:
            async with asyncio.timeout(within_s):
                result = await work()
        except GONE as error:
            raise self._away(error) from error
        if self._is_away:
            self._is_back()
        return result

    async def script(self, script: Script, keys: Sequence[str], args: Sequence[Argument]) -> Any:
        """The result of a script. Calls that are made at the same time go together.

        Raises RedisAway, for all calls under way when Redis does not reply.
        """
        if time.monotonic() < self._paused_until:
            raise RedisAway
        try:
            result = await self._scripts.call(script, keys, args)
        except GONE as error:
            away = self._away(error)
            # The idle ones have most likely broken too, which redis-py would notice only by using them.
            await self.client.connection_pool.disconnect(inuse_connections=False)
            raise away from error
        if self._is_away:
            self._is_back()
        return result

    async def close(self) -> None:
        await self._scripts.close()
        await self.client.aclose()

    def _away(self, error: BaseException) -> RedisAway:
        self._paused_until = time.monotonic() + PAUSE_S
        if not self._is_away:
            logger.warning("Redis is not available (%r): %s", error, self._meanwhile)
        self._is_away = True
        return RedisAway()

    def _is_back(self) -> None:
        logger.warning("Redis is back, after this: %s", self._meanwhile)
        self._is_away, self._paused_until = False, 0.0
