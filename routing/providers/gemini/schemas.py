"""JSON Schemas as Gemini takes them."""

from routing.providers.shared.schemas import Adapted, Schema, with_children_adapted

_DROPPED = frozenset({"$schema", "$id", "$comment", "title", "examples", "default"})
_FORMATS = frozenset({"date-time", "date", "time", "enum", "int32", "int64", "float", "double"})


def adapted_schema(schema: Schema) -> Adapted:
    """`const` as an enum of one, annotations and unknown formats dropped, non-string enums described."""
    changes: dict[str, None] = {}

    def adapt(part: Schema) -> Schema:
        mapped = with_children_adapted(part, adapt)
        for key in _DROPPED & mapped.keys():
            del mapped[key]
            changes[f"{key} is left out"] = None
        if "const" in mapped:
            mapped["enum"] = [mapped.pop("const")]
            changes["const is an enum of one"] = None
        if "format" in mapped and mapped["format"] not in _FORMATS:
            changes[f"format {mapped.pop('format')} is left out"] = None
        values = mapped.get("enum")
        if isinstance(values, list) and not all(isinstance(value, str) for value in values):
            del mapped["enum"]
            allowed = "One of: " + ", ".join(map(str, values))
            description = mapped.get("description")
            mapped["description"] = f"{description} {allowed}" if description else allowed
            changes["an enum of other things than strings is described in words"] = None
        return mapped

    return Adapted(adapt(schema), tuple(sorted(changes)))
