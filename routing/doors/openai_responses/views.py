"""The Responses door, for OpenAI's newer clients: `POST /v1/responses`, its `input_tokens`, and no memory."""

import time

import msgspec
from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.doors.openai_responses import render as responses_render
from routing.doors.openai_responses import schema as responses_schema
from routing.doors.openai_responses.openapi import COUNT_RESPONSES, RESPONSES
from routing.doors.shared import answer_facts, sse
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.count_tokens import input_tokens
from routing.doors.shared.enhancement import enhanced
from routing.doors.shared.idempotency import run_idempotently
from routing.doors.shared.steering import HEADERS
from routing.pipeline import answer

DOOR = "responses"


class ResponsesView(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="responses",
        summary="Have the best model answer, in the shapes of OpenAI's Responses",
        request=responses_schema.Responses,
        parameters=HEADERS,
        responses=RESPONSES,
        examples=[
            OpenApiExample(
                "Smart Routing",
                value={"model": "routeplex-ai", "input": "What is the capital of France?"},
                request_only=True,
            )
        ],
    )
    async def post(self, request: Request) -> HttpResponseBase:
        received_at = time.monotonic()
        asked = responses_schema.parse(json_object(request._request), request.headers)
        context = answer_facts.context(request._request, DOOR, received_at)

        async def respond() -> HttpResponseBase:
            chat, enhancement = asked.request, None
            if asked.steering.enhance_prompt:
                chat, enhancement = enhanced(chat)
            begun = await answer(chat, asked.steering, self.caller, context)
            if asked.steering.stream:
                frames = responses_render.stream(begun, asked, enhancement)
                return sse.EventStream(frames, answer_facts.headers(begun))
            body, settled = await responses_render.whole(begun, asked, enhancement)
            headers = answer_facts.headers(begun, settled)
            return HttpResponse(body, content_type="application/json", headers=headers)

        return await run_idempotently(request._request, self.caller, context, respond)


class InputTokensView(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="responses_input_tokens",
        summary="Count a response's input tokens for the model that would answer it, without asking it",
        request=responses_schema.Responses,
        parameters=HEADERS[1:],
        responses=COUNT_RESPONSES,
    )
    async def post(self, request: Request) -> HttpResponse:
        asked = responses_schema.parse(json_object(request._request), request.headers)
        counted = await input_tokens(
            asked.request,
            asked.steering,
            self.caller,
            request_id=request._request.request_id,  # type: ignore[attr-defined]
        )
        told = {"object": "response.input_tokens", "input_tokens": counted}
        return HttpResponse(msgspec.json.encode(told), content_type="application/json")
