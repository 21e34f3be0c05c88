"""Turns every exception (an ApiError, or one of DRF, Django or the database) into the ApiError a caller gets.

The format of the response is the door's: see `routing/doors/shared/door.py`.
"""

import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import PermissionDenied as DjangoPermissionDenied
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
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
    ValidationError,
)

logger = logging.getLogger(__name__)

MAX_ERRORS = 20  # fields that the error of one request lists


def meta(request_id: str) -> dict[str, str]:
    """The `meta` object that ends every native response."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"request_id": request_id, "timestamp": now}


def header_value(value: str) -> str:
    """The text as a safe header value: printable ASCII, with `?` for every other character."""
    if value.isascii() and value.isprintable():
        return value
    return "".join(char if " " <= char <= "~" else "?" for char in value)


def api_error(exc: Exception) -> ApiError:
    """The error a caller gets for an exception. An unforeseen one is logged and becomes InternalError."""
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
    """A serializer's nested errors as a flat list of `{"field": "messages[2].content", "message": …}`."""
    if isinstance(errors, Mapping):
        for name, inner in errors.items():
            if isinstance(name, int):  # DRF's key for an item of a list
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
    """The path of a field inside another: `messages` and `[0].role` make `messages[0].role`."""
    if not path or not inner:
        return path or inner.removeprefix(".")
    return path + inner if inner[0] in "[." else f"{path}.{inner}"


def validation_error(details: list[dict[str, str]]) -> ValidationError:
    """The error for invalid fields. Its message describes the first and counts the others.

    Of more than MAX_ERRORS, the first are listed.
    """
    is_cut = len(details) >= MAX_ERRORS
    details = details[:MAX_ERRORS]
    first = details[0]
    message = f"{first['field']}: {first['message']}" if first["field"] else first["message"]
    if len(details) > 1:
        others = ", ".join(dict.fromkeys(detail["field"] for detail in details[1:6]))
        count = f"at least {len(details) - 1}" if is_cut else str(len(details) - 1)
        message += f" ({count} more: {others}{', …' if len(details) > 6 else ''})"
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
    if exc.status_code < 500:  # a body that cannot be parsed, or another media type
        return BadRequest(str(exc.detail))
    logger.error("a view failed", exc_info=exc)
    return InternalError("Something went wrong on our side. Try again.")
