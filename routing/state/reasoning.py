"""Stores for a while the reasoning that providers want back, for callers whose clients do not send it.

Only turns that called tools are stored: with the results the model goes on thinking, and some providers
refuse a call that comes back without its signature. A turn is identified by its account and the ids of its
calls. It is stored encrypted in Redis, for all web processes, or without Redis in this process; never in the
database.
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
from routing.language.chat import (
    ChatRequest,
    Message,
    Opaque,
    ReasoningDelta,
    Role,
    StreamEvent,
    ToolCallDelta,
)

MOST_BYTES = 32_000_000  # in this process
MOST_TURN_BYTES = 64_000  # longer reasoning is not stored
MOST_TURNS = 16  # the latest of one tool loop are looked up
_TIMEOUT_S = 0.25  # a request waits at most that long for Redis


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
        self._redis = SharedRedis(
            url, timeout_s=_TIMEOUT_S, meanwhile="requests go without the reasoning of earlier turns"
        )
        self._prefix, self._seconds = prefix, seconds

    async def put(self, key: bytes, turn: bytes) -> None:
        name, encrypted = self._name(key), encrypt_bytes(turn)
        with contextlib.suppress(RedisAway):
            await self._redis.run(lambda: self._redis.client.set(name, encrypted, ex=self._seconds))

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        names = [self._name(key) for key in keys]
        try:
            entries: list[Any] = await self._redis.run(lambda: self._redis.client.mget(names))
        except RedisAway:
            return [None] * len(keys)
        return [_decrypted(entry) for entry in entries]

    async def close(self) -> None:
        await self._redis.close()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}:reasoning:{key.hex()}"


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
