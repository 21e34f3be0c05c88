"""Decodes the body of a request into a JSON object, or raises an error that says what is wrong."""

import re
import zlib
from collections.abc import Iterable
from typing import Any

import msgspec
from django.http import HttpRequest

from core.hot_settings import hot
from routing.doors.shared.errors import validation_error
from routing.language.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType

_decode = msgspec.json.Decoder().decode
# Escapes of a JSON text in their order: escaped backslashes, whole surrogate pairs, and halves of pairs
_ESCAPES = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u(?P<alone>[dD][89a-fA-F][0-9a-fA-F]{2})"
)
_NUL = b"\\u0000"
_MAX_DEPTH = 128  # a tool's schema is deep at 20 levels; the JSON encoder has a limit too
_TOO_DEEP = f"The JSON of the body is nested more than {_MAX_DEPTH} levels deep."


def json_object(request: HttpRequest) -> dict[str, Any]:
    """The decoded body. Raises BadRequest, PayloadTooLarge, and ValidationError for a NUL in a string."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    if kind and kind != "application/json" and not kind.endswith("+json"):
        raise BadRequest(f"Send JSON with Content-Type: application/json, not {kind[:80]}.")
    body = _plain(request)
    if len(body) > hot.MAX_BODY_BYTES:
        raise PayloadTooLarge(f"The request body is larger than {hot.MAX_BODY_BYTES:,} bytes. Send less.")
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


def _plain(request: HttpRequest) -> bytes:
    """The body, unpacked if it is packed; the request then holds it unpacked.

    Raises UnsupportedMediaType, BadRequest for a damaged body, PayloadTooLarge.
    """
    encoding = (request.headers.get("Content-Encoding") or "").strip().lower()
    packed = request.body
    if encoding in ("", "identity"):
        return packed
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise UnsupportedMediaType(
            f"Bodies with Content-Encoding: {encoding[:40]} are not read here. Send gzip, or plain JSON.",
            headers={"Accept-Encoding": "gzip, deflate"},
        )
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # which knows gzip and deflate by their heads
    try:
        body = unpacker.decompress(packed, hot.MAX_BODY_BYTES + 1)
    except zlib.error:
        raise BadRequest(f"The body is not valid {encoding}, as Content-Encoding says.") from None
    if len(body) <= hot.MAX_BODY_BYTES and not unpacker.eof:
        raise BadRequest(f"The {encoding} body ends too early.")
    request._body = body  # equal requests are equal, however they are packed
    return body


def _decoded(body: bytes) -> Any:
    try:
        return _decode(body)
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not valid UTF-8: {error.reason} at byte {error.start}.") from None
    except RecursionError:
        raise BadRequest(_TOO_DEEP) from None
    except msgspec.DecodeError as error:
        if (at := _lone_surrogate(body)) is not None:
            raise BadRequest(
                f"The JSON holds half of a surrogate pair (\\u{at}): a text was cut inside a character. "
                "Cut it between characters, or leave the half out."
            ) from None
        raise BadRequest(f"The body is not valid JSON: {error}.") from None


def _lone_surrogate(body: bytes) -> str | None:
    """The hexadecimal digits of the first escaped surrogate without its other half."""
    for match in _ESCAPES.finditer(body):
        if match["alone"]:
            return match["alone"].decode()
    return None


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
