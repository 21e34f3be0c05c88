"""Stores for a while the reasoning that providers want back, for callers whose clients do not send it.

Only turns that called tools are stored: with the results the model goes on thinking, and some providers
refuse a call that comes back without its signature. A turn is identified by its account and the ids of its
calls. It is stored encrypted in Redis, for all web processes, or without Redis in this process; never in the
database.
"""

import hashlib
import logging
import time
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
from cachetools import TTLCache
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from core.encryption import CannotDecrypt, decrypt_bytes, encrypt_bytes
from routing.language.chat import (
    ChatRequest,
    Message,
    Opaque,
    ReasoningDelta,
    Role,
    StreamEvent,
    ToolCallDelta,
)

logger = logging.getLogger(__name__)

MOST_BYTES = 32_000_000  # in this process
MOST_TURN_BYTES = 64_000  # longer reasoning is not stored
MOST_TURNS = 16  # the latest of one tool loop are looked up
_TIMEOUT_S = 0.25  # a request waits at most that long for Redis
_PAUSE_S = 1.0  # Redis is not used for that long after a failure
_GONE = (RedisError, OSError, TimeoutError)


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """The reasoning of one assistant turn: parts before its calls, and signatures by call id."""

    parts: tuple[Opaque, ...] = ()
    calls: dict[str, Opaque] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Turn)


class Store(Protocol):
    async def put(self, key: bytes, turn: bytes) -> None: ...
    async def get(self, keys: list[bytes]) -> list[bytes | None]: ...
    async def close(self) -> None: ...


class Reasoning:
    """The turns of all accounts. Best effort: a failure never fails the request."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    async def recalled(self, account_id: int, request: ChatRequest) -> ChatRequest:
        """The request with the stored reasoning that the turns of its open tool loop lack.

        No provider needs it for a closed loop, where it would only count as input.
        """
        begin = _open_loop(request.messages)
        lacking = [n for n, message in enumerate(request.messages) if n > begin and _lacks_reasoning(message)]
        lacking = lacking[-MOST_TURNS:]
        if not lacking or self._store is None:
            return request
        messages = list(request.messages)
        keys = [_key(account_id, (call.id for call in messages[index].tool_calls)) for index in lacking]
        turns = [_decoded(stored) for stored in await self._store.get(keys)]
        for index, turn in zip(lacking, turns, strict=True):
            if turn is not None:
                messages[index] = _with_reasoning(messages[index], turn)
        return msgspec.structs.replace(request, messages=tuple(messages)) if any(turns) else request

    def listen(self, account_id: int) -> "Listener":
        return Listener(account_id, self._store)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()


class Listener:
    """`note` each event of an answer, then `keep` its reasoning."""

    def __init__(self, account_id: int, store: Store | None) -> None:
        self._account_id, self._store = account_id, store
        self._parts: dict[int, list[Opaque]] = {}
        self._calls: dict[int, dict[int, tuple[str, Opaque | None]]] = {}  # by choice and index

    def note(self, event: StreamEvent) -> None:
        match event:
            case ReasoningDelta() if event.carried is not None:
                self._parts.setdefault(event.choice, []).append(event.carried)
            case ToolCallDelta() if event.id is not None or event.signature is not None:
                calls = self._calls.setdefault(event.choice, {})
                call_id, signature = calls.get(event.index, ("", None))
                calls[event.index] = (event.id or call_id, event.signature or signature)

    async def keep(self) -> None:
        for choice, by_index in self._calls.items():
            calls = dict(call for _, call in sorted(by_index.items()))
            signed = {call_id: signature for call_id, signature in calls.items() if signature is not None}
            turn = Turn(tuple(self._parts.get(choice, ())), signed)
            if self._store is None or not (turn.parts or turn.calls):
                continue
            encoded = _encoder.encode(turn)
            if len(encoded) <= MOST_TURN_BYTES:
                await self._store.put(_key(self._account_id, calls), encoded)


def _open_loop(messages: tuple[Message, ...]) -> int:
    """The index of the last user message, after which the tool loop is open; -1 without one."""
    return max((n for n, message in enumerate(messages) if message.role is Role.USER), default=-1)


def _decoded(stored: bytes | None) -> Turn | None:
    try:
        return None if stored is None else _decoder.decode(stored)
    except msgspec.DecodeError:  # stored by another version of this code
        return None


def _lacks_reasoning(message: Message) -> bool:
    """Return whether calls came back without anything that their provider may want."""
    return (
        bool(message.tool_calls)
        and not any(isinstance(part, Opaque) for part in message.parts)
        and all(call.signature is None for call in message.tool_calls)
    )


def _with_reasoning(message: Message, turn: Turn) -> Message:
    calls = tuple(
        msgspec.structs.replace(call, signature=turn.calls.get(call.id)) for call in message.tool_calls
    )
    return msgspec.structs.replace(message, parts=(*turn.parts, *message.parts), tool_calls=calls)


def _key(account_id: int, ids: Iterable[str]) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=account_id.to_bytes(8))
    digest.update(_encoder.encode(list(ids)))
    return digest.digest()


class MemoryStore:
    """In this process, bounded by bytes; the least recently used turns are dropped first."""

    def __init__(self, seconds: float, most_bytes: int = MOST_BYTES) -> None:
        self._turns: TTLCache[bytes, bytes] = TTLCache(
            most_bytes, seconds, timer=lambda: time.monotonic(), getsizeof=len
        )

    async def put(self, key: bytes, turn: bytes) -> None:
        self._turns[key] = turn

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        return [self._turns.get(key) for key in keys]

    async def close(self) -> None:
        self._turns.clear()


class RedisStore:
    """Shared by all web processes, encrypted; while Redis is not available, nothing is stored or returned."""

    def __init__(self, url: str, prefix: str, seconds: int) -> None:
        self._redis = Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, retry=Retry(NoBackoff(), 0)
        )
        self._prefix, self._seconds = prefix, seconds
        self._away_until = 0.0

    async def put(self, key: bytes, turn: bytes) -> None:
        if time.monotonic() < self._away_until:
            return
        try:
            await self._redis.set(self._name(key), encrypt_bytes(turn), ex=self._seconds)
        except _GONE as error:
            self._leave(error)

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        if time.monotonic() < self._away_until:
            return [None] * len(keys)
        try:
            entries: list[Any] = await self._redis.mget([self._name(key) for key in keys])
        except _GONE as error:
            self._leave(error)
            return [None] * len(keys)
        return [_decrypted(entry) for entry in entries]

    async def close(self) -> None:
        await self._redis.aclose()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}:reasoning:{key.hex()}"

    def _leave(self, error: Exception) -> None:
        self._away_until = time.monotonic() + _PAUSE_S
        logger.warning(
            "Redis is not available, so requests go without the reasoning of earlier turns: %s", error
        )


def _decrypted(entry: bytes | None) -> bytes | None:
    try:
        return None if entry is None else decrypt_bytes(entry)
    except CannotDecrypt:  # the SECRET_KEY was changed meanwhile
        return None


def store() -> Store | None:
    """The store that the settings choose; None: nothing is stored."""
    seconds = settings.KEEP_REASONING_S
    if seconds == 0:
        return None
    if settings.REDIS_URL:
        return RedisStore(settings.REDIS_URL, settings.REDIS_PREFIX, seconds)
    return MemoryStore(seconds)
