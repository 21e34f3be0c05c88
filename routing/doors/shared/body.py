"""Decodes the body of a request into a JSON object, or raises an error that says what is wrong."""

from collections.abc import Iterable
from typing import Any

import msgspec
from django.conf import settings
from django.http import HttpRequest

from routing.doors.shared.errors import validation_error
from routing.language.errors import BadRequest, PayloadTooLarge

_decode = msgspec.json.Decoder().decode
_NUL = b"\\u0000"
_MAX_DEPTH = 128  # a tool's schema is deep at 20 levels; the JSON encoder has a limit too
_TOO_DEEP = f"The JSON of the body is nested more than {_MAX_DEPTH} levels deep."


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The decoded body. Raises BadRequest, PayloadTooLarge, and ValidationError for a NUL in a string."""
    kind = (request.META.get("CONTENT_TYPE") or "").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise BadRequest(f"Send JSON with Content-Type: application/json, not {kind[:80]}.")
    body = request.body
    if len(body) > settings.MAX_BODY_BYTES:
        raise PayloadTooLarge(
            f"The request body is larger than {settings.MAX_BODY_BYTES:,} bytes. Send less."
        )
    if not body.strip():
        raise BadRequest("The request has no body. Send a JSON object.")
    value = _decoded(body)
    if body.count(b"[") + body.count(b"{") > _MAX_DEPTH and _is_deep(value):
        raise BadRequest(_TOO_DEEP)
    if not isinstance(value, dict):
        raise BadRequest("The body must be a JSON object.")
    if _NUL in body and (field := _nul_field(value)) is not None:
        raise validation_error([{"field": field, "message": "A text must not hold the character NUL."}])
    return value


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not valid UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not valid JSON: {error}.") from None


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _nul_field(value: Any, path: str = "") -> str | None:
    """The path of the first string with a NUL. The decoder limits the depth of the recursion."""
    if isinstance(value, str):
        return path if "\x00" in value else None
    if isinstance(value, dict):
        for name, inner in value.items():
            at = f"{path}.{name}" if path else name
            if "\x00" in name:
                return path or name.replace("\x00", "\\u0000")
            if (inner_path := _nul_field(inner, at)) is not None:
                return inner_path
    if isinstance(value, list):
        for position, inner in enumerate(value):
            if (inner_path := _nul_field(inner, f"{path}[{position}]")) is not None:
                return inner_path
    return None
