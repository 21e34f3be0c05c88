"""Tool schemas with an object at the root, the only form that every provider takes.

A union, an intersection or a reference at the root is folded into the root's own properties. Rules that
this loses are written into the root's description.
"""

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from routing.language.chat import ChatRequest, Tool
from routing.providers.shared.schemas import Adapted, Schema

FOLDED = "a {} at the root became one object"
DESCRIBED = "{} at the root is described in words"
_COMBINED = ("allOf", "anyOf", "oneOf")
_IN_WORDS = ("not", "enum", "const")
_MOST_WORDS = 4000  # characters of a rule in words
_MOST_DEPTH = 20  # of references and combinations in each other
# Definitions that refer to each other describe exponentially many branches, and comparing branches takes time
# with the square of their size. Larger schemas are described; 200 branches of 100 kB are folded in 30 ms.
_MOST_BRANCHES = 200  # of all combinations together
_MOST_FOLDED_BYTES = 100_000  # of a schema as JSON
_MOST_FOLDED_TOGETHER = 500_000  # bytes of all schemas of a request that are folded


class _Shape(NamedTuple):
    """The arguments that the root of a schema allows. `closed`: no others; `words`: rules in words."""

    properties: dict[str, Any]
    required: tuple[str, ...]
    closed: bool
    words: tuple[str, ...]


def with_object_roots(request: ChatRequest) -> tuple[ChatRequest, tuple[str, ...]]:
    """The request with such schemas for its tools, and what was changed."""
    changes: dict[str, None] = {}
    tools: list[Tool] = []
    left = _MOST_FOLDED_TOGETHER
    for tool in request.tools:
        if tool.is_custom or _is_plain_object(tool.parameters):
            tools.append(tool)
            continue
        size = len(msgspec.json.encode(tool.parameters))
        left -= size
        adapted = object_root(tool.parameters, is_large=size > _MOST_FOLDED_BYTES or left < 0)
        changes |= dict.fromkeys(adapted.changes)
        same = adapted.schema is tool.parameters
        tools.append(tool if same else msgspec.structs.replace(tool, parameters=adapted.schema))
    if all(new is old for new, old in zip(tools, request.tools, strict=True)):
        return request, ()
    return msgspec.structs.replace(request, tools=tuple(tools)), tuple(changes)


def object_root(schema: Schema, *, is_large: bool = False) -> Adapted:
    """The schema with an object at its root. An empty schema takes no arguments, and stays as it is.

    `is_large`: folding it would take too long.
    """
    if _is_plain_object(schema):
        return Adapted(schema, ())
    special = _special(schema)
    if is_large:
        return _described(schema, "a very large schema")
    folding = _Folding(schema)
    if not _may_be_object(target := folding.resolved(schema)):
        return _described(schema, "another type")
    try:
        shape = folding.shape(target, 0)
    except _TooManyBranches:
        return _described(schema, f"a union of more than {_MOST_BRANCHES} branches")
    folded = [FOLDED.format(_NAMES[name]) for name in special if name in _NAMES]
    described = [DESCRIBED.format(name) for name in special if name in _IN_WORDS]
    return Adapted(_root(schema, shape), (*folded, *described))


def _special(schema: Schema) -> list[str]:
    return [name for name in ("$ref", *_COMBINED, *_IN_WORDS) if name in schema]


def _is_plain_object(schema: Schema) -> bool:
    is_object = schema.get("type") == "object" and "properties" in schema
    return not schema or (is_object and not _special(schema))


def _described(schema: Schema, what: str) -> Adapted:
    """An object with the properties that the root has itself, and the schema in words."""
    words = f"The arguments must match this JSON Schema: {_json(schema)}"
    own = schema.get("properties") or {} if _may_be_object(schema) else {}
    return Adapted(_root(schema, _Shape(own, (), False, (words,))), (DESCRIBED.format(what),))


_NAMES = {"$ref": "reference", "allOf": "combination", "anyOf": "union", "oneOf": "union"}


def _root(schema: Schema, shape: _Shape) -> Schema:
    dropped = {"$ref", *_COMBINED, *_IN_WORDS, "type", "properties", "required", "description", "items"}
    rest = {name: value for name, value in schema.items() if name not in dropped}
    root: Schema = {"type": "object", "properties": shape.properties, **rest}
    if shape.required:
        root["required"] = list(shape.required)
    if shape.closed:
        root["additionalProperties"] = False
    if words := " ".join(filter(None, [_text(schema.get("description")), *shape.words])):
        root["description"] = words
    return root


class _TooManyBranches(Exception):
    """Folding the schema would take too long."""


class _Folding:
    """One schema being folded; counts the branches of all its combinations."""

    def __init__(self, root: Schema) -> None:
        self._root, self._left = root, _MOST_BRANCHES
        self._targets: dict[str, Schema] = {}  # by reference

    def shape(self, part: Schema, depth: int) -> _Shape:
        """The shape of a schema whose own reference is resolved."""
        properties = dict(part.get("properties") or {})
        required = dict.fromkeys(part.get("required") or ())
        closed = part.get("additionalProperties") is False
        words = [f"{name}: {_json(part[name])}." for name in _IN_WORDS if name in part]
        if depth >= _MOST_DEPTH:
            return _Shape(properties, tuple(required), closed, tuple(words))
        for shape in self._branches(part.get("allOf"), depth):
            _add(properties, shape.properties)
            required |= dict.fromkeys(shape.required)
            closed = closed or shape.closed
            words += shape.words
        for name in ("anyOf", "oneOf"):
            branches = list(self._branches(part.get(name), depth))
            if not branches:
                continue
            for shape in branches:
                _add(properties, shape.properties)
                words += shape.words
            common = set.intersection(*(set(shape.required) for shape in branches))
            required |= dict.fromkeys(name for name in branches[0].required if name in common)
            closed = closed or all(shape.closed for shape in branches)
            words.append(_alternatives(branches))
        return _Shape(properties, tuple(required), closed, tuple(filter(None, words)))

    def _branches(self, value: Any, depth: int) -> Iterator[_Shape]:
        """The shapes of the schemas of a combination that describe objects."""
        for inner in value if isinstance(value, list) else ():
            self._left -= 1
            if self._left < 0:
                raise _TooManyBranches
            if isinstance(inner, dict) and _may_be_object(part := self.resolved(inner)):
                yield self.shape(part, depth + 1)

    def resolved(self, part: Schema) -> Schema:
        """The schema that a chain of local references leads to, with the keywords beside each reference."""
        reference = part.get("$ref")
        if not isinstance(reference, str):
            return part
        target = self._targets.get(reference)
        if target is None:
            target = self._targets[reference] = _resolved({"$ref": reference}, self._root)
        return target | {name: value for name, value in part.items() if name != "$ref"}


def _alternatives(branches: Iterable[_Shape]) -> str:
    groups = [", ".join(shape.required or shape.properties) or "no arguments" for shape in branches]
    distinct = list(dict.fromkeys(groups))
    if len(distinct) < 2:
        return ""
    return f"Give the arguments of one of these groups: {'; '.join(distinct)[:_MOST_WORDS]}."


def _add(properties: dict[str, Any], more: dict[str, Any]) -> None:
    """Add properties; one that two schemas describe differently may be either."""
    for name, schema in more.items():
        known = properties.get(name)
        if known is None or known is schema or known == schema:
            properties[name] = schema
        elif isinstance(known, dict) and list(known) == ["anyOf"]:
            if schema not in known["anyOf"]:
                properties[name] = {"anyOf": [*known["anyOf"], schema]}
        else:
            properties[name] = {"anyOf": [known, schema]}


def _may_be_object(schema: Schema) -> bool:
    kinds = schema.get("type")
    return kinds is None or kinds == "object" or (isinstance(kinds, list) and "object" in kinds)


def _resolved(part: Schema, root: Schema) -> Schema:
    """The schema that a chain of local references leads to, with the keywords beside each reference."""
    for _ in range(_MOST_DEPTH):
        reference = part.get("$ref")
        if not isinstance(reference, str):
            return part
        beside = {name: value for name, value in part.items() if name != "$ref"}
        part = _target(reference, root) | beside
    return {name: value for name, value in part.items() if name != "$ref"}


def _target(reference: str, root: Schema) -> Schema:
    target: Any = root
    if not reference.startswith("#"):
        return {}
    for step in reference[1:].split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        target = target.get(step) if isinstance(target, dict) else None
    return target if isinstance(target, dict) and target is not root else {}


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()[:_MOST_WORDS]
