"""The native chat API: `POST /api/v1/chat`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view

from routing.doors.native import render
from routing.doors.native.openapi import CHAT_RESPONSES
from routing.doors.shared.chat_view import ChatView
from routing.doors.shared.native import schema
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.doors.shared.wire_types import IDEMPOTENCY_KEY
from routing.pipeline import Answer
from routing.steps.settlement import Settled


@extend_schema_view(
    post=extend_schema(
        operation_id="chat",
        summary="Have the best model answer",
        request=schema.NativeChat,
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
)
class NativeView(ChatView[schema.NativeCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.NativeCall:
        return schema.parse(raw)

    def stream(
        self, answer: Answer, call: schema.NativeCall, enhancement: Enhancement | None
    ) -> AsyncGenerator[bytes]:
        return render.stream(answer, call.stream_mode, enhancement)

    async def whole(
        self, answer: Answer, call: schema.NativeCall, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        result, settled = await answer.collect()
        return render.whole(answer, result, settled, enhancement), settled
