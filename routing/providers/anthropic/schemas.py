"""JSON Schemas as Anthropic's structured outputs take them."""

from typing import Any

import msgspec

from routing.providers.shared.schemas import Adapted, Schema, is_object, subschemas, with_children_adapted

_NOTES = frozenset({"$schema", "$id", "$comment", "examples"})  # they constrain nothing
# Keywords that structured outputs take; the rest goes into the description, as Anthropic's own SDK does
# (anthropic 2.12.0, lib/_parse/_transform.py).
_KEYS = frozenset(
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
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
MOST_OPTIONAL, MOST_UNIONS = 24, 16
MOST_STRICT_TOOLS = 20
MOST_WORDS = 4000  # characters of a keyword's value in words


def for_structured_output(schema: Schema) -> Adapted:
    """The schema with every object closed, and keywords that the API does not take put in the description."""
    changes: dict[str, None] = {}

    def adapt(part: Schema) -> Schema:
        mapped = with_children_adapted(part, adapt)
        if "oneOf" in mapped and "anyOf" not in mapped:
            mapped["anyOf"] = mapped.pop("oneOf")
            changes["oneOf is an anyOf"] = None
        foreign = [key for key in mapped if not _is_taken(key, mapped[key])]
        for key in foreign:
            del mapped[key]
        # As the caller wrote it: a schema in there would bring its own words, quoted once more at each level.
        words = [f"{key}: {_in_words(part.get(key, ''))}" for key in foreign if key not in _NOTES]
        if words:
            mapped["description"] = " ".join(filter(None, [mapped.get("description"), *words]))
            changes.update({f"{key} is described in words": None for key in foreign if key not in _NOTES})
        if is_object(mapped) and mapped.get("additionalProperties") is not False:
            mapped["additionalProperties"] = False
            changes["objects take no other properties"] = None
        return mapped

    return Adapted(adapt(schema), tuple(changes))


def why_not_structured_output(schema: Schema) -> str | None:
    """The reason why structured outputs refuse the schema even when adapted; None: they take it."""
    parts = list(subschemas(schema))
    if any(isinstance(part.get("additionalProperties"), dict) for part in parts):
        return "an object takes any property names"
    optional = sum(len(set(part.get("properties") or ()) - set(part.get("required") or ())) for part in parts)
    if optional > MOST_OPTIONAL:
        return f"{optional} properties are optional, more than {MOST_OPTIONAL}"
    unions = sum("anyOf" in part or "oneOf" in part or isinstance(part.get("type"), list) for part in parts)
    if unions > MOST_UNIONS:
        return f"{unions} unions, more than {MOST_UNIONS}"
    return "it is recursive" if _is_recursive(schema) else None


def _in_words(value: Any) -> str:
    words = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return words if len(words) <= MOST_WORDS else f"{words[:MOST_WORDS]}…"


def _is_taken(key: str, value: Any) -> bool:
    if key == "format":
        return value in _FORMATS
    return key in _KEYS or (key == "minItems" and value in (0, 1))


def _is_recursive(schema: Schema) -> bool:
    """Return whether a definition refers to itself, or anything refers to the root."""
    definitions = {
        f"#/{place}/{name}": part
        for place in ("$defs", "definitions")
        for name, part in (schema.get(place) or {}).items()
    }
    leads = {
        name: {str(inner["$ref"]) for inner in subschemas(part) if "$ref" in inner}
        for name, part in definitions.items()
    }
    if any("$ref" in inner and str(inner["$ref"]) == "#" for inner in subschemas(schema)):
        return True
    return _has_cycle(leads)


def _has_cycle(leads: dict[str, set[str]]) -> bool:
    """Return whether a name leads back to itself. Takes a name from the graph when nothing leads to it."""
    waiting = dict.fromkeys(leads, 0)  # how many names lead to each
    for further in leads.values():
        for name in further & leads.keys():
            waiting[name] += 1
    free = [name for name, count in waiting.items() if count == 0]
    taken = 0
    while free:
        taken += 1
        for name in leads[free.pop()] & leads.keys():
            waiting[name] -= 1
            if waiting[name] == 0:
                free.append(name)
    return taken < len(leads)
