"""Rate counters in Redis, shared by all web processes: checked and counted in one script.

Each scope has three sorted sets (requests by time, tokens by time, requests in flight by lease) and a marker
that says they are complete. Without the marker they are filled from the ledger first; members are request
ids, so filling is idempotent. The `limits` package does not serve: it checks one limit at a time and has no
leases.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from billing.ledger.rate_limits import Figures, RateRule, RatesUnavailable, Recent, from_ledger, refusal
from core.shared_redis import RedisAway, Script, SharedRedis

_TIMEOUT_S = 0.25
_EXPIRE_MS = 300_000  # unused sets expire, together with their marker

_ENTER = Script("""
local now, lease, id = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local scopes = #KEYS / 4
for i = 0, scopes - 1 do
  if redis.call('EXISTS', KEYS[i * 4 + 4]) == 0 then return cmsgpack.pack({-1, i}) end
end
local out, admitted = {}, 1
for i = 0, scopes - 1 do
  local req, tok, fly = KEYS[i * 4 + 1], KEYS[i * 4 + 2], KEYS[i * 4 + 3]
  redis.call('ZREMRANGEBYSCORE', req, '-inf', now - 60000)
  redis.call('ZREMRANGEBYSCORE', tok, '-inf', now - 60000)
  redis.call('ZREMRANGEBYSCORE', fly, '-inf', now)
  local requests, in_flight, tokens = redis.call('ZCARD', req), redis.call('ZCARD', fly), 0
  local rpm, tpm, most = tonumber(ARGV[i * 3 + 4]), tonumber(ARGV[i * 3 + 5]), tonumber(ARGV[i * 3 + 6])
  if tpm >= 0 then  -- a limit on tokens also limits how many members there are
    for _, member in ipairs(redis.call('ZRANGE', tok, 0, -1)) do
      tokens = tokens + tonumber(string.match(member, ':(%d+)$'))
    end
  end
  local first = redis.call('ZRANGE', req, 0, 0, 'WITHSCORES')[2] or ''
  local first_tok = redis.call('ZRANGE', tok, 0, 0, 'WITHSCORES')[2] or ''
  if (rpm >= 0 and requests >= rpm) or (tpm >= 0 and tokens >= tpm) or (most >= 0 and in_flight >= most) then
    admitted = 0
  end
  table.insert(out, {requests, first, tokens, first_tok, in_flight})
end
if admitted == 1 then
  for i = 0, scopes - 1 do
    redis.call('ZADD', KEYS[i * 4 + 1], now, id)
    redis.call('ZADD', KEYS[i * 4 + 3], lease, id)
    for j = 1, 4 do redis.call('PEXPIRE', KEYS[i * 4 + j], ARGV[#ARGV]) end
  end
end
return cmsgpack.pack({admitted, out})  -- one reply is read faster than ten
""")

_LEAVE = Script("""
local now, id, tokens = ARGV[1], ARGV[2], ARGV[3]
for i = 1, #KEYS, 4 do
  redis.call('ZREM', KEYS[i + 2], id)
  if tonumber(tokens) > 0 then
    redis.call('ZADD', KEYS[i + 1], now, id .. ':' .. tokens)
    redis.call('PEXPIRE', KEYS[i + 1], ARGV[4])
  end
end
""")


class RedisRates:
    """The counters of all processes.

    Raises RatesUnavailable while Redis is away, within a quarter of a second.
    """

    def __init__(self, url: str, prefix: str) -> None:
        self._redis = SharedRedis(url, timeout_s=_TIMEOUT_S, meanwhile="the ledger counts requests")
        self._prefix = prefix
        self._stale: set[str] = set()  # markers of scopes that Redis has missed requests of

    async def enter(
        self, request_id: str, rules: tuple[RateRule, ...], now: float, lease_until: float
    ) -> list[Figures]:
        keys = [key for rule in rules for key in self._keys(rule)]
        limits = [
            -1 if limit is None else limit
            for rule in rules
            for limit in (rule.requests, rule.tokens, rule.concurrent)
        ]
        args = [round(now * 1000), round(lease_until * 1000), request_id, *limits, _EXPIRE_MS]
        try:
            while True:
                # -1: scope number `result` has no marker. 0 refused, 1 admitted: `result` has a row per
                # scope.
                verdict, result = await self._enter(keys, args)
                if verdict >= 0:
                    break
                await self._fill(rules[result], now)
        except RatesUnavailable:
            self._stale.update(self._keys(rule)[3] for rule in rules)
            raise
        used = [_figures(row) for row in result]
        if verdict:
            return used
        raise next(
            error
            for rule, figures in zip(rules, used, strict=True)
            if (error := refusal(rule, figures, now)) is not None
        )

    async def leave(self, request_id: str, rules: tuple[RateRule, ...], tokens: int, now: float) -> None:
        keys = [key for rule in rules for key in self._keys(rule)]
        args: list[str | int] = [round(now * 1000), request_id, tokens, _EXPIRE_MS]
        try:
            await self._redis.script(_LEAVE, keys, args)
        except RedisAway:
            self._stale.update(self._keys(rule)[3] for rule in rules)

    async def close(self) -> None:
        await self._redis.close()

    async def _enter(self, keys: list[str], args: list[Any]) -> Any:
        if self._stale:
            stale = list(self._stale)
            await self._call(lambda: self._redis.client.delete(*stale))
            self._stale.difference_update(stale)
        try:
            return msgspec.msgpack.decode(await self._redis.script(_ENTER, keys, args))
        except RedisAway as error:
            raise RatesUnavailable from error

    async def _fill(self, rule: RateRule, now: float) -> None:
        """Copy the scope's last minute from the ledger, and set its marker."""
        recent = await from_ledger(rule.scope, rule.scope_id, now)
        requests, used, in_flight, marker = self._keys(rule)
        pipe = self._redis.client.pipeline(transaction=True)
        pipe.delete(in_flight)  # it may contain requests that ended while Redis was away
        for key, members in _members(recent, requests, used, in_flight):
            if members:
                pipe.zadd(key, members)
                pipe.pexpire(key, _EXPIRE_MS)
        pipe.set(marker, 1, px=_EXPIRE_MS)
        await self._call(pipe.execute)

    async def _call(self, work: Callable[[], Awaitable[Any]]) -> Any:
        try:
            return await self._redis.run(work)
        except RedisAway as error:
            raise RatesUnavailable from error

    def _keys(self, rule: RateRule) -> tuple[str, str, str, str]:
        base = f"{self._prefix}:rate:{rule.scope}:{rule.scope_id}"
        return f"{base}:requests", f"{base}:tokens", f"{base}:in_flight", f"{base}:complete"


def _members(
    recent: Recent, requests: str, used: str, in_flight: str
) -> tuple[tuple[str, dict[str, int]], ...]:
    return (
        (requests, {pk: round(at * 1000) for pk, at in recent.requests}),
        (used, {f"{pk}:{tokens}": round(at * 1000) for pk, at, tokens in recent.tokens}),
        (in_flight, {pk: round(lease * 1000) for pk, lease in recent.in_flight}),
    )


def _figures(row: list[Any]) -> Figures:
    requests, oldest, tokens, oldest_tokens, in_flight = row
    return Figures(
        requests=requests,
        oldest_request=float(oldest) / 1000 if oldest else None,
        tokens=tokens,
        oldest_tokens=float(oldest_tokens) / 1000 if oldest_tokens else None,
        in_flight=in_flight,
    )
