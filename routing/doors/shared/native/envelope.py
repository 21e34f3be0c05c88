"""The native envelope around every native response, and its schemas for the OpenAPI document."""

from typing import Annotated, Any

import msgspec
from django.http import HttpRequest, HttpResponse
from drf_spectacular.types import OpenApiTypes
from msgspec import UNSET, Struct

from routing.doors.shared.errors import meta
from routing.doors.shared.openapi import DateTime, doc, errors


def enveloped(request: HttpRequest, data: Any, **more: Any) -> HttpResponse:
    """A response with `data`, and `more` beside it, in the native envelope."""
    envelope = {"success": True, "data": data} | more | {"meta": meta(request.request_id)}  # type: ignore[attr-defined]
    return HttpResponse(msgspec.json.encode(envelope), content_type="application/json")


class Usage(Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cached_input_tokens: int
    internal_reasoning_tokens: int
    cost_usd: Annotated[float, doc("Exact to 1e-9 USD; null: unpriced.")] | None


class Meta(Struct):
    request_id: str
    timestamp: DateTime


class ErrorDetail(Struct):
    code: str
    message: str
    details: Any = UNSET


class Error(Struct):
    success: bool
    error: ErrorDetail
    meta: Meta


# 409 answers an Idempotency-Key that is in use, which only chat requests have.
ERROR_RESPONSES = {key: struct for key, struct in errors(Error).items() if key[0] != 409}
OBJECT_RESPONSES = {(200, "application/json"): OpenApiTypes.OBJECT} | ERROR_RESPONSES
