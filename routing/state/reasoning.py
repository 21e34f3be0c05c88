"""Keeps for a while what providers want back of their reasoning, for callers whose clients do not carry it.

Only of turns that called tools: with the results the model goes on thinking, and some providers refuse a call
that comes back without its signature. A turn is known by the ids of its calls, within its account. It lies
encrypted in Redis, where all web processes find it, or without Redis in this process; never in the database.
"""

import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any, Protocol

import msgspec
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
MOST_TURN_BYTES = 64_000  # a longer train of thought is let go
MOST_TURNS = 16  # of one tool loop that are looked for, the latest
_TIMEOUT_S = 0.25  # a request waits no longer for Redis
_PAUSE_S = 1.0  # after a failure Redis is left alone that long
_GONE = (RedisError, OSError, TimeoutError)


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """What one turn of the assistant left: before its calls, and on calls by their ids."""

    parts: tuple[Opaque, ...] = ()
    calls: dict[str, Opaque] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Turn)


class Store(Protocol):
    async def put(self, key: bytes, turn: bytes) -> None: ...
    async def get(self, keys: list[bytes]) -> list[bytes | None]: ...
    async def close(self) -> None: ...


class Reasoning:
    """The turns of all accounts. Whatever fails here, the request goes on without."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    async def recalled(self, account_id: int, request: ChatRequest) -> ChatRequest:
        """The request with what the turns of its open tool loop lack and we still have.

        Of loops that are closed no provider demands it, and it would count as input.
        """
        begin = _open_loop(request.messages)
        bare = [n for n, message in enumerate(request.messages) if n > begin and _is_bare(message)]
        bare = bare[-MOST_TURNS:]
        if not bare or self._store is None:
            return request
        keys = [_key(account_id, (call.id for call in request.messages[place].tool_calls)) for place in bare]
        found = await self._store.get(keys)
        messages = list(request.messages)
        turns = [_decoded(kept) for kept in found]
        for place, turn in zip(bare, turns, strict=True):
            if turn is not None:
                messages[place] = _with(messages[place], turn)
        return msgspec.structs.replace(request, messages=tuple(messages)) if any(turns) else request

    def listen(self, account_id: int) -> "Listener":
        return Listener(account_id, self._store)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()


class Listener:
    """`note` each event of an answer, then `keep` what it left."""

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
                identity, signature = calls.get(event.index, ("", None))
                calls[event.index] = (event.id or identity, event.signature or signature)

    async def keep(self) -> None:
        for choice, by_index in self._calls.items():
            calls = dict(call for _, call in sorted(by_index.items()))
            signed = {identity: one for identity, one in calls.items() if one is not None}
            turn = Turn(tuple(self._parts.get(choice, ())), signed)
            if self._store is None or not (turn.parts or turn.calls):
                continue
            encoded = _encoder.encode(turn)
            if len(encoded) <= MOST_TURN_BYTES:
                await self._store.put(_key(self._account_id, calls), encoded)


def _open_loop(messages: tuple[Message, ...]) -> int:
    """The place of the last word of the user, after which the tool loop goes on."""
    return max((n for n, message in enumerate(messages) if message.role is Role.USER), default=-1)


def _decoded(kept: bytes | None) -> Turn | None:
    try:
        return None if kept is None else _decoder.decode(kept)
    except msgspec.DecodeError:  # kept by another version of this code
        return None


def _is_bare(message: Message) -> bool:
    """Whether calls came back without anything their provider may want."""
    return (
        bool(message.tool_calls)
        and not any(isinstance(part, Opaque) for part in message.parts)
        and all(call.signature is None for call in message.tool_calls)
    )


def _with(message: Message, turn: Turn) -> Message:
    calls = tuple(
        msgspec.structs.replace(call, signature=turn.calls.get(call.id)) for call in message.tool_calls
    )
    return msgspec.structs.replace(message, parts=(*turn.parts, *message.parts), tool_calls=calls)


def _key(account_id: int, ids: Iterable[str]) -> bytes:
    digest = hashlib.blake2b(digest_size=16, key=account_id.to_bytes(8))
    digest.update(_encoder.encode(list(ids)))
    return digest.digest()


class MemoryStore:
    """In this process, bounded; the longest kept go first."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turns: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()  # until when, and what
        self._bytes = 0

    async def put(self, key: bytes, turn: bytes) -> None:
        self._drop(key)
        self._turns[key] = (time.monotonic() + self._seconds, turn)
        self._bytes += len(turn)
        while self._bytes > MOST_BYTES or next(iter(self._turns.values()))[0] < time.monotonic():
            self._drop(next(iter(self._turns)))

    async def get(self, keys: list[bytes]) -> list[bytes | None]:
        now = time.monotonic()
        found = [self._turns.get(key) for key in keys]
        return [kept[1] if kept is not None and kept[0] >= now else None for kept in found]

    async def close(self) -> None:
        self._turns.clear()

    def _drop(self, key: bytes) -> None:
        gone = self._turns.pop(key, None)
        if gone is not None:
            self._bytes -= len(gone[1])


class RedisStore:
    """Shared by all web processes, encrypted; while Redis is away, nothing is kept or found."""

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
            found: list[Any] = await self._redis.mget([self._name(key) for key in keys])
        except _GONE as error:
            self._leave(error)
            return [None] * len(keys)
        return [_unsealed(kept) for kept in found]

    async def close(self) -> None:
        await self._redis.aclose()

    def _name(self, key: bytes) -> str:
        return f"{self._prefix}:reasoning:{key.hex()}"

    def _leave(self, error: Exception) -> None:
        self._away_until = time.monotonic() + _PAUSE_S
        logger.warning("reasoning of earlier turns is not at hand: %s", error)


def _unsealed(kept: bytes | None) -> bytes | None:
    try:
        return None if kept is None else decrypt_bytes(kept)
    except CannotDecrypt:  # the SECRET_KEY was changed meanwhile
        return None


def store() -> Store | None:
    """As the settings say; None: nothing is kept."""
    seconds = settings.KEEP_REASONING_S
    if seconds == 0:
        return None
    if settings.REDIS_URL:
        return RedisStore(settings.REDIS_URL, settings.REDIS_PREFIX, seconds)
    return MemoryStore(seconds)
