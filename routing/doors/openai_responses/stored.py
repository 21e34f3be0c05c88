"""Resolves what a request refers to: an earlier response, and items of earlier responses.

Works on the body before it is parsed, so that the parser sees a whole conversation.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from django.conf import settings

from routing.doors.openai_responses import schema
from routing.language.errors import (
    ItemNotFound,
    PayloadTooLarge,
    PreviousResponseNotFound,
    ValidationError,
)
from routing.state.responses import Input, Item
from routing.state.runtime import running

RESPONSE = "resp_"
_RESPONSE_ID = re.compile(r"resp_([0-9a-z]{26})")
_ITEM_ID = re.compile(r"[a-z]+_([0-9a-z]{26})_\d+")


async def read(raw: dict[str, Any], headers: Mapping[str, str], account_id: int) -> schema.ResponsesCall:
    """Parse a body whose references are resolved.

    Raises what `schema.parse` raises, PreviousResponseNotFound, ItemNotFound, or PayloadTooLarge.
    """
    previous, items = raw.get("previous_response_id"), raw.get("input")
    if isinstance(items, str):
        items = [{"type": "message", "role": "user", "content": items}]
    if not isinstance(items, list) or not (previous is None or isinstance(previous, str)):
        return schema.parse(raw, headers)  # which names what is wrong
    earlier: tuple[str, ...] = ()
    before: list[Item] = []
    if previous:
        earlier, before = await _conversation(previous, account_id)
    own = await _with_references_resolved(items, before, account_id)
    resolved = raw | {"input": own}
    if before:
        try:
            call = schema.parse(resolved | {"input": [*before, *own]}, headers)
        except ValidationError:
            schema.parse(resolved, headers)  # names the fault by its place in this request, if it is there
            raise
    else:
        call = schema.parse(resolved, headers)
    if raw.get("store") is False or not (await running()).responses.keeps:
        return call
    return msgspec.structs.replace(call, record=schema.Record(account_id, Input(earlier, own)))


async def keep(record: schema.Record | None, response_id: str, output: list[Item]) -> None:
    """Keep an answered request, if its caller lets it."""
    if record is not None:
        identity = response_id.removeprefix(RESPONSE)
        await (await running()).responses.keep(record.account_id, identity, record.answered, output)


async def _conversation(previous: str, account_id: int) -> tuple[tuple[str, ...], list[Item]]:
    match = _RESPONSE_ID.fullmatch(previous)
    stored = await (await running()).responses.conversation(account_id, match[1]) if match else None
    if stored is None:
        raise PreviousResponseNotFound(
            f"Previous response with id '{previous[:80]}' not found. {_advice()} "
            "Send the whole conversation as input.",
            param="previous_response_id",
        )
    if len(msgspec.json.encode(stored.items)) > settings.MAX_BODY_BYTES:
        raise PayloadTooLarge(
            f"The conversation up to {previous} is larger than {settings.MAX_BODY_BYTES:,} bytes. "
            "Begin a new one.",
            param="previous_response_id",
        )
    return stored.responses, stored.items


async def _with_references_resolved(items: list[Any], before: list[Item], account_id: int) -> list[Any]:
    """The items, with kept ones in place of references; those the conversation has already are left out."""
    wanted = {response for item in items if (response := _referred(item)) is not None}
    if not any(_is_reference(item) for item in items) and not wanted:
        return items
    outputs = await (await running()).responses.outputs(account_id, sorted(wanted))
    stored = {str(item.get("id")): item for output in outputs.values() for item in output}
    present = {item.get("id") for item in before}
    resolved = []
    for item in items:
        if not _is_reference(item):
            resolved.append(stored.get(item.get("id"), item) if _is_bare_reasoning(item) else item)
        elif (identity := item.get("id")) not in present:
            resolved.append(_stored_item(stored, identity))
    return resolved


def _stored_item(stored: dict[str, Item], identity: Any) -> Item:
    item = stored.get(identity) if isinstance(identity, str) else None
    if item is None:
        raise ItemNotFound(
            f"Item with id '{str(identity)[:80]}' not found. {_advice()} Send the item itself.", param="input"
        )
    return item


def _referred(item: Any) -> str | None:
    """The response that holds the item a client refers to."""
    if not (_is_reference(item) or _is_bare_reasoning(item)):
        return None
    identity = item.get("id")
    match = _ITEM_ID.fullmatch(identity) if isinstance(identity, str) else None
    return match[1] if match else None


def _is_reference(item: Any) -> bool:
    return isinstance(item, dict) and item.get("type") == "item_reference"


def _is_bare_reasoning(item: Any) -> bool:
    """Return whether a client names its reasoning by the id alone, as it may with stored responses."""
    return isinstance(item, dict) and item.get("type") == "reasoning" and not item.get("encrypted_content")


def _advice() -> str:
    seconds = settings.KEEP_RESPONSES_S
    if seconds == 0:
        return "Nothing is stored here."
    return f"Items are stored for {seconds:,} seconds, unless `store` is set to false."
