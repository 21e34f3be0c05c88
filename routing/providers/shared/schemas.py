"""Walking and rewriting JSON Schemas; each provider's rules are in its own `schemas` module."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Adapted(NamedTuple):
    """`changes` are sentences without their full stop, for the receipt."""

    schema: Schema
    changes: tuple[str, ...]


EMPTY_OBJECT: Schema = {"type": "object", "properties": {}}

_MAPS = ("properties", "$defs", "definitions", "patternProperties")  # of names to schemas


def is_object(schema: Schema) -> bool:
    kinds = schema.get("type")
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema


def subschemas(schema: Any) -> Iterator[Schema]:
    """The schema and every schema in it, in no particular order."""
    ahead = [schema]
    while ahead:
        part = ahead.pop()
        if isinstance(part, dict):
            yield part
            ahead += children(part)


def children(schema: Schema) -> list[Any]:
    children: list[Any] = []
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            children.extend(value.values())
        elif key in ("items", "additionalProperties"):
            children.append(value)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            children.extend(value)
    return children


def with_children_adapted(schema: Schema, adapt: Callable[[Schema], Schema]) -> Schema:
    """The schema with every schema directly inside it adapted."""
    mapped: Schema = {}
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            mapped[key] = {name: _adapted(child, adapt) for name, child in value.items()}
        elif key in ("items", "additionalProperties", "not", "if", "then", "else"):
            mapped[key] = _adapted(value, adapt)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            mapped[key] = [_adapted(child, adapt) for child in value]
        else:
            mapped[key] = value
    return mapped


def _adapted(child: Any, adapt: Callable[[Schema], Schema]) -> Any:
    return adapt(child) if isinstance(child, dict) else child
