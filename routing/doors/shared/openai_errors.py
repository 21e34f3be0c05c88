"""Errors in OpenAI's format, for both OpenAI-shaped doors. Its clients choose the exception by status."""

from typing import Any

from core.errors import ApiError

_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


def error_body(error: ApiError, request_id: str = "") -> dict[str, Any]:
    """The body has no place for the request's id."""
    kind = _TYPES.get(error.status)
    if kind is None:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}
