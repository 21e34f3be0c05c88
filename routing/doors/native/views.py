"""The native chat door: `POST /api/v1/chat`."""

import time

from django.http import HttpResponse, HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.doors.native import render as native_render
from routing.doors.native import schema as native_schema
from routing.doors.native.openapi import CHAT_RESPONSES
from routing.doors.shared import answer_facts, sse
from routing.doors.shared.async_view import AsyncAPIView
from routing.doors.shared.body import json_object
from routing.doors.shared.enhancement import enhanced
from routing.doors.shared.idempotency import run_idempotently
from routing.doors.shared.wire_types import IDEMPOTENCY_KEY
from routing.pipeline import answer


class ChatView(AsyncAPIView):
    permission_classes = [HasScope("chat")]

    @extend_schema(
        operation_id="chat",
        summary="Have the best model answer",
        request=native_schema.NativeChat,
        parameters=[IDEMPOTENCY_KEY],
        responses=CHAT_RESPONSES,
        examples=[
            OpenApiExample(
                "A question",
                value={"messages": [{"role": "user", "content": "What is the capital of France?"}]},
                request_only=True,
            ),
            OpenApiExample(
                "A pinned model, streamed",
                value={
                    "messages": [{"role": "user", "content": "Tell me a story."}],
                    "model": "claude-haiku-4-5",
                    "stream": True,
                    "stream_mode": "realtime",
                },
                request_only=True,
            ),
        ],
    )
    async def post(self, request: Request) -> HttpResponseBase:
        received_at = time.monotonic()
        asked = native_schema.parse(json_object(request._request))
        context = answer_facts.context(request._request, "native", received_at)

        async def respond() -> HttpResponseBase:
            chat, enhancement = asked.request, None
            if asked.steering.enhance_prompt:
                chat, enhancement = enhanced(chat)
            begun = await answer(chat, asked.steering, self.caller, context)
            if asked.steering.stream:
                frames = native_render.stream(begun, asked.stream_mode, enhancement)
                return sse.EventStream(frames, answer_facts.headers(begun))
            result, settled = await begun.collect()
            return HttpResponse(
                native_render.whole(begun, result, settled, enhancement),
                content_type="application/json",
                headers=answer_facts.headers(begun, settled),
            )

        return await run_idempotently(request._request, self.caller, context, respond)
