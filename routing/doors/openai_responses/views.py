"""OpenAI's Responses API: `POST /v1/responses` and its `input_tokens`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_view
from rest_framework.request import Request

from routing.doors.openai_responses import render, schema, stored
from routing.doors.openai_responses.openapi import COUNT_RESPONSES, RESPONSES
from routing.doors.shared.body import json_object
from routing.doors.shared.chat_view import ChatView, CountTokensView
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.doors.shared.steering import HEADERS
from routing.pipeline import Answer
from routing.steps.settlement import Settled


@extend_schema_view(
    post=extend_schema(
        operation_id="responses",
        summary="Have the best model answer, in the shapes of OpenAI's Responses",
        request=schema.Responses,
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
)
class ResponsesView(ChatView[schema.ResponsesCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.ResponsesCall:
        return schema.parse(raw, headers)

    async def read(self, request: Request) -> schema.ResponsesCall:
        raw = json_object(request._request)
        return await stored.read(raw, request.headers, self.caller.account_id)

    def stream(
        self, answer: Answer, call: schema.ResponsesCall, enhancement: Enhancement | None
    ) -> AsyncGenerator[bytes]:
        return render.stream(answer, call, enhancement)

    async def whole(
        self, answer: Answer, call: schema.ResponsesCall, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        return await render.whole(answer, call, enhancement)


@extend_schema_view(
    post=extend_schema(
        operation_id="responses_input_tokens",
        summary="Count a response's input tokens for the model that would answer it, without asking it",
        request=schema.Responses,
        parameters=HEADERS[1:],
        responses=COUNT_RESPONSES,
    )
)
class InputTokensView(CountTokensView[schema.ResponsesCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> schema.ResponsesCall:
        return schema.parse(raw, headers)

    async def read(self, request: Request) -> schema.ResponsesCall:
        raw = json_object(request._request)
        return await stored.read(raw, request.headers, self.caller.account_id)

    def count_body(self, input_tokens: int) -> dict[str, Any]:
        return {"object": "response.input_tokens", "input_tokens": input_tokens}
