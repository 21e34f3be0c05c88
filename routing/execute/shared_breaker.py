"""Shares the circuit breakers of all web processes through Redis.

One hash holds the open circuits, each with the end of its pause by Redis' own clock. Every process publishes
a change at once and reads the hash once a second. Only the right to a probe is requested while a request
waits, for at most `CLAIM_S`. Without Redis each process continues with what it knows.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import redis

from core.shared_redis import GONE, RedisAway, SharedRedis
from core.waiting import end
from routing.execute.breaker import Breaker, Circuit, Name

logger = logging.getLogger(__name__)

EVERY_S = 1.0  # between reads of the hash
CLAIM_S = 0.1  # a request waits no longer for the right to a probe
_TIMEOUT_S = 0.5  # for exchanges, which no request waits for
_FORGET_MS = 3_600_000  # a circuit half-open for that long belongs to a model that is no longer used

# An entry is "<until, ms of Redis' clock>:<JSON of _SharedCircuit>". The field "" shows that the hash was
# not lost.
_EXCHANGE = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local lost = redis.call('HSETNX', KEYS[1], '', '0')
for i = 1, #ARGV / 3 do
  local field, left, circuit = ARGV[i * 3 - 2], tonumber(ARGV[i * 3 - 1]), ARGV[i * 3]
  redis.call('DEL', KEYS[i + 1])
  if circuit == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, string.format('%.0f:%s', now + left, circuit))
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
    """Shares one process's breaker with the others; `start` it in the event loop that uses the breaker."""

    def __init__(self, breaker: Breaker, url: str, prefix: str) -> None:
        self._breaker = breaker
        self._redis = SharedRedis(
            url, timeout_s=_TIMEOUT_S, meanwhile="this process's circuit breaker continues alone"
        )
        self._prefix = f"{prefix}:breaker"
        self._exchange_script = self._redis.client.register_script(_EXCHANGE)
        self._claim_script = self._redis.client.register_script(_CLAIM)
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when the shared circuits are known here, or Redis is not available."""
        self._loop = asyncio.get_running_loop()
        self._breaker.claim, self._breaker.on_change = self.claim, self._changed
        await self.exchange()
        self._task = asyncio.create_task(self._keep_exchanging())

    async def stop(self) -> None:
        self._breaker.claim = self._breaker.on_change = None
        await end(self._task)
        with contextlib.suppress(*GONE):
            await self._redis.close()

    async def claim(self, circuits: Sequence[Name], probe_s: float) -> bool:
        """Return whether this process may probe all of these now; true when Redis does not answer in time."""
        keys = [self._prefix, *(self._probe_key(name) for name in circuits)]
        args: list[Any] = [max(1, round(probe_s * 1000)), *(_field(name) for name in circuits)]
        try:
            claimed = await self._redis.run(
                lambda: self._claim_script(keys=keys, args=args), within_s=CLAIM_S
            )
        except RedisAway:
            return True
        return bool(claimed)

    async def exchange(self) -> None:
        """Publish what changed here and take over what changed elsewhere."""
        changes = self._breaker.unpublished(time.monotonic())
        args: list[Any] = []
        for name, (_, circuit) in changes.items():
            args += _entry(name, circuit)
        keys = [self._prefix, *(self._probe_key(name) for name in changes)]
        try:
            lost, now_ms, flat = await self._redis.run(
                lambda: self._exchange_script(keys=keys, args=args), within_s=_TIMEOUT_S, during_pause=True
            )
        except RedisAway:
            return
        self._breaker.published(changes)
        if lost:  # the hash is new, so a circuit that is missing from it has not closed
            self._breaker.publish_all()
        shared = _circuits(dict(zip(flat[::2], flat[1::2], strict=True)), int(now_ms))
        self._breaker.adopt(shared, time.monotonic())

    def _changed(self) -> None:
        self._loop.call_soon_threadsafe(self._wake.set)

    async def _keep_exchanging(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            self._wake.clear()
            await self.exchange()

    def _probe_key(self, name: Name) -> str:
        return f"{self._prefix}:probe:{_field(name)}"


def circuits_of_all(url: str, prefix: str, breakers: Iterable[Breaker], now: float) -> tuple[Circuit, ...]:
    """Circuits that are open or half-open in any process; without Redis, those of the given breakers."""
    if url:
        try:
            with redis.Redis.from_url(
                url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
            ) as client:
                seconds, micros = client.time()
                entries = client.hgetall(f"{prefix}:breaker")
            return tuple(_circuits(entries, seconds * 1000 + micros // 1000).values())
        except GONE as error:
            logger.warning("Redis is not available (%r): the circuits shown are those of one process", error)
    return tuple(circuit for breaker in breakers for circuit in breaker.circuits(now))


def _entry(name: Name, circuit: Circuit | None) -> list[str]:
    """As the script takes it: the field, the rest of the pause in ms, and the circuit; empty if it closed."""
    if circuit is None:
        return [_field(name), "0", ""]
    shared = _SharedCircuit(circuit.reason, circuit.pause_s, circuit.long)
    return [_field(name), str(round(circuit.left_s * 1000)), msgspec.json.encode(shared).decode()]


def _circuits(entries: dict[bytes, bytes], now_ms: int) -> dict[Name, Circuit]:
    circuits: dict[Name, Circuit] = {}
    for field, entry in entries.items():
        until, _, shared = entry.partition(b":")
        left_ms = int(until) - now_ms
        scope, _, name = field.decode().partition(":")
        if scope not in ("model", "provider") or left_ms < -_FORGET_MS:
            continue
        rest = msgspec.json.decode(shared, type=_SharedCircuit)
        key: Name = ("model" if scope == "model" else "provider", name)
        circuits[key] = Circuit(*key, rest.reason, left_ms / 1000, rest.pause_s, rest.long)
    return circuits


def _field(name: Name) -> str:
    return ":".join(name)
