"""Checks that a caller's JSON Schema has the shape of one, so that provider adapters can walk it.

It checks nothing else: the adapters know which keywords a provider accepts, and an answer is checked against
the schema once there is one.
"""

from typing import Any

from routing.doors.shared.field_errors import FieldErrors, record

_SCHEMAS = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_MAPS = ("properties", "$defs", "definitions", "patternProperties", "dependentSchemas")
_TEXTS = ("description", "title", "format", "pattern", "$ref", "$schema", "$id")


def schema(raw: Any, path: str, errors: FieldErrors) -> dict[str, Any] | None:
    """The schema; `errors` gets the path of every malformed part."""
    read = record(raw, path, errors)
    if read is not None:
        _check(read, path, errors)
    return read


def _check(part: Any, path: str, errors: FieldErrors) -> None:
    if isinstance(part, bool):
        return
    if not isinstance(part, dict):
        errors.add(path, "Must be a JSON Schema: an object, true or false.")
        return
    for name, value in part.items():
        at = f"{path}.{name}"
        if value is None:
            continue  # counts as absent
        if name in _SCHEMAS and not (name == "items" and isinstance(value, list)):
            _check(value, at, errors)
        elif name in (*_LISTS, "items"):  # older drafts list the items of a tuple
            if not isinstance(value, list):
                errors.add(at, "Must be a list of JSON Schemas.")
                continue
            for position, inner in enumerate(value):
                _check(inner, f"{at}[{position}]", errors)
        elif name in _MAPS:
            if not isinstance(value, dict):
                errors.add(at, "Must be an object of JSON Schemas.")
                continue
            for key, inner in value.items():
                _check(inner, f"{at}.{key}", errors)
        elif name in _TEXTS and not isinstance(value, str):
            errors.add(at, "Must be a string.")
        elif name == "required" and not _are_texts(value):
            errors.add(at, "Must be a list of strings.")
        elif name == "enum" and not isinstance(value, list):
            errors.add(at, "Must be a list.")
        elif name == "type" and not (isinstance(value, str) or _are_texts(value)):
            errors.add(at, "Must be a string or a list of strings.")


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)
