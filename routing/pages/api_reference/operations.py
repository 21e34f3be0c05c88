"""The operations of the API, read from the OpenAPI document once a process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any

from drf_spectacular.generators import SchemaGenerator

_DEEPEST = 3  # levels of fields within fields
_METHODS = ("get", "post", "put", "patch", "delete")
_GROUPS = {  # by the path's beginning; the first that fits
    "/api/v1/chat": "Chat and routing",
    "/api/v1/route": "Chat and routing",
    "/v1/messages": "Anthropic-compatible",
    "/v1/": "OpenAI-compatible",
    "": "Your account",
}
_PLACES = {"path": "in the path", "query": "in the query", "header": "as a header"}


@dataclass(frozen=True)
class Field:
    """A field of a body or an answer. `kind`: its type in words; `fields`: those within it."""

    name: str
    kind: str
    is_required: bool
    description: str
    fields: tuple["Field", ...] = ()


@dataclass(frozen=True)
class Parameter:
    name: str
    place: str  # path, query or header
    kind: str
    is_required: bool
    description: str

    @property
    def place_words(self) -> str:
        return _PLACES[self.place]


@dataclass(frozen=True)
class Operation:
    """`slug`: its operation id, below /docs/api/. `example`: a body to send, if it takes one."""

    slug: str
    title: str
    description: str
    group: str
    method: str
    path: str
    needs_key: bool
    parameters: tuple[Parameter, ...]
    body: tuple[Field, ...]
    example: Any
    answer: tuple[Field, ...]
    streams: bool
    statuses: tuple[tuple[int, str], ...]  # of errors, with their names
    error: tuple[Field, ...]

    @property
    def url(self) -> str:
        return f"/docs/api/{self.slug}"


@cache
def operations() -> dict[str, Operation]:
    """By slug, in the order of their groups."""
    document: Mapping[str, Any] = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    reader = _Reader(document["components"]["schemas"])
    read = [
        reader.operation(method, path, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in _METHODS
    ]
    order = list(dict.fromkeys(_GROUPS.values()))
    read.sort(key=lambda operation: order.index(operation.group))
    return {operation.slug: operation for operation in read}


def groups() -> dict[str, list[Operation]]:
    grouped: dict[str, list[Operation]] = {}
    for operation in operations().values():
        grouped.setdefault(operation.group, []).append(operation)
    return grouped


class _Reader:
    """Reads operations with the schemas that they refer to."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas

    def operation(self, method: str, path: str, source: Mapping[str, Any]) -> Operation:
        body = source.get("requestBody", {}).get("content", {}).get("application/json", {})
        answer = source["responses"].get("200", {}).get("content", {})
        statuses = sorted(int(status) for status in source["responses"] if int(status) >= 400)
        error = source["responses"].get(str(statuses[0]), {}) if statuses else {}
        return Operation(
            slug=source["operationId"],
            title=source.get("summary") or source["operationId"],
            description=source.get("description", ""),
            group=next(group for start, group in _GROUPS.items() if path.startswith(start)),
            method=method.upper(),
            path=path,
            needs_key=bool(source.get("security")),
            parameters=tuple(self._parameter(item) for item in source.get("parameters", ())),
            body=self._fields(body.get("schema", {})),
            example=self._example(body),
            answer=self._fields(answer.get("application/json", {}).get("schema", {})),
            streams="text/event-stream" in answer,
            statuses=tuple((status, HTTPStatus(status).phrase) for status in statuses),
            error=self._fields(error.get("content", {}).get("application/json", {}).get("schema", {})),
        )

    def _parameter(self, source: Mapping[str, Any]) -> Parameter:
        return Parameter(
            name=source["name"],
            place=source["in"],
            kind=self._kind(source.get("schema", {})),
            is_required=source.get("required", False),
            description=source.get("description", ""),
        )

    def _fields(self, schema: Mapping[str, Any], depth: int = 1) -> tuple[Field, ...]:
        """The fields of an object, of the objects in a list, or of the first form that is an object."""
        schema = self._resolved(schema)
        if depth > _DEEPEST:
            return ()
        if "properties" not in schema:
            inner = [schema["items"]] if "items" in schema else self._choices(schema)
            return next((fields for item in inner if (fields := self._fields(item, depth))), ())
        required = schema.get("required", ())
        return tuple(
            Field(
                name=name,
                kind=self._kind(part),
                is_required=name in required,
                description=part.get("description") or "",
                fields=self._fields(part, depth + 1),
            )
            for name, part in schema["properties"].items()
        )

    def _kind(self, schema: Mapping[str, Any]) -> str:
        """The type in words: "integer, 1 to 1000000", "one of auto, cost", "list of objects"."""
        schema = self._resolved(schema)
        if values := [value for value in schema.get("enum", ()) if value is not None]:
            return "one of " + ", ".join(map(str, values))
        if choices := self._choices(schema):
            return " or ".join(dict.fromkeys(self._kind(choice) for choice in choices))
        kind = str(schema.get("type", "any value"))
        if kind == "array":
            item = self._kind(schema.get("items", {}))
            return f"list of {item}" if item.startswith("one of") else f"list of {item.partition(',')[0]}s"
        if kind == "string" and schema.get("format") == "date-time":
            kind = "time"
        return kind + _range(schema)

    def _choices(self, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        choices = [self._resolved(choice) for choice in schema.get("oneOf", schema.get("anyOf", ()))]
        return [choice for choice in choices if choice.get("enum") != [None]]

    def _resolved(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in schema or len(schema.get("allOf", ())) == 1:
            target = schema.get("$ref") or ""
            schema = self._schemas[target.rpartition("/")[2]] if target else schema["allOf"][0]
        return schema

    def _example(self, body: Mapping[str, Any]) -> Any:
        """The document's first example, or the required fields with usual values."""
        if not body:
            return None
        for example in body.get("examples", {}).values():
            return example["value"]
        required = self._resolved(body.get("schema", {})).get("required", ())
        return {name: _USUAL[name] for name in required if name in _USUAL} | _beside(required)


# Values of fields in examples
_USUAL: dict[str, Any] = {
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "input": "What is the capital of France?",
    "model": "routeplex-ai",
    "max_tokens": 256,
    "request_id": "req_YOUR_REQUEST",
    "number": "2026-01-1",
    "rating": 5,
}


def _beside(required: Iterator[str] | tuple[str, ...]) -> dict[str, Any]:
    """Feedback needs a score, in one of several fields."""
    return {"score": 1.0} if tuple(required) == ("request_id",) else {}


def usual_value(name: str) -> str:
    """A value for a parameter of the path."""
    return str(_USUAL.get(name, name))


def _range(schema: Mapping[str, Any]) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if schema.get("format") == "int64" or (least is None and most is None):
        return ""
    if most is None:
        return f", {least} or more"
    return f", {least} to {most}" if least is not None else f", at most {most}"
