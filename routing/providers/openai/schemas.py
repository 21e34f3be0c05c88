"""JSON Schemas in OpenAI's strict mode."""

from typing import Any

from routing.providers.shared.schemas import Schema, children, is_object

# https://platform.openai.com/docs/guides/structured-outputs: keywords strict mode refuses
_REFUSED = frozenset(
    {
        "minProperties",
        "maxProperties",
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
        "unevaluatedItems",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "default",
        "oneOf",
        "allOf",
        "not",
        "if",
        "then",
        "else",
        "dependentRequired",
        "dependentSchemas",
    }
)


def why_not_strict(schema: Schema) -> str | None:
    """The reason why OpenAI's strict mode refuses the schema; None: it takes it."""
    if schema.get("type") != "object":
        return "the root is no object"
    if "anyOf" in schema:
        return "the root is an anyOf"
    return _not_strict(schema)


def _not_strict(schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    if refused := _REFUSED & schema.keys():
        return f"{min(refused)} is not supported"
    if "$ref" in schema and len(schema) > 1:
        return "$ref has siblings"
    if "(?=" in (pattern := str(schema.get("pattern", ""))) or "(?!" in pattern or "(?<" in pattern:
        return "a pattern looks around"
    if is_object(schema):
        names = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            return "an object lacks additionalProperties: false"
        if set(schema.get("required") or ()) != set(names):
            return "a property is not required"
    return next((why for child in children(schema) if (why := _not_strict(child))), None)
