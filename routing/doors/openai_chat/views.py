"""OpenAI's Chat Completions API: `POST /v1/chat/completions`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view

from routing.doors.openai_chat import render, schema
from routing.doors.openai_chat.openapi import RESPONSES
from routing.doors.shared.chat_view import ChatView
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.doors.shared.steering import HEADERS
from routing.pipeline import Answer
from routing.steps.settlement import Settled


@extend_schema_view(
    post=extend_schema(
        operation_id="chat_completions",
        summary="Have the best model answer, in OpenAI's shapes",
        request=schema.OpenAIChat,
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
)
class CompletionsView(ChatView[schema.ChatCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.ChatCall:
        return schema.parse(raw, headers)

    def stream(
        self, answer: Answer, call: schema.ChatCall, enhancement: Enhancement | None
    ) -> AsyncGenerator[bytes]:
        return render.stream(answer, _shape(call), enhancement)

    async def whole(
        self, answer: Answer, call: schema.ChatCall, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        result, settled = await answer.collect()
        return render.whole(answer, result, settled, _shape(call), enhancement), settled


@extend_schema(exclude=True)
class GuessedCompletionsView(CompletionsView):
    """The same view below the native base path, where some clients expect it. The document omits it."""


def _shape(call: schema.ChatCall) -> render.Shape:
    return render.Shape(call.include_usage, call.speaks_functions)
