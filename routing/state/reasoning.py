"""Stores for a while the reasoning that providers want back, for callers whose clients do not send it.

Only turns that called tools are stored: with the results the model goes on thinking, and some providers
refuse a call that comes back without its signature. A turn is identified by its account and the ids of its
calls. It is stored encrypted in Redis, for all web processes, or without Redis in this process; never in the
database.
"""

import msgspec
from django.conf import settings

from routing.language.chat import (
    ChatRequest,
    Message,
    Opaque,
    ReasoningDelta,
    Role,
    StreamEvent,
    ToolCallDelta,
)
from routing.state.encrypted_store import Store, entry_key, store_for

KIND = "reasoning"
MOST_TURN_BYTES = 256_000  # longer reasoning is not stored; about 60,000 tokens of plain reasoning
MOST_TURNS = 16  # the latest of one tool loop are looked up


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """The reasoning of one assistant turn: parts before its calls, and signatures by call id."""

    parts: tuple[Opaque, ...] = ()
    calls: dict[str, Opaque] = {}


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Turn)


class Reasoning:
    """The turns of all accounts. Best effort: a failure never fails the request."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    async def recalled(self, account_id: int, request: ChatRequest) -> ChatRequest:
        """The request with the stored reasoning that the turns of its tool loops lack.

        In a closed loop most providers do not need it, and it would only count as input: there only lasting
        reasoning is restored.
        """
        begin = _open_loop(request.messages)
        lacking = [n for n, message in enumerate(request.messages) if _lacks_reasoning(message)]
        lacking = lacking[-MOST_TURNS:]
        if not lacking or self._store is None:
            return request
        messages = list(request.messages)
        keys = [entry_key(account_id, (call.id for call in messages[index].tool_calls)) for index in lacking]
        turns = [_decoded(stored) for stored in await self._store.get(keys)]
        restored = False
        for index, turn in zip(lacking, turns, strict=True):
            wanted = turn if turn is None or index > begin else _lasting(turn)
            if wanted is not None:
                messages[index], restored = _with_reasoning(messages[index], wanted), True
        return msgspec.structs.replace(request, messages=tuple(messages)) if restored else request

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
                await self._store.put(entry_key(self._account_id, calls), encoded)


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


def _lasting(turn: Turn) -> Turn | None:
    parts = tuple(part for part in turn.parts if part.lasting)
    return Turn(parts) if parts else None


def store() -> Store | None:
    """The store that the settings choose; None: nothing is stored."""
    return store_for(KIND, settings.KEEP_REASONING_S)
