"""The OpenAI-compatible chat door: `POST /v1/chat/completions`."""

import time

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.doors.openai_chat import render as openai_render
from routing.doors.openai_chat import schema as openai_schema
from routing.doors.openai_chat.openapi import RESPONSES
from routing.doors.shared import answer_facts, sse
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.enhancement import enhanced
from routing.doors.shared.idempotency import run_idempotently
from routing.doors.shared.steering import HEADERS
from routing.pipeline import answer


class CompletionsView(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="chat_completions",
        summary="Have the best model answer, in OpenAI's shapes",
        request=openai_schema.OpenAIChat,
        parameters=HEADERS,
        responses=RESPONSES,
        examples=[
            OpenApiExample(
                "Smart Routing",
                value={
                    "model": "routeplex-ai",
                    "messages": [{"role": "user", "content": "What is the capital of France?"}],
                },
                request_only=True,
            )
        ],
    )
    async def post(self, request: Request) -> HttpResponseBase:
        received_at = time.monotonic()
        asked = openai_schema.parse(json_object(request._request), request.headers)
        context = answer_facts.context(request._request, "openai", received_at)

        shape = openai_render.Shape(asked.include_usage, asked.speaks_functions)

        async def respond() -> HttpResponseBase:
            chat, enhancement = asked.request, None
            if asked.steering.enhance_prompt:
                chat, enhancement = enhanced(chat)
            begun = await answer(chat, asked.steering, self.caller, context)
            if asked.steering.stream:
                frames = openai_render.stream(begun, shape, enhancement)
                return sse.EventStream(frames, answer_facts.headers(begun))
            result, settled = await begun.collect()
            return HttpResponse(
                openai_render.whole(begun, result, settled, shape, enhancement),
                content_type="application/json",
                headers=answer_facts.headers(begun, settled),
            )

        return await run_idempotently(request._request, self.caller, context, respond)


@extend_schema(exclude=True)
class GuessedCompletionsView(CompletionsView):
    """The same under the native base, where some clients look for it; described once."""
