"""Keeps the breakers of all web processes in step, through Redis.

One hash holds the circuits that are open, each with the time of Redis' own clock until which it is. Every
process tells it at once what changed and reads it once a second; only the right to a probe is asked for while
a request waits, and not for longer than `CLAIM_S`. Without Redis each process goes on with what it knows.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import redis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from routing.execute.breaker import Breaker, Circuit, Name

logger = logging.getLogger(__name__)

EVERY_S = 1.0  # between readings
CLAIM_S = 0.1  # a request waits no longer for the right to a probe
_TIMEOUT_S = 0.5  # of what no request waits for
_PAUSE_S = 1.0  # after a failure nobody asks Redis for a probe for so long
_FORGET_MS = 3_600_000  # a circuit half-open for so long belongs to what nobody asks for any more
_GONE = (RedisError, OSError, TimeoutError)

# An entry is "<until, ms of Redis' clock>:<JSON of _SharedCircuit>". The field "" shows that the hash was
# not lost.
_IN_STEP = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lost = redis.call('HSETNX', KEYS[1], '', '0')
for i = 1, #ARGV / 3 do
  local field, left, said = ARGV[i * 3 - 2], tonumber(ARGV[i * 3 - 1]), ARGV[i * 3]
  redis.call('DEL', KEYS[i + 1])
  if said == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, string.format('%.0f:%s', now + left, said))
  end
end
redis.call('PEXPIRE', KEYS[1], FORGET)
return {lost, string.format('%.0f', now), redis.call('HGETALL', KEYS[1])}
""".replace("FORGET", str(_FORGET_MS))

_CLAIM = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for i = 2, #KEYS do
  local entry = redis.call('HGET', KEYS[1], ARGV[i])
  if entry and tonumber(string.match(entry, '^%-?%d+')) > now then return 0 end
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
for i = 2, #KEYS do redis.call('SET', KEYS[i], '1', 'PX', ARGV[1]) end
return 1
"""


class _SharedCircuit(msgspec.Struct, array_like=True, frozen=True):
    reason: str
    pause_s: float
    long: bool


class SharedBreaker:
    """Puts one process's breaker in step with the others'; `start` it in the loop that uses the breaker."""

    def __init__(self, breaker: Breaker, url: str, prefix: str) -> None:
        self._breaker = breaker
        self._redis = Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix = f"{prefix}:breaker"
        self._in_step = self._redis.register_script(_IN_STEP)
        self._claim_script = self._redis.register_script(_CLAIM)
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._away_until = 0.0
        self._is_away = False

    async def start(self) -> None:
        """Returns when what the others know is known here, or Redis does not say."""
        self._loop = asyncio.get_running_loop()
        self._breaker.claim, self._breaker.on_news = self.claim, self._changed
        await self.exchange()
        self._task = asyncio.create_task(self._keep_in_step())

    async def stop(self) -> None:
        self._breaker.claim = self._breaker.on_news = None
        if self._task is not None:
            self._stopping = True  # a cancellation that meets a deadline inside the client is sometimes lost
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        with contextlib.suppress(*_GONE):
            await self._redis.aclose()

    async def claim(self, circuits: Sequence[Name], probe_s: float) -> bool:
        """Whether this process may probe all of these now; yes when Redis does not say in time."""
        if time.monotonic() < self._away_until:
            return True
        keys = [self._prefix, *(self._probe_key(name) for name in circuits)]
        args: list[Any] = [max(1, round(probe_s * 1000)), *(_field(name) for name in circuits)]
        try:
            async with asyncio.timeout(CLAIM_S):
                return bool(await self._claim_script(keys=keys, args=args))
        except _GONE as error:
            self._away(error)
            return True

    async def exchange(self) -> None:
        """Tell what changed here and take over what changed elsewhere."""
        news = self._breaker.news(time.monotonic())
        args: list[Any] = []
        for name, (_, circuit) in news.items():
            args += _entry(name, circuit)
        keys = [self._prefix, *(self._probe_key(name) for name in news)]
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                lost, now_ms, flat = await self._in_step(keys=keys, args=args)
        except _GONE as error:
            self._away(error)
            return
        if self._is_away:
            logger.warning("the breakers of all processes are in step again")
        self._is_away, self._away_until = False, 0.0
        self._breaker.told(news)
        if lost:  # the hash is new: what is not in it is not closed for that
            self._breaker.retell()
        shared = _circuits(dict(zip(flat[::2], flat[1::2], strict=True)), int(now_ms))
        self._breaker.adopt(shared, time.monotonic())

    def _changed(self) -> None:
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _keep_in_step(self) -> None:
        while not self._stopping:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            await self.exchange()

    def _away(self, error: BaseException) -> None:
        self._away_until = time.monotonic() + _PAUSE_S
        if not self._is_away:
            self._is_away = True
            logger.warning("Redis is away (%r): this process's breaker goes on by itself", error)

    def _probe_key(self, name: Name) -> str:
        return f"{self._prefix}:probe:{_field(name)}"


def circuits_of_all(url: str, prefix: str, breakers: Iterable[Breaker], now: float) -> tuple[Circuit, ...]:
    """What is open or half-open in any process, for a page; without Redis, in this one's breakers."""
    if url:
        try:
            with redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            ) as client:
                seconds, micros = client.time()
                found = client.hgetall(f"{prefix}:breaker")
            return tuple(_circuits(found, seconds * 1000 + micros // 1000).values())
        except _GONE as error:
            logger.warning("Redis is away (%r): these are the circuits of one process", error)
    return tuple(circuit for breaker in breakers for circuit in breaker.circuits(now))


def _entry(name: Name, circuit: Circuit | None) -> list[str]:
    """As the script takes it: the field, how long it is open yet in ms, and the rest; empty: it closed."""
    if circuit is None:
        return [_field(name), "0", ""]
    said = _SharedCircuit(circuit.reason, circuit.pause_s, circuit.long)
    return [_field(name), str(round(circuit.left_s * 1000)), msgspec.json.encode(said).decode()]


def _circuits(entries: dict[bytes, bytes], now_ms: int) -> dict[Name, Circuit]:
    found: dict[Name, Circuit] = {}
    for field, entry in entries.items():
        until, _, said = entry.partition(b":")
        left_ms = int(until) - now_ms
        scope, _, name = field.decode().partition(":")
        if scope not in ("model", "provider") or left_ms < -_FORGET_MS:
            continue
        rest = msgspec.json.decode(said, type=_SharedCircuit)
        key: Name = ("model" if scope == "model" else "provider", name)
        found[key] = Circuit(*key, rest.reason, left_ms / 1000, rest.pause_s, rest.long)
    return found


def _field(name: Name) -> str:
    return ":".join(name)
