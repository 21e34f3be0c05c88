"""JSON Schemas as each provider takes them (spec/providers.md §6, traps 3 and 4)."""

from collections.abc import Callable
from typing import Any, NamedTuple

Schema = dict[str, Any]


class Adapted(NamedTuple):
    """`changes` are sentences without their full stop, for the receipt."""

    schema: Schema
    changes: tuple[str, ...]


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
_NOTES = frozenset({"$schema", "$id", "$comment", "examples"})  # they bind nothing
_GEMINI_DROPS = frozenset({"$schema", "$id", "$comment", "title", "examples", "default"})
_GEMINI_FORMATS = frozenset({"date-time", "date", "time", "enum", "int32", "int64", "float", "double"})


# What structured outputs take as it is; the rest goes into the description, as Anthropic's own SDK does
# (anthropic 2.12.0, lib/_parse/_transform.py). Limits: providers.md §3.
_ANTHROPIC_KEYS = frozenset(
    {
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "anyOf",
        "allOf",
        "enum",
        "const",
        "$ref",
        "$defs",
        "definitions",
        "title",
        "description",
    }
)
_ANTHROPIC_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
MOST_OPTIONAL, MOST_UNIONS = 24, 16
MOST_STRICT_TOOLS = 20


def fits_openai_strict(schema: Schema) -> bool:
    """Would OpenAI's strict mode take this schema as it is?"""
    return why_not_strict(schema) is None


def why_not_strict(schema: Schema) -> str | None:
    """What OpenAI's strict mode would refuse the schema for."""
    if schema.get("type") != "object":
        return "the root is no object"
    if "anyOf" in schema:
        return "the root is an anyOf"
    return _not_strict(schema)


def for_anthropic_output(schema: Schema) -> Adapted:
    """Every object closed, as structured outputs demand, and what they do not know said in words."""
    changes: dict[str, None] = {}

    def adapt(part: Schema) -> Schema:
        mapped = _mapped(part, adapt)
        if "oneOf" in mapped and "anyOf" not in mapped:
            mapped["anyOf"] = mapped.pop("oneOf")
            changes["oneOf is an anyOf"] = None
        foreign = {key: mapped.pop(key) for key in list(mapped) if not _anthropic_takes(key, mapped[key])}
        words = [f"{key}: {foreign[key]}" for key in foreign if key not in _NOTES]
        if words:
            mapped["description"] = " ".join(filter(None, [mapped.get("description"), *words]))
            changes.update({f"{key} is said in words": None for key in foreign if key not in _NOTES})
        if _is_object(mapped) and mapped.get("additionalProperties") is not False:
            mapped["additionalProperties"] = False
            changes["objects take no other properties"] = None
        return mapped

    return Adapted(adapt(schema), tuple(changes))


def why_not_anthropic_output(schema: Schema) -> str | None:
    """What structured outputs would refuse the schema for, however adapted."""
    seen = list(_all(schema))
    if any(isinstance(part.get("additionalProperties"), dict) for part in seen):
        return "an object takes any property names"
    optional = sum(len(set(part.get("properties") or ()) - set(part.get("required") or ())) for part in seen)
    if optional > MOST_OPTIONAL:
        return f"{optional} properties are optional, more than {MOST_OPTIONAL}"
    unions = sum("anyOf" in part or "oneOf" in part or isinstance(part.get("type"), list) for part in seen)
    if unions > MOST_UNIONS:
        return f"{unions} unions, more than {MOST_UNIONS}"
    return "it is recursive" if _is_recursive(schema) else None


def for_gemini(schema: Schema) -> Adapted:
    """`const` as an enum of one, annotations and unknown formats dropped, non-string enums described."""
    changes: dict[str, None] = {}

    def adapt(part: Schema) -> Schema:
        mapped = _mapped(part, adapt)
        for key in _GEMINI_DROPS & mapped.keys():
            del mapped[key]
            changes[f"{key} is left out"] = None
        if "const" in mapped:
            mapped["enum"] = [mapped.pop("const")]
            changes["const is an enum of one"] = None
        if "format" in mapped and mapped["format"] not in _GEMINI_FORMATS:
            changes[f"format {mapped.pop('format')} is left out"] = None
        values = mapped.get("enum")
        if isinstance(values, list) and not all(isinstance(value, str) for value in values):
            del mapped["enum"]
            allowed = "One of: " + ", ".join(map(str, values))
            said = mapped.get("description")
            mapped["description"] = f"{said} {allowed}" if said else allowed
            changes["an enum of other things than strings is described in words"] = None
        return mapped

    return Adapted(adapt(schema), tuple(sorted(changes)))


def _anthropic_takes(key: str, value: Any) -> bool:
    if key == "format":
        return value in _ANTHROPIC_FORMATS
    return key in _ANTHROPIC_KEYS or (key == "minItems" and value in (0, 1))


def _not_strict(schema: Any) -> str | None:
    if not isinstance(schema, dict):
        return None
    if refused := _NOT_STRICT & schema.keys():
        return f"{min(refused)} is not supported"
    if "$ref" in schema and len(schema) > 1:
        return "$ref has siblings"
    if "(?=" in (pattern := str(schema.get("pattern", ""))) or "(?!" in pattern or "(?<" in pattern:
        return "a pattern looks around"
    if _is_object(schema):
        names = schema.get("properties") or {}
        if schema.get("additionalProperties") is not False:
            return "an object lacks additionalProperties: false"
        if set(schema.get("required") or ()) != set(names):
            return "a property is not required"
    return next((why for child in _children(schema) if (why := _not_strict(child))), None)


def _is_object(schema: Schema) -> bool:
    kinds = schema.get("type")
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema


def _all(schema: Any) -> list[Schema]:
    """The schema and every schema in it."""
    if not isinstance(schema, dict):
        return []
    return [schema, *(inner for child in _children(schema) for inner in _all(child))]


def _is_recursive(schema: Schema) -> bool:
    """Does a definition lead to itself, or anything to the root?"""
    definitions = {
        f"#/{place}/{name}": part
        for place in ("$defs", "definitions")
        for name, part in (schema.get(place) or {}).items()
    }
    leads = {
        name: {str(inner["$ref"]) for inner in _all(part) if "$ref" in inner}
        for name, part in definitions.items()
    }
    leads["#"] = {str(inner["$ref"]) for inner in _all(schema) if "$ref" in inner}
    if "#" in leads["#"]:
        return True
    for name in definitions:
        reached: set[str] = set()
        ahead = set(leads[name])
        while ahead:
            reached |= ahead
            ahead = {further for one in ahead for further in leads.get(one, ())} - reached
        if name in reached:
            return True
    return False


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


def _mapped(schema: Schema, adapt: Callable[[Schema], Schema]) -> Schema:
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
