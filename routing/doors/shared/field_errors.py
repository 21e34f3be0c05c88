"""Collects the errors of a request's fields, and parses its simplest fields."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from core.errors import ApiError
from routing.doors.shared.errors import MAX_ERRORS, validation_error

_ABSENT: tuple[Any, ...] = (None, "", [], {})
MAX_IGNORED, MAX_PATH = 20, 100  # field paths reported, and characters of each
# Fields of other APIs and the name they have here
_OTHER_NAMES = {
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "prompt": "messages",
    "input": "messages",
    "effort": "reasoning_effort",
    "stop_sequences": "stop",
    "format": "response_format",
    "before": "cursor",
    "after": "cursor",
}
_INDEX = re.compile(r"\[\d+\]")


class FieldErrors:
    """The errors of a request's fields, and the paths of the fields that this API ignores."""

    def __init__(self) -> None:
        self.details: list[dict[str, str]] = []
        self.ignored: dict[str, None] = {}

    def ignore_unknown(self, raw: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        """Record the non-empty fields of an object that are not `known`; each path of a list once."""
        if raw.keys() <= known:
            return
        for name in raw.keys() - known:
            if raw[name] not in _ABSENT:
                self.ignore(f"{path}.{name}" if path else name)

    def ignore(self, path: str) -> None:
        if len(self.ignored) < MAX_IGNORED:
            self.ignored[_INDEX.sub("[]", path)[:MAX_PATH]] = None

    def add(self, field: str, message: str) -> None:
        """Raises the error of all fields at the last one reported: the rest of the body is not read."""
        self.details.append({"field": field[:MAX_PATH], "message": message})
        if len(self.details) >= MAX_ERRORS:
            raise self.error()

    def error(self) -> ApiError:
        return validation_error(self.details)


def no_such_field(name: str, known: Iterable[str]) -> str:
    """The message for an unknown field, with the known one that was probably meant."""
    names = list(known)
    meant = _OTHER_NAMES.get(name)
    near = [meant] if meant in names else get_close_matches(name, names, n=1, cutoff=0.7)
    return f"There is no such field. Did you mean {near[0]}?" if near else "There is no such field."


def text(
    raw: Mapping[str, Any], name: str, path: str, errors: FieldErrors, *, required: bool = False
) -> str | None:
    """A text field; None when it is absent."""
    value = raw.get(name)
    if value is None:
        if required:
            errors.add(f"{path}.{name}", "This field is required.")
    elif not isinstance(value, str):
        errors.add(f"{path}.{name}", "Must be a string.")
        return None
    elif required and not value.strip():
        errors.add(f"{path}.{name}", "Must not be blank.")
    return value


def record(raw: Any, path: str, errors: FieldErrors) -> dict[str, Any] | None:
    """A JSON object; None, with an error, when it is something else."""
    if isinstance(raw, dict):
        return raw
    errors.add(path, "This field is required." if raw is None else "Must be an object.")
    return None
