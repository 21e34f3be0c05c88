"""Anthropic's Messages API: `POST /v1/messages` and its `count_tokens`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view

from routing.doors.anthropic_messages import render, schema
from routing.doors.anthropic_messages.openapi import COUNT_RESPONSES, RESPONSES
from routing.doors.shared.chat_view import ChatView, CountTokensView
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.doors.shared.steering import HEADERS
from routing.pipeline import Answer
from routing.steps.settlement import Settled


@extend_schema_view(
    post=extend_schema(
        operation_id="messages",
        summary="Have the best model answer, in Anthropic's shapes",
        request=schema.Messages,
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
)
class MessagesView(ChatView[schema.MessagesCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.MessagesCall:
        return schema.parse(raw, headers)

    def stream(
        self, answer: Answer, call: schema.MessagesCall, enhancement: Enhancement | None
    ) -> AsyncGenerator[bytes]:
        return render.stream(answer, call.shows_thinking, enhancement)

    async def whole(
        self, answer: Answer, call: schema.MessagesCall, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        return await render.whole(answer, call.shows_thinking, enhancement)


@extend_schema_view(
    post=extend_schema(
        operation_id="messages_count_tokens",
        summary="Count a request's input tokens for the model that would answer it, without asking it",
        request=schema.Count,
        parameters=HEADERS[1:],
        responses=COUNT_RESPONSES,
    )
)
class MessagesCountView(CountTokensView[schema.MessagesCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.MessagesCall:
        return schema.parse_count(raw, headers)
