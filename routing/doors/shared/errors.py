"""The one place that renders errors: ours, DRF's and Django's, in the shape of the door they came through."""

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions as drf
from rest_framework.settings import api_settings

from accounts.caller_lookup import CHALLENGE
from billing.ledger.limits import RateLimited
from core.database import database_unavailable
from core.errors import ApiError, PermissionDenied, Unauthenticated
from routing.language.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    ThreadUnsupported,
    ValidationError,
)

logger = logging.getLogger(__name__)

# The words OpenAI uses; its clients choose the exception by status (and show the type).
_OPENAI_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
# The words of the Messages API, and the header its clients look for the id in
_MESSAGES_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
MESSAGES_REQUEST_ID = "request-id"


def exception_handler(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """DRF's hook: whatever a view raised becomes a JSON answer; what nobody foresaw is logged."""
    request = context["request"]
    return error_response(api_error(exc), request.path, request.request_id)


def error_response(error: ApiError, path: str, request_id: str) -> HttpResponse:
    """The answer to a request at that path, with the error's own headers and the request's id."""
    if is_messages_path(path):
        payload = messages_error(error, request_id)
    else:
        payload = openai_error(error) if is_openai_path(path) else native_error(error, request_id)
    response = HttpResponse(json.dumps(payload, default=str), content_type="application/json")
    response.status_code = error.status
    for name, value in error.headers.items():
        response.headers[name] = header_value(value)
    response.headers["Content-Length"] = str(len(response.content))
    response.headers["X-Request-Id"] = request_id
    if is_messages_path(path):
        response.headers[MESSAGES_REQUEST_ID] = request_id
    return response


def is_messages_path(path: str) -> bool:
    """Whether clients of the Messages API send requests there."""
    return path == "/v1/messages" or path.startswith("/v1/messages/")


def is_openai_path(path: str) -> bool:
    """Whether clients of OpenAI's API send requests there."""
    return path == "/v1" or path.startswith("/v1/") or path.rstrip("/").endswith("/chat/completions")


def native_error(error: ApiError, request_id: str) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details is not None:
        told["details"] = error.details
    elif error.param:
        told["details"] = [{"field": error.param, "message": error.message}]
    return {"success": False, "error": told, "meta": meta(request_id)}


def openai_error(error: ApiError) -> dict[str, Any]:
    kind = _OPENAI_TYPES.get(error.status)
    if kind is None:
        kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def messages_error(error: ApiError, request_id: str) -> dict[str, Any]:
    """`details.error_code` is where the API's clients look for a stable code."""
    kind = _MESSAGES_TYPES.get(error.status)
    if kind is None:
        kind = "invalid_request_error" if error.status < 500 else "api_error"
    details: dict[str, Any] = {"error_code": error.code}
    if error.param:
        details["param"] = error.param
    if isinstance(error, ThreadUnsupported):
        details |= error.details
    told = {"type": kind, "message": error.message, "details": details}
    return {"type": "error", "error": told, "request_id": request_id}


def meta(request_id: str) -> dict[str, str]:
    """What closes every native answer."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"request_id": request_id, "timestamp": now}


def header_value(value: str) -> str:
    """What can safely stand in a header: printable ASCII; the rest is replaced."""
    return "".join(char if " " <= char <= "~" else "?" for char in value)


def api_error(exc: Exception) -> ApiError:
    """What the caller is told about an exception."""
    match exc:
        case ApiError():
            return exc
        case drf.APIException():
            return _of_drf(exc)
        case Http404():
            return NotFound("There is nothing here. Check the id and the path.")
        case DjangoPermissionDenied():
            return PermissionDenied("This key may not do that.")
        case RequestDataTooBig():
            return PayloadTooLarge("The request body is too large. Send less.")
        case OperationalError() | InterfaceError():
            return database_unavailable()
        case SuspiciousOperation():
            return BadRequest("The request is malformed.")
    logger.error("a view failed", exc_info=exc)
    return InternalError("Something went wrong on our side. Try again.")


def flat_details(errors: Any, field: str = "") -> Iterator[dict[str, str]]:
    """A serializer's errors, flat: `{"field": "messages[2].content", "message": …}`."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            if isinstance(name, int):  # DRF's way of saying which of a list
                own = f"[{name}]"
            else:
                own = "" if name == api_settings.NON_FIELD_ERRORS_KEY else str(name)
            yield from flat_details(inner, joined(field, own))
    elif isinstance(errors, list | tuple):
        for position, inner in enumerate(errors):
            at = f"{field}[{position}]" if isinstance(inner, Mapping | list) and inner else field
            yield from flat_details(inner, at)
    else:
        yield {"field": field, "message": str(errors)}


def joined(path: str, inner: str) -> str:
    """The path of something within something: `messages` and `[0].role` make `messages[0].role`."""
    if not path or not inner:
        return path or inner.removeprefix(".")
    return path + inner if inner[0] in "[." else f"{path}.{inner}"


def validation_error(details: list[dict[str, str]]) -> ValidationError:
    """The error for wrong fields: the message tells all of the first, and how many more there are."""
    first = details[0]
    message = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    if len(details) > 1:
        others = ", ".join(dict.fromkeys(one["field"] for one in details[1:6]))
        message += f" ({len(details) - 1} more: {others}{', …' if len(details) > 6 else ''})"
    return ValidationError(message, details=details, param=first["field"] or None)


def _of_drf(exc: drf.APIException) -> ApiError:
    match exc:
        case drf.ValidationError():
            return validation_error(list(flat_details(exc.detail)))
        case drf.MethodNotAllowed():
            return MethodNotAllowed(str(exc.detail))
        case drf.NotFound():
            return NotFound(str(exc.detail))
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return Unauthenticated(str(exc.detail), headers=CHALLENGE)
        case drf.PermissionDenied():
            return PermissionDenied(str(exc.detail))
        case drf.Throttled():
            wait = max(1, round(getattr(exc, "wait", None) or 1))
            return RateLimited(str(exc.detail), headers={"Retry-After": str(wait)})
    if exc.status_code < 500:  # what cannot be parsed, or has another media type
        return BadRequest(str(exc.detail))
    logger.error("a view failed", exc_info=exc)
    return InternalError("Something went wrong on our side. Try again.")
