"""Errors in the format of Anthropic's Messages API."""

from typing import Any

from core.errors import ApiError
from routing.language.errors import ThreadUnsupported

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    """The stable code goes into `details.error_code`, where the API's clients look for one."""
    kind = _TYPES.get(error.status)
    if kind is None:
        kind = "invalid_request_error" if error.status < 500 else "api_error"
    details: dict[str, Any] = {"error_code": error.code}
    if error.param:
        details["param"] = error.param
    if isinstance(error, ThreadUnsupported):
        details |= error.details
    fields = {"type": kind, "message": error.message, "details": details}
    return {"type": "error", "error": fields, "request_id": request_id}
