"""The base class of every error a caller can see, and the errors of authentication.

An error carries what the doors need to render it: a stable code, an HTTP status and, where there is
more to say, details. `Door.error_response` renders them.
"""

from typing import Any, ClassVar


class ApiError(Exception):
    """An error the caller sees. `details` is JSON; `headers` are added to the response."""

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        details: Any = None,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.param = param
        self.headers = headers or {}
        self.refused_key: tuple[int, int] | None = None  # ids of account and key that may not call now


class ServiceUnavailable(ApiError):
    """The request can't be served at the moment, and nothing was done."""

    code, status = "service_unavailable", 503


class Unauthenticated(ApiError):
    code, status = "unauthenticated", 401


class InvalidApiKey(ApiError):
    code, status = "invalid_api_key", 401


class ExpiredApiKey(ApiError):
    code, status = "expired_api_key", 401


class PermissionDenied(ApiError):
    code, status = "permission_denied", 403
