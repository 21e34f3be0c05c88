"""What is wrong with a request, field by field, and the readers of its simplest fields."""

from collections.abc import Mapping
from typing import Any

from accounts.errors import ApiError
from routing.doors.errors import validation_error


class Findings:
    """What is wrong with a request, field by field."""

    def __init__(self) -> None:
        self.found: list[dict[str, str]] = []

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
