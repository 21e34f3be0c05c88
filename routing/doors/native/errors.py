"""Errors in the native format."""

from typing import Any

from core.errors import ApiError
from routing.doors.shared.errors import meta


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    fields: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.details is not None:
        fields["details"] = error.details
    elif error.param:
        fields["details"] = [{"field": error.param, "message": error.message}]
    return {"success": False, "error": fields, "meta": meta(request_id)}
