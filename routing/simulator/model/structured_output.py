"""Deterministic JSON that fits a JSON Schema, filled with words and numbers of the prompt where they fit."""

import re
from typing import Any

_MAX_DEPTH = 6
_MOST_VALUES = 20_000  # in one example; definitions that refer to each other describe exponentially many
_MOST_ITEMS = 1_000  # of an array; a schema that wants more gets fewer
_MOST_PADDING = 10_000  # characters added to reach a minLength
_FORMATS = {
    "date": "2026-01-15",
    "date-time": "2026-01-15T12:00:00Z",
    "time": "12:00:00Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "12345678-1234-4234-8234-123456789abc",
    "ipv4": "192.0.2.1",
    "hostname": "example.com",
}
_LONG_TEXT_NAMES = re.compile(r"answer|summary|text|explanation|content|description|response|message|steps?$")


def example(schema: dict[str, Any], prompt: str, text: str = "") -> Any:
    """A value valid under `schema`. `text` fills string properties that ask for prose, as "answer" does."""
    return _Filler(schema, prompt, text).value(schema, "", 0)


class _Filler:
    def __init__(self, root: dict[str, Any], prompt: str, text: str) -> None:
        self._root = root
        self._prompt = prompt
        self._text = text
        self._left = _MOST_VALUES
        self._numbers = [float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", prompt)]

    def value(self, schema: Any, name: str, depth: int) -> Any:
        if not isinstance(schema, dict):
            return "anything"
        self._left -= 1
        if self._left < 0:
            return None
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._choice(schema["enum"])
        kind = self._kind(schema)
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer" | "number":
                return self._number(schema, whole=kind == "integer")
            case "boolean":
                return not re.search(r"\b(not|no|false|without|don't)\b", self._prompt, re.IGNORECASE)
            case "null":
                return None
        return self._string(schema, name)

    def _resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """Follows $ref, merges allOf, takes a branch of anyOf/oneOf (not null; the plainest when deep)."""
        for _ in range(20):
            if "$ref" in schema:
                schema = {
                    **self._pointed(str(schema["$ref"])),
                    **{k: v for k, v in schema.items() if k != "$ref"},
                }
                continue
            if schema.get("allOf"):
                schema = self._merged(schema)
                continue
            branches = schema.get("anyOf") or schema.get("oneOf")
            if not branches:
                break
            solid = [branch for branch in branches if branch.get("type") != "null"]
            nullable = len(solid) < len(branches)
            chosen = {"type": "null"} if nullable and depth >= _MAX_DEPTH else (solid or branches)[0]
            schema = {**{k: v for k, v in schema.items() if k not in {"anyOf", "oneOf"}}, **chosen}
        return schema

    def _merged(self, schema: dict[str, Any]) -> dict[str, Any]:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            resolved = self._pointed(str(part["$ref"])) if "$ref" in part else part
            for key, value in resolved.items():
                if key == "properties":
                    merged[key] = {**merged.get(key, {}), **value}
                elif key == "required":
                    merged[key] = [*merged.get(key, []), *value]
                else:
                    merged.setdefault(key, value)
        return merged

    def _pointed(self, reference: str) -> dict[str, Any]:
        target: Any = self._root
        for step in reference.removeprefix("#").strip("/").split("/"):
            if step:
                target = target.get(step.replace("~1", "/").replace("~0", "~"), {})
        return target if isinstance(target, dict) else {}

    def _kind(self, schema: dict[str, Any]) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        if kind is None:
            kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
        return str(kind).lower()  # Gemini's own schemas write STRING

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties: dict[str, Any] = schema.get("properties") or {}
        required = schema.get("required") or []
        wanted = [name for name in properties if depth < _MAX_DEPTH or name in required]
        wanted += [name for name in required if name not in properties]
        return {name: self.value(properties.get(name, {}), name, depth + 1) for name in wanted}

    def _array(self, schema: dict[str, Any], name: str, depth: int) -> list[Any]:
        least, most = int(schema.get("minItems", 0)), int(schema.get("maxItems", _MOST_ITEMS))
        prefix = [self.value(item, name, depth + 1) for item in schema.get("prefixItems") or []]
        wanted = least if depth >= _MAX_DEPTH else min(max(least, 1), most)
        item = schema.get("items", {})
        return prefix + [
            self.value(item, name, depth + 1) for _ in range(min(wanted, _MOST_ITEMS) - len(prefix))
        ]

    def _number(self, schema: dict[str, Any], *, whole: bool) -> int | float:
        low, high = schema.get("minimum"), schema.get("maximum")
        step = schema.get("multipleOf", 1 if whole else None)
        if "exclusiveMinimum" in schema:
            low = schema["exclusiveMinimum"] + (step or 0.5)
        if "exclusiveMaximum" in schema:
            high = schema["exclusiveMaximum"] - (step or 0.5)
        fitting = [
            number
            for number in self._numbers
            if (low is None or number >= low)
            and (high is None or number <= high)
            and (step is None or number % step == 0)
        ]
        number = fitting[0] if fitting else low if low is not None else high if high is not None else 1
        if step and number % step:
            number = number + step - number % step
        return int(number) if whole or float(number).is_integer() else number

    def _choice(self, options: list[Any]) -> Any:
        lowered = self._prompt.lower()
        named = [option for option in options if isinstance(option, str) and option.lower() in lowered]
        return named[0] if named else options[0]

    def _string(self, schema: dict[str, Any], name: str) -> str:
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        prose = self._text and _LONG_TEXT_NAMES.search(name.lower())
        words = self._text if prose else self._word(name)
        if "pattern" in schema and not re.search(schema["pattern"], words):
            words = self._fitting(schema["pattern"], words)
        least, most = schema.get("minLength", 0), schema.get("maxLength", len(words) + 1_000_000)
        return words.ljust(min(int(least), _MOST_PADDING), "x")[: int(most)]

    def _word(self, name: str) -> str:
        quoted = re.search(r"[\"“']([^\"”']{1,60})[\"”']", self._prompt)
        if quoted:
            return quoted[1]
        names = re.findall(r"(?<=[\w,;:] )(?:[A-Z][\w'-]+)(?: [A-Z][\w'-]+)*", self._prompt)
        return names[0] if names else name or "simulated"

    def _fitting(self, pattern: str, words: str) -> str:
        candidates = (
            "A",
            "a",
            "1",
            "abc",
            "ABC",
            "123",
            "a1",
            "A1",
            "2026-01-15",
            "someone@example.com",
            "#aabbcc",
        )
        tries = [*candidates, *(char * size for size in range(2, 13) for char in "aA1")]
        return next((text for text in tries if re.search(pattern, text)), words)
