"""The views that all doors share: answer a chat request, and count its input tokens."""

import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Generic, Protocol, TypeVar

import msgspec
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from drf_spectacular.plumbing import get_lib_doc_excludes
from rest_framework.request import Request

from accounts.permissions import HasScope
from routing.decide.prediction.tokens import count_input
from routing.doors.shared import answer_facts, sse
from routing.doors.shared.async_view import AsyncAPIView, JsonAnswer
from routing.doors.shared.body import json_object
from routing.doors.shared.door import Door
from routing.doors.shared.idempotency import run_idempotently
from routing.doors.shared.prompt_enhancement import Enhancement, enhance_request
from routing.language.chat import ChatRequest, Steering
from routing.pipeline import Answer, answer, preview
from routing.state.runtime import running
from routing.steps.settlement import Settled


class ParsedCall(Protocol):
    """A parsed body: the neutral request, how to route it, and whatever else its door needs to render."""

    @property
    def request(self) -> ChatRequest: ...

    @property
    def steering(self) -> Steering: ...


Call = TypeVar("Call", bound=ParsedCall)


class DoorView(AsyncAPIView, Generic[Call]):
    """A view of a door; it adds the door's own header with the request's id."""

    permission_classes = [HasScope("chat")]
    door: Door = None  # type: ignore[assignment]  # set by Door.url_patterns

    def parse(self, raw: dict[str, Any], headers: Mapping[str, str]) -> Call:
        """Parse body and headers. Raises an ApiError that names what is wrong."""
        raise NotImplementedError

    async def read(self, request: Request) -> Call:
        """The call of a request. A door that stores earlier calls completes it here."""
        return self.parse(json_object(request._request), request.headers)

    async def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:  # type: ignore[override]
        response = await super().dispatch(request, *args, **kwargs)
        for name, value in self.door.request_id_headers(response.headers["X-Request-Id"]).items():
            response.headers[name] = value
        return response


class ChatView(DoorView[Call]):
    """Answers a chat request, streamed or whole. A door supplies `parse`, `stream` and `whole`."""

    def stream(self, answer: Answer, call: Call, enhancement: Enhancement | None) -> AsyncGenerator[bytes]:
        """The server-sent events of an answer, errors included."""
        raise NotImplementedError

    async def whole(
        self, answer: Answer, call: Call, enhancement: Enhancement | None
    ) -> tuple[bytes, Settled]:
        """The JSON body of an answer, and how it was settled."""
        raise NotImplementedError

    async def post(self, request: Request) -> HttpResponseBase:
        received_at = time.monotonic()
        call = await self.read(request)
        context = answer_facts.context(request._request, self.door.name, received_at)

        async def respond() -> HttpResponseBase:
            chat, enhancement = call.request, None
            if call.steering.enhance_prompt:
                chat, enhancement = enhance_request(chat)
            begun = await answer(chat, call.steering, self.caller, context)
            if call.steering.stream:
                frames = self.stream(begun, call, enhancement)
                return sse.EventStream(frames, answer_facts.headers(begun))
            body, settled = await self.whole(begun, call, enhancement)
            headers = answer_facts.headers(begun, settled)
            return JsonAnswer(body, headers)

        return await run_idempotently(
            request._request, self.caller, context, respond, on_error=self.handle_exception
        )


class CountTokensView(DoorView[Call]):
    """Counts the input tokens of a request for the model that would answer it. No provider is called."""

    def count_body(self, input_tokens: int) -> dict[str, Any]:
        return {"input_tokens": input_tokens}

    async def post(self, request: Request) -> HttpResponse:
        call = await self.read(request)
        chat = enhance_request(call.request)[0] if call.steering.enhance_prompt else call.request
        request_id = request._request.request_id  # type: ignore[attr-defined]
        # Admitted like a chat request: the count is of the model that this key would get now.
        decision = await preview(chat, call.steering, self.caller, request_id)
        models = (await running()).catalog.snapshot.models
        counted = count_input(chat, models[decision.chain[0].model])
        return HttpResponse(msgspec.json.encode(self.count_body(counted)), content_type="application/json")


def undocumented_bases() -> list[type]:
    """Base classes whose docstrings are for developers; drf-spectacular must not publish them."""
    libraries: list[type] = get_lib_doc_excludes()  # type: ignore[no-untyped-call]
    return [*libraries, AsyncAPIView, ChatView, CountTokensView]
