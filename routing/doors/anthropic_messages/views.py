"""The Messages door, for Anthropic's clients: `POST /v1/messages` and its `count_tokens`."""

import time
from typing import Any

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.doors.anthropic_messages import render as messages_render
from routing.doors.anthropic_messages import schema as messages_schema
from routing.doors.anthropic_messages.openapi import COUNT_RESPONSES, RESPONSES
from routing.doors.shared import answer_facts, sse
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.count_tokens import input_tokens
from routing.doors.shared.enhancement import enhanced
from routing.doors.shared.errors import MESSAGES_REQUEST_ID
from routing.doors.shared.idempotency import run_idempotently
from routing.doors.shared.steering import HEADERS
from routing.pipeline import answer

DOOR = "messages"


class _View(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        response = await super().dispatch(request, *args, **kwargs)
        response.headers[MESSAGES_REQUEST_ID] = response.headers["X-Request-Id"]
        return response


class MessagesView(_View):
    @extend_schema(
        operation_id="messages",
        summary="Have the best model answer, in Anthropic's shapes",
        request=messages_schema.Messages,
        parameters=HEADERS,
        responses=RESPONSES,
        examples=[
            OpenApiExample(
                "Smart Routing",
                value={
                    "model": "routeplex-ai",
                    "max_tokens": 1024,
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                },
                request_only=True,
            )
        ],
    )
    async def post(self, request: Request) -> HttpResponseBase:
        received_at = time.monotonic()
        asked = messages_schema.parse(json_object(request._request), request.headers)
        context = answer_facts.context(request._request, DOOR, received_at)

        async def respond() -> HttpResponseBase:
            chat, enhancement = asked.request, None
            if asked.steering.enhance_prompt:
                chat, enhancement = enhanced(chat)
            begun = await answer(chat, asked.steering, self.caller, context)
            if asked.steering.stream:
                frames = messages_render.stream(begun, asked.shows_thinking, enhancement)
                return sse.EventStream(frames, answer_facts.headers(begun))
            body, settled = await messages_render.whole(begun, asked.shows_thinking, enhancement)
            headers = answer_facts.headers(begun, settled)
            return HttpResponse(body, content_type="application/json", headers=headers)

        return await run_idempotently(request._request, self.caller, context, respond)


class CountTokensView(_View):
    @extend_schema(
        operation_id="messages_count_tokens",
        summary="Count a request's input tokens for the model that would answer it, without asking it",
        request=messages_schema.Count,
        parameters=HEADERS[1:],
        responses=COUNT_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        asked = messages_schema.parse_count(json_object(request._request), request.headers)
        counted = await input_tokens(
            asked.request,
            asked.steering,
            self.caller,
            request_id=request._request.request_id,  # type: ignore[attr-defined]
        )
        return HttpResponse(msgspec.json.encode({"input_tokens": counted}), content_type="application/json")
