"""The calls the simulator served, for tests: provider, model, request, end and usage."""

import time
from collections import deque
from typing import Any

import msgspec

from routing.simulator.shared.prompt import Usage
from routing.simulator.shared.wire import Request

_MOST_CALLS = 20_000
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "cookie"})


class Call(msgspec.Struct):
    """One generation. `at` is Unix seconds, `duration_ms` wall time; `model` is the name as requested.

    `usage` is what was delivered: of an aborted stream the output tokens sent until then.
    """

    provider: str
    dialect: str
    model: str
    streamed: bool
    request_id: str
    headers: dict[str, str]
    body: msgspec.Raw
    at: float
    status: int | None = None
    usage: Usage = Usage()
    fault: str | None = None
    aborted: bool = False  # the client hung up
    finished: bool = False
    chunks: int = 0
    duration_ms: float = 0.0


class Calls:
    """Keeps the last 20,000 calls, oldest first."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque(maxlen=_MOST_CALLS)

    def begin(
        self, request: Request, provider: str, dialect: str, model: str, request_id: str, *, streamed: bool
    ) -> Call:
        headers = {name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS}
        body = msgspec.Raw(request.raw) if _is_json(request.raw) else msgspec.Raw(b"null")
        call = Call(provider, dialect, model, streamed, request_id, headers, body, time.time())
        self._calls.append(call)
        return call

    def end(self, call: Call) -> None:
        call.finished = True
        call.duration_ms = (time.time() - call.at) * 1000

    def list(self, provider: str | None, model: str | None) -> list[Call]:
        return [
            call for call in self._calls if provider in {None, call.provider} and model in {None, call.model}
        ]

    def clear(self) -> None:
        self._calls.clear()


def _is_json(raw: bytes) -> bool:
    try:
        decoded: Any = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return False
    return decoded is not None
