"""Finds errors in a JSON Schema, as far as providers check a schema before they use it."""

import re
from collections.abc import Iterator
from typing import Any

_SIZES = ("minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties")
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_MOST_DEPTH = 60


def problem_of(schema: Any, where: str = "schema", depth: int = 0) -> str | None:
    """The first problem as a sentence; None for a valid schema."""
    if isinstance(schema, bool):
        return None
    if not isinstance(schema, dict):
        return f"{where} is not of type 'object', 'boolean'."
    if depth > _MOST_DEPTH:
        return f"{where} is nested too deeply."
    own = next(_own_problems(schema, where), None)
    if own is not None:
        return own
    inner = (problem_of(part, path, depth + 1) for path, part in _parts(schema, where))
    return next((problem for problem in inner if problem is not None), None)


def _own_problems(schema: dict[str, Any], where: str) -> Iterator[str]:
    for name, kind in (
        ("properties", dict),
        ("$defs", dict),
        ("anyOf", list),
        ("oneOf", list),
        ("allOf", list),
    ):
        if name in schema and (not isinstance(schema[name], kind) or (kind is list and not schema[name])):
            yield f"{where}.{name} is not of type '{'object' if kind is dict else 'array'}' or is empty."
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        yield f"{where}.required is not an array of strings."
    if "enum" in schema and (not isinstance(schema["enum"], list) or not schema["enum"]):
        yield f"{where}.enum is not a non-empty array."
    kinds = schema.get("type", "string")
    if not (
        isinstance(kinds, str) or (isinstance(kinds, list) and all(isinstance(kind, str) for kind in kinds))
    ):
        yield f"{where}.type is not a string or an array of strings."
    for name in (*_SIZES, *_BOUNDS):
        value = schema.get(name, 0)
        whole = isinstance(value, int | str) and str(value).isdigit()  # Gemini writes sizes as strings
        if (name in _SIZES and not whole) or (name in _BOUNDS and not isinstance(value, int | float)):
            yield f"{where}.{name} is not a number."
    if "pattern" in schema and not _compiles(schema["pattern"]):
        yield f"{where}.pattern is not a valid regular expression."
    if not isinstance(schema.get("$ref", ""), str):
        yield f"{where}.$ref is not a string."


def _parts(schema: dict[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    for name in ("properties", "$defs"):
        for key, part in schema.get(name, {}).items():
            yield f"{where}.{name}.{key}", part
    for name in ("anyOf", "oneOf", "allOf", "prefixItems"):
        for number, part in enumerate(schema.get(name, [])):
            yield f"{where}.{name}[{number}]", part
    if "items" in schema:
        yield f"{where}.items", schema["items"]


def _compiles(pattern: Any) -> bool:
    try:
        re.compile(pattern)
    except (re.error, TypeError):
        return False
    return True
