"""What is wrong with a request, field by field, and the readers of its simplest fields."""

import re
from collections.abc import Mapping
from typing import Any

from core.errors import ApiError
from routing.doors.shared.errors import validation_error

_ABSENT: tuple[Any, ...] = (None, "", [], {})
MOST_UNHEEDED, MOST_PATH = 20, 100  # fields told, and characters of one
_INDEX = re.compile(r"\[\d+\]")


class Findings:
    """What is wrong with a request, field by field, and what in it is not known here."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []
        self.unheeded: dict[str, None] = {}

    def leave(self, raw: Mapping[str, Any], known: frozenset[str], path: str) -> None:
        """Notes the fields of an object that nobody reads, unless they are empty; of lists, once for all."""
        if raw.keys() <= known:
            return
        for name in raw.keys() - known:
            if raw[name] not in _ABSENT:
                self.leave_one(f"{path}.{name}" if path else name)

    def leave_one(self, path: str) -> None:
        if len(self.unheeded) < MOST_UNHEEDED:
            self.unheeded[_INDEX.sub("[]", path)[:MOST_PATH]] = None

    def add(self, field: str, message: str) -> None:
        self.found.append({"field": field, "message": message})

    def error(self) -> ApiError:
        return validation_error(self.found)


def text(
    raw: Mapping[str, Any], name: str, path: str, bad: Findings, *, required: bool = False
) -> str | None:
    """A text field; None when it is absent."""
    value = raw.get(name)
    if value is None:
        if required:
            bad.add(f"{path}.{name}", "This field is required.")
    elif not isinstance(value, str):
        bad.add(f"{path}.{name}", "Must be a string.")
        return None
    elif required and not value.strip():
        bad.add(f"{path}.{name}", "Must not be blank.")
    return value


def record(raw: Any, path: str, bad: Findings) -> dict[str, Any] | None:
    """A JSON object; None when it is something else."""
    if isinstance(raw, dict):
        return raw
    bad.add(path, "This field is required." if raw is None else "Must be an object.")
    return None
