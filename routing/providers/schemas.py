"""JSON Schemas as each provider takes them (spec/providers.md §6, traps 3 and 4)."""

from typing import Any

Schema = dict[str, Any]

EMPTY_OBJECT: Schema = {"type": "object", "properties": {}}

# https://platform.openai.com/docs/guides/structured-outputs: keywords strict mode refuses
_NOT_STRICT = frozenset(
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
_MAPS = ("properties", "$defs", "definitions", "patternProperties")  # of names to schemas
_GEMINI_DROPS = frozenset({"$schema", "$id", "$comment", "title", "examples", "default"})
_GEMINI_FORMATS = frozenset({"date-time", "date", "time", "enum", "int32", "int64", "float", "double"})


def fits_openai_strict(schema: Schema) -> bool:
    """Would OpenAI's strict mode take this schema as it is?"""
    return schema.get("type") == "object" and "anyOf" not in schema and _strict(schema)


def for_anthropic_output(schema: Schema) -> Schema:
    """With the `additionalProperties: false` that structured outputs demand of every object."""
    mapped = _mapped(schema, for_anthropic_output)
    if mapped.get("type") == "object" and "additionalProperties" not in mapped:
        mapped["additionalProperties"] = False
    return mapped


def for_gemini(schema: Schema) -> Schema:
    """`const` as an enum of one, annotations and unknown formats dropped, non-string enums described."""
    mapped = {key: value for key, value in _mapped(schema, for_gemini).items() if key not in _GEMINI_DROPS}
    if "const" in mapped:
        mapped["enum"] = [mapped.pop("const")]
    if mapped.get("format") not in _GEMINI_FORMATS:
        mapped.pop("format", None)
    values = mapped.get("enum")
    if isinstance(values, list) and not all(isinstance(value, str) for value in values):
        del mapped["enum"]
        allowed = "One of: " + ", ".join(map(str, values))
        mapped["description"] = f"{mapped['description']} {allowed}" if mapped.get("description") else allowed
    return mapped


def _strict(schema: Any) -> bool:
    if not isinstance(schema, dict):
        return True
    if _NOT_STRICT & schema.keys() or ("$ref" in schema and len(schema) > 1):
        return False
    if "(?=" in (pattern := str(schema.get("pattern", ""))) or "(?!" in pattern or "(?<" in pattern:
        return False
    kinds = schema.get("type")
    if kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema:
        names = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False or set(schema.get("required") or ()) != set(names):
            return False
    return all(_strict(child) for child in _children(schema))


def _children(schema: Schema) -> list[Any]:
    children: list[Any] = []
    for key, value in schema.items():
        if key in _MAPS and isinstance(value, dict):
            children.extend(value.values())
        elif key in ("items", "additionalProperties"):
            children.append(value)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            children.extend(value)
    return children


def _mapped(schema: Schema, adapt: Any) -> Schema:
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


def _adapted(child: Any, adapt: Any) -> Any:
    return adapt(child) if isinstance(child, dict) else child
