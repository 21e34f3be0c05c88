"""Remembers which arm answered a conversation's last turn, so that decisions can count its prompt cache.

A conversation is recognised by its messages: a request whose messages begin with those of an earlier request
is its next turn. Only a keyed hash of them is stored, as long as providers cache a prompt: in Redis, for all
web processes, or without Redis in this process.
"""

import contextlib
import hashlib
import time
from collections import OrderedDict
from datetime import datetime
from typing import Any, Protocol

import msgspec
from django.conf import settings

from core.shared_redis import RedisAway, SharedRedis
from routing.decide.decision import Conversation
from routing.decide.forecast import CACHE_LIFE
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, Message, Role
from routing.providers.shared.reasoning import message_without_reasoning

MOST_TURNS = 50_000  # about 400 bytes each
MOST_OF_ACCOUNT = 5_000  # so that one busy account does not push the others out
_SHORTEST_TOKENS = 1024  # providers cache prefixes from 512 to 4096 tokens on, depending on the model
_TIMEOUT_S = 0.05  # a request waits at most that long for Redis

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Conversation)


class Store(Protocol):
    async def put(self, account_id: int, key: bytes, turn: bytes) -> None: ...
    async def get(self, key: bytes) -> bytes | None: ...
    async def close(self) -> None: ...


class Conversations:
    """The latest turn of each conversation. Best effort: without its store a turn is merely not known."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def recall(self, account_id: int, request: ChatRequest) -> Conversation | None:
        """The previous turn, if it is known."""
        earlier = _before_last_answer(request.messages)
        stored = await self._store.get(_key(account_id, earlier)) if earlier else None
        try:
            return None if stored is None else _decoder.decode(stored)
        except msgspec.DecodeError:  # stored by another version of this code
            return None

    async def remember(
        self, account_id: int, request: ChatRequest, arm: Arm, input_tokens: int, at: datetime
    ) -> None:
        """Store an answered turn; `input_tokens` is the length of the prefix that the next turn shares."""
        if input_tokens >= _SHORTEST_TOKENS:
            turn = _encoder.encode(Conversation(arm, input_tokens, at))
            await self._store.put(account_id, _key(account_id, request.messages), turn)

    async def close(self) -> None:
        await self._store.close()


class MemoryStore:
    """In this process. When it is full, the oldest turns go first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turns: OrderedDict[bytes, tuple[int, float, bytes]] = OrderedDict()  # account, time, turn
        self._of_account: dict[int, OrderedDict[bytes, None]] = {}

    async def put(self, account_id: int, key: bytes, turn: bytes) -> None:
        now = time.monotonic()
        if key in self._turns:
            self._remove(key)
        self._turns[key] = (account_id, now, turn)
        own = self._of_account.setdefault(account_id, OrderedDict())
        own[key] = None
        if len(own) > MOST_OF_ACCOUNT:
            self._remove(next(iter(own)))
        if len(self._turns) > MOST_TURNS:
            self._remove(next(iter(self._turns)))
        while self._is_expired(oldest := next(iter(self._turns)), now):  # the new turn never is
            self._remove(oldest)

    async def get(self, key: bytes) -> bytes | None:
        if key not in self._turns or self._is_expired(key, time.monotonic()):
            return None
        return self._turns[key][2]

    async def close(self) -> None:
        self._turns.clear()
        self._of_account.clear()

    def _is_expired(self, key: bytes, now: float) -> bool:
        return self._turns[key][1] + self._seconds <= now

    def _remove(self, key: bytes) -> None:
        account_id = self._turns.pop(key)[0]
        own = self._of_account[account_id]
        del own[key]
        if not own:
            del self._of_account[account_id]


# Two sorted sets, one of the account and one of all, list the turns by the time they were stored.
_PUT = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local seconds = tonumber(ARGV[2])
redis.call('SET', KEYS[1], ARGV[1], 'EX', seconds)
for i = 2, 3 do
  redis.call('ZADD', KEYS[i], now, KEYS[1])
  redis.call('EXPIRE', KEYS[i], seconds)
end
for i = 2, 3 do
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - seconds * 1000)
  local over = redis.call('ZCARD', KEYS[i]) - tonumber(ARGV[i + 1])
  if over > 0 then
    local oldest = redis.call('ZPOPMIN', KEYS[i], over)
    for j = 1, #oldest, 2 do
      redis.call('DEL', oldest[j])
      redis.call('ZREM', KEYS[3], oldest[j])
    end
  end
end
"""


class RedisStore:
    """Shared by all web processes. While Redis is not available, nothing is stored or known."""

    def __init__(self, url: str, prefix: str, seconds: int) -> None:
        self._redis = SharedRedis(
            url, timeout_s=_TIMEOUT_S, meanwhile="decisions don't know the prompt caches of conversations"
        )
        self._put_script = self._redis.client.register_script(_PUT)
        self._prefix, self._seconds = f"{prefix}:conversation", seconds

    async def put(self, account_id: int, key: bytes, turn: bytes) -> None:
        keys = [self._name(key), f"{self._prefix}:of:{account_id}", f"{self._prefix}:all"]
        args: list[Any] = [turn, self._seconds, MOST_OF_ACCOUNT, MOST_TURNS]
        with contextlib.suppress(RedisAway):
            await self._redis.run(lambda: self._put_script(keys=keys, args=args), within_s=_TIMEOUT_S)

    async def get(self, key: bytes) -> bytes | None:
        name = self._name(key)
        try:
            turn: Any = await self._redis.run(lambda: self._redis.client.get(name), within_s=_TIMEOUT_S)
        except RedisAway:
            return None
        return None if turn is None else bytes(turn)

    async def close(self) -> None:
        await self._redis.close()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}:{key.hex()}"


def store() -> Store:
    """The store that the settings choose."""
    seconds = round(CACHE_LIFE.total_seconds())
    if settings.REDIS_URL:
        return RedisStore(settings.REDIS_URL, settings.REDIS_PREFIX, seconds)
    return MemoryStore(seconds)


def _before_last_answer(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages of the previous request: all before the last message of the assistant."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].role is Role.ASSISTANT:
            return messages[:index]
    return ()


def _key(account_id: int, messages: tuple[Message, ...]) -> bytes:
    secret = hashlib.blake2b(settings.SECRET_KEY.encode(), digest_size=32, person=b"conversation").digest()
    digest = hashlib.blake2b(account_id.to_bytes(8), digest_size=16, key=secret)
    # Reasoning that clients carry for providers, or that is recalled for them, is no part of the identity.
    digest.update(_encoder.encode([message_without_reasoning(message) for message in messages]))
    return digest.digest()
