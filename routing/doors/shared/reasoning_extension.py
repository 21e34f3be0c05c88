"""Reasoning in an OpenAI-shaped conversation: an extension field carries what its provider wants back.

`extra_content.routeplex` of an assistant's message or tool call. Clients that send back what they got keep a
model's train of thought; those that do not lose nothing else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from routing.doors.shared.field_errors import FieldErrors, record
from routing.language.chat import Opaque

FIELD, OURS = "extra_content", "routeplex"


def of_message(made: Iterable[Opaque], first: int = 0) -> dict[str, Any]:
    """The field of a message or a delta; `index` lets clients put a stream's pieces together."""
    told = [{"index": first + number, **_told(one)} for number, one in enumerate(made)]
    return {FIELD: {OURS: {"replay": told}}} if told else {}


def of_call(signature: Opaque | None) -> dict[str, Any]:
    return {} if signature is None else {FIELD: {OURS: _told(signature)}}


def read_message(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> tuple[Opaque, ...]:
    ours, at = _ours(raw, path, errors), f"{path}.{FIELD}.{OURS}.replay"
    sent = ours.get("replay")
    if sent is None:
        return ()
    if not isinstance(sent, list):
        errors.add(at, "Must be a list.")
        return ()
    read = [_read(one, f"{at}[{number}]", errors) for number, one in enumerate(sent)]
    return tuple(one for one in read if one is not None)


def read_call(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> Opaque | None:
    ours = _ours(raw, path, errors)
    return _read(ours, f"{path}.{FIELD}.{OURS}", errors) if ours else None


def _told(made: Opaque) -> dict[str, Any]:
    return {"provider": made.provider, "data": made.data}


def _ours(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> dict[str, Any]:
    """Ours alone: others extend the same field."""
    extra = raw.get(FIELD)
    ours = extra.get(OURS) if isinstance(extra, dict) else None
    return {} if ours is None else record(ours, f"{path}.{FIELD}.{OURS}", errors) or {}


def _read(raw: Any, path: str, errors: FieldErrors) -> Opaque | None:
    known = record(raw, path, errors)
    if known is None:
        return None
    provider, data = known.get("provider"), known.get("data")
    if not isinstance(provider, str) or not isinstance(data, dict):
        errors.add(path, "Must have a provider and the data it gave, as they came.")
        return None
    return Opaque(provider, data)
