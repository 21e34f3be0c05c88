"""The error replies of the providers, raised where the fact is known, in each provider's own form."""

from typing import Any


class ErrorReply(Exception):
    """An error reply: `status`, the finished `body` and extra response headers."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(str(body))
        self.status = status
        self.body = body
        self.headers = headers or {}


def openai_error(
    status: int,
    message: str,
    *,
    kind: str = "invalid_request_error",
    param: str | None = None,
    code: str | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorReply:
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return ErrorReply(status, body, headers)


_ANTHROPIC_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error(
    status: int,
    message: str,
    *,
    kind: str | None = None,
    error_code: str | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorReply:
    """`request_id` is filled in when it is sent."""
    error: dict[str, Any] = {"type": kind or _ANTHROPIC_KINDS.get(status, "api_error"), "message": message}
    if error_code is not None:
        error["details"] = {"error_code": error_code}
    return ErrorReply(status, {"type": "error", "error": error, "request_id": None}, headers)


_GOOGLE_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def google_error(
    code: int,
    message: str,
    *,
    status: str | None = None,
    details: list[dict[str, Any]] | None = None,
    headers: dict[str, str] | None = None,
) -> ErrorReply:
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "status": status or _GOOGLE_STATUSES.get(code, "UNKNOWN"),
    }
    if details:
        error["details"] = details
    return ErrorReply(code, {"error": error}, headers)
