"""Reasoning in OpenAI-shaped conversations: an extension field carries the data that a provider wants back.

The field is `extra_content.routeplex` of an assistant message or a tool call. A client that sends back the
messages it received keeps the model's train of thought; another client loses nothing else.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from routing.doors.shared.field_errors import FieldErrors, record
from routing.language.chat import Opaque, ToolCall

FIELD, NAMESPACE = "extra_content", "routeplex"


def of_message(parts: Iterable[Opaque], first: int = 0) -> dict[str, Any]:
    """The field of a message or a delta; by `index` clients join the pieces of a stream."""
    entries = [{"index": first + number, **_entry(part)} for number, part in enumerate(parts)]
    return {FIELD: {NAMESPACE: {"replay": entries}}} if entries else {}


def of_call(signature: Opaque | None) -> dict[str, Any]:
    return {} if signature is None else {FIELD: {NAMESPACE: _entry(signature)}}


def tool_call(call: ToolCall) -> dict[str, Any]:
    """A tool call of a whole answer, in the form in which a client can send it back."""
    if call.is_custom:
        fields: dict[str, Any] = {"type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    else:
        fields = {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}
    return {"id": call.id, **fields, **of_call(call.signature)}


def read_message(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> tuple[Opaque, ...]:
    extension, at = _extension(raw, path, errors), f"{path}.{FIELD}.{NAMESPACE}.replay"
    entries = extension.get("replay")
    if entries is None:
        return ()
    if not isinstance(entries, list):
        errors.add(at, "Must be a list.")
        return ()
    parts = [_read(entry, f"{at}[{number}]", errors) for number, entry in enumerate(entries)]
    return tuple(part for part in parts if part is not None)


def read_call(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> Opaque | None:
    extension = _extension(raw, path, errors)
    return _read(extension, f"{path}.{FIELD}.{NAMESPACE}", errors) if extension else None


def _entry(part: Opaque) -> dict[str, Any]:
    return {"provider": part.provider, "data": part.data}


def _extension(raw: Mapping[str, Any], path: str, errors: FieldErrors) -> dict[str, Any]:
    """The extension's own object; other programs may extend the same field."""
    extra = raw.get(FIELD)
    own = extra.get(NAMESPACE) if isinstance(extra, dict) else None
    return {} if own is None else record(own, f"{path}.{FIELD}.{NAMESPACE}", errors) or {}


def _read(raw: Any, path: str, errors: FieldErrors) -> Opaque | None:
    known = record(raw, path, errors)
    if known is None:
        return None
    provider, data = known.get("provider"), known.get("data")
    if not isinstance(provider, str) or not isinstance(data, dict):
        errors.add(path, "Must have the provider and the data, unchanged.")
        return None
    return Opaque(provider, data)
