"""A prompt improved by rules: `POST /api/v1/chat/enhance`. Needs no key."""

from typing import Annotated

import msgspec
from django.http import HttpResponse
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from routing.doors.shared import fields
from routing.doors.shared.async_view import PublicAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.native.envelope import OBJECT_RESPONSES, enveloped
from routing.doors.shared.prompt_enhancement import enhance

MAX_PROMPT = 200_000  # characters


class Enhance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prompt to rewrite by rules."""

    prompt: Annotated[str, msgspec.Meta(max_length=MAX_PROMPT)]


class EnhanceView(PublicAPIView):
    @extend_schema(
        operation_id="enhance",
        summary="Improve a prompt by rules",
        request=Enhance,
        responses=OBJECT_RESPONSES,
        auth=[],
        examples=[OpenApiExample("A vague prompt", value={"prompt": "fix my code"}, request_only=True)],
    )
    async def post(self, request: Request) -> HttpResponse:
        sent = fields.convert(json_object(request._request), Enhance)
        return enveloped(request._request, enhance(sent.prompt))
