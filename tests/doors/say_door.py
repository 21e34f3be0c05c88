"""An invented door, as a fifth one would look: `POST /v1/say` with `{"say": "…", "stream": true}`."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import msgspec

from core.errors import ApiError
from routing.doors.shared import sse
from routing.doors.shared.chat_view import ChatView
from routing.doors.shared.door import Door, Route
from routing.doors.shared.errors import api_error, validation_error
from routing.doors.shared.prompt_enhancement import Enhancement
from routing.doors.shared.steering import steering
from routing.language.chat import ChatRequest, Message, Role, Steering, Text, TextDelta
from routing.pipeline import Answer
from routing.steps.settlement import Settled


class SayCall(msgspec.Struct, frozen=True):
    request: ChatRequest
    steering: Steering


class SayView(ChatView[SayCall]):
    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> SayCall:
        if not isinstance(raw.get("say"), str):
            raise validation_error([{"field": "say", "message": "Must be a string."}])
        request = ChatRequest(messages=(Message(Role.USER, (Text(raw["say"]),)),), max_output_tokens=100)
        return SayCall(request, steering("auto", headers, stream=bool(raw.get("stream"))))

    async def stream(
        self, answer: Answer, call: SayCall, enhancement: Enhancement | None
    ) -> AsyncGenerator[bytes]:
        try:
            async for event in answer.events():
                if isinstance(event, TextDelta):
                    yield sse.event({"text": event.text})
        except Exception as exc:
            yield sse.event(error_body(api_error(exc), answer.request_id))

    async def whole(
        self, answer: Answer, call: SayCall, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        result, settled = await answer.collect()
        return msgspec.json.encode({"text": result.choices[0].text}), settled


def error_body(error: ApiError, request_id: str) -> dict[str, Any]:
    return {"failure": error.code, "id": request_id}


DOOR = Door(
    name="say",
    routes=(Route("v1/say", SayView),),
    error_body=error_body,
)
