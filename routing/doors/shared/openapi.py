"""Documents msgspec structs in the OpenAPI document: `extend_schema(request=SomeStruct)` just works.

The error schema of both OpenAI-shaped doors is here too, because doors do not import each other.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from drf_spectacular.extensions import OpenApiSerializerExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

JSON = "application/json"
ERROR_STATUSES = (400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504)
Responses = dict[tuple[int, str], Any]
_REFERENCE = "#/components/schemas/"
# Keywords that OpenAPI 3.0 does not have, or that only repeat the name of the component
_LEFT_OUT = ("title", "propertyNames")


class OpenAIErrorDetail(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str


class OpenAIError(msgspec.Struct):
    error: OpenAIErrorDetail


DateTime = Annotated[datetime, msgspec.Meta(tz=True)]


def doc(description: str) -> msgspec.Meta:
    """Annotation with a field's description in the document."""
    return msgspec.Meta(description=description)


def answers(struct: type[msgspec.Struct], *, streams: bool = False) -> Responses:
    """The responses of status 200: a JSON body and, where it can be streamed, server-sent events."""
    return {(200, JSON): struct} | ({(200, "text/event-stream"): str} if streams else {})


def errors(struct: type[msgspec.Struct]) -> Responses:
    """The responses of every status in `ERROR_STATUSES`, all with the same body."""
    return {(status, JSON): struct for status in ERROR_STATUSES}


OPENAI_ERRORS = errors(OpenAIError)


class StructExtension(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Lets drf-spectacular take a msgspec struct where it expects a serializer."""

    target_class = msgspec.Struct
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: Any) -> str:
        name: str = self.target.__name__
        return name

    def map_serializer(self, auto_schema: AutoSchema, direction: Any) -> dict[str, Any]:
        _, schemas = msgspec.json.schema_components([self.target], ref_template=_REFERENCE + "{name}")
        enums = {name: schema for name, schema in schemas.items() if "enum" in schema}
        components = {
            name: _to_openapi(schema, enums) for name, schema in schemas.items() if name not in enums
        }
        own = components.pop(self.target.__name__)
        for name, schema in components.items():
            component = ResolvedComponent(name, "schemas", schema, name)  # type: ignore[no-untyped-call]
            auto_schema.registry.register_on_missing(component)
        return own


def _to_openapi(schema: dict[str, Any], enums: dict[str, Any]) -> dict[str, Any]:
    """Convert a JSON Schema by msgspec to OpenAPI 3.0.

    JSON Schema has a type for null, OpenAPI 3.0 the keyword `nullable`. Enums are written out where they are
    used: drf-spectacular names them after their field and moves them into components.
    """
    result = dict(schema)
    is_nullable = result.pop("default", ...) is None
    for branch in result.pop("anyOf", ()):  # msgspec writes it for `X | None` and for nothing else
        if branch == {"type": "null"}:
            is_nullable = True
        else:
            result |= branch
    if (enum := enums.get(result.get("$ref", "").removeprefix(_REFERENCE))) is not None:
        del result["$ref"]
        result["enum"] = enum["enum"]
    if "enum" in result:
        result |= {"type": "string", "enum": [*result["enum"], *([None] if is_nullable else ())]}
    if result.get("type") == "number":
        result["format"] = "double"
    for keyword in ("items", "additionalProperties"):
        if isinstance(result.get(keyword), dict):
            result[keyword] = _to_openapi(result[keyword], enums)
    if "properties" in result:
        result["properties"] = {
            name: _to_openapi(inner, enums) for name, inner in result["properties"].items()
        }
    if result.get("required") == []:  # OpenAPI requires at least one name
        del result["required"]
    for keyword in _LEFT_OUT:
        result.pop(keyword, None)
    if is_nullable:
        result["nullable"] = True
    if "$ref" in result and len(result) > 1:  # nothing may stand beside a reference
        result["allOf"] = [{"$ref": result.pop("$ref")}]
    return result
