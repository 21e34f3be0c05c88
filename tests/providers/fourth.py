"""An invented provider, Playhouse: this module is all that a provider with an API of its own needs."""

from collections.abc import Iterator
from typing import Any

import msgspec

from billing.usage import Usage
from routing.language.arms import ApiFacts, Capability, Effort, ModelFacts
from routing.language.chat import (
    ChatRequest,
    FinishReason,
    Started,
    StreamEvent,
    TextDelta,
    UsageReport,
)
from routing.providers.shared.adapter import Adapter, Api
from routing.providers.shared.error_rules import ErrorFacts, Headers, Rule, classified, json_object, strings
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.receipt import ReceiptWriter
from routing.providers.shared.wire import CallContext, SseStream, Wire, decoded, finished
from routing.providers.transport.sse import Event

RULES = (Rule(FailureKind.OVERLOADED, code="sold_out"), Rule(FailureKind.CONTEXT, code="play_too_long"))


class _Spent(msgspec.Struct):
    heard: int
    spoken: int


class _Scene(msgspec.Struct):
    line: str = ""
    curtain: bool = False
    spent: _Spent | None = None


def _auth_header(api_key: str) -> tuple[str, str]:
    return "x-playhouse-ticket", api_key


def _build(request: ChatRequest, model: ModelFacts, effort: Effort | None, *, stream: bool) -> Wire:
    receipt = ReceiptWriter(request, model.provider)
    receipt.limit(request.max_output_tokens)
    body = {
        "actor": model.upstream_id,
        "script": [{"part": message.role, "line": message.text} for message in request.messages],
        "longest": request.max_output_tokens,
        "live": stream,
    }
    return Wire("/perform", msgspec.json.encode(body), receipt=receipt.entries())


class _Stream(SseStream):
    """Scenes with a line each; the last one lets the curtain fall."""

    _usage: Usage | None = None

    def frame(self, event: Event) -> Iterator[StreamEvent]:
        if self.frames == 1:
            yield Started(self.context.model)
        scene = msgspec.json.decode(event.data, type=_Scene)
        if scene.line:
            yield TextDelta(scene.line)
        if scene.spent is not None:
            self._usage = _usage(scene.spent)
        self.done = self.complete = scene.curtain

    def closing(self) -> Iterator[StreamEvent]:
        if self._usage is not None:
            yield UsageReport(self._usage)
        yield from finished({0: FinishReason.STOP})


_scene = msgspec.json.Decoder(_Scene)


def _whole(body: bytes, context: CallContext) -> Iterator[StreamEvent]:
    scene = decoded(body, _scene)
    yield Started(context.model)
    yield TextDelta(scene.line)
    if scene.spent is not None:
        yield UsageReport(_usage(scene.spent))
    yield from finished({0: FinishReason.STOP})


def _usage(spent: _Spent) -> Usage:
    return Usage(uncached_input_tokens=spent.heard, output_tokens=spent.spoken)


def _classify(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    return classified(RULES, _error_facts, status, headers, body)


def _error_facts(document: dict[str, Any]) -> ErrorFacts:
    mishap = json_object(document.get("mishap"))
    return ErrorFacts(strings(mishap.get("cause")), str(mishap.get("sentence") or ""))


PLAYHOUSE = Adapter(
    dialect="playhouse",
    api=Api(_build, _Stream, _whole),
    auth_header=_auth_header,
    classify=_classify,
    facts=ApiFacts(frozenset({Capability.STOP})),
)
