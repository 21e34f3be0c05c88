"""Keeps the items of the Responses API for a while, so that later requests can refer to them.

A response is two entries: its output, which item references and later responses need, and its input, which
only later responses need. Both are encrypted and kept in Redis, for all web processes, or without Redis in
this process; never in the database.
"""

import zlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from django.conf import settings

from routing.state.encrypted_store import Store, entry_key, store_for

KIND = "responses"
MOST_ENTRY_BYTES = 2_000_000  # compressed; a response with a longer input or output is not kept
_FASTEST = 1  # compression: text becomes about a third at 100 MB/s
Item = dict[str, Any]


class Input(msgspec.Struct, frozen=True, array_like=True):
    """The input of a response: the ids of the responses it continued, oldest first, and its own items."""

    earlier: tuple[str, ...] = ()
    items: list[Item] = []


class Conversation(NamedTuple):
    """The responses of a conversation, oldest first, and their items, input and output in turn."""

    responses: tuple[str, ...]
    items: list[Item]


_encode = msgspec.msgpack.Encoder().encode
_input = msgspec.msgpack.Decoder(Input)
_output = msgspec.msgpack.Decoder(list[Item])


class Responses:
    """The responses of all accounts, by the part of their ids after `resp_`. Best effort."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    @property
    def keeps(self) -> bool:
        return self._store is not None

    async def keep(self, account_id: int, response: str, answered: Input, output: list[Item]) -> None:
        if self._store is None:
            return
        for part, content in (("in", answered), ("out", output)):
            entry = zlib.compress(_encode(content), _FASTEST)
            if len(entry) <= MOST_ENTRY_BYTES:
                await self._store.put(entry_key(account_id, (response, part)), entry)

    async def outputs(self, account_id: int, responses: Iterable[str]) -> dict[str, list[Item]]:
        """The output items of those responses that are still kept."""
        wanted = list(responses)
        entries = await self._entries([entry_key(account_id, (response, "out")) for response in wanted])
        return {
            response: _output.decode(entry)
            for response, entry in zip(wanted, entries, strict=True)
            if entry is not None
        }

    async def conversation(self, account_id: int, response: str) -> Conversation | None:
        """The conversation that ends with this response; None: a part of it is no longer kept."""
        last = await self._entries([entry_key(account_id, (response, "in"))])
        if last[0] is None:
            return None
        responses = (*_input.decode(last[0]).earlier, response)
        keys = [entry_key(account_id, (each, part)) for each in responses for part in ("in", "out")]
        entries = await self._entries(keys)
        items: list[Item] = []
        for answered, output in zip(entries[::2], entries[1::2], strict=True):
            if answered is None or output is None:
                return None
            items += [*_input.decode(answered).items, *_output.decode(output)]
        assert self._store is not None
        await self._store.touch(keys)
        return Conversation(responses, items)

    async def close(self) -> None:
        if self._store is not None:
            await self._store.close()

    async def _entries(self, keys: list[bytes]) -> list[bytes | None]:
        if self._store is None or not keys:
            return [None] * len(keys)
        stored = await self._store.get(keys)
        return [None if entry is None else zlib.decompress(entry) for entry in stored]


def store() -> Store | None:
    """The store that the settings choose; None: nothing is kept."""
    return store_for(KIND, settings.KEEP_RESPONSES_S)
