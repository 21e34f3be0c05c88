"""The simulator's ASGI app: finds the endpoint, draws a fault, sends the answer, records the call."""

import time
from typing import Any

import msgspec

from routing.simulator.model.pace import Pace
from routing.simulator.model.prompt_cache import PromptCache
from routing.simulator.model.tokens import warm_up
from routing.simulator.server.call_log import Call, Calls
from routing.simulator.server.control import PREFIX, Control
from routing.simulator.server.faults import Fault, Faults, status_error
from routing.simulator.server.routes import (
    DIALECTS,
    Target,
    error_body,
    error_headers,
    invalid_json,
    request_id_for,
    target_of,
    wrong_method,
)
from routing.simulator.server.serve import Sender
from routing.simulator.shared.errors import ErrorReply
from routing.simulator.shared.reply import Exchange, FaultEffects, Ids
from routing.simulator.shared.wire import (
    ClientDisconnected,
    Connection,
    Receive,
    Request,
    Scope,
    Send,
    encode,
    request_of,
)

_JSON = ("content-type", "application/json")
_WRONG_MODEL = "simulated-wrong-model"


class Simulator:
    """State shared by all requests; itself the ASGI app."""

    def __init__(self, speed: float, seed: int) -> None:
        self.pace = Pace(speed)
        self.faults = Faults(seed)
        self.calls = Calls()
        self.cache = PromptCache()
        self._ids = Ids(seed)
        self._control = Control(self.faults, self.calls, self.pace)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        connection = Connection(receive, send)
        try:
            request = request_of(scope, await connection.read_body())
            connection.watch()
            await self._answer(request, connection)
        except ClientDisconnected:
            return
        finally:
            connection.close()

    async def _answer(self, request: Request, connection: Connection) -> None:
        if request.path.startswith(PREFIX):
            status, body = self._control.answer(request)
            await _send_json(connection, status, body, [])
            return
        target = target_of(request)
        if target is None:
            body = encode(
                {
                    "error": {
                        "message": f"Invalid URL ({request.method} {request.path})",
                        "type": "invalid_request_error",
                        "param": None,
                        "code": None,
                    }
                }
            )
            await _send_json(connection, 404, body, [])
            return
        request_id = request_id_for(target, self._ids)
        request = msgspec.structs.replace(request, path=target.path)
        if DIALECTS[target.dialect].generate is not None and request.method == "POST":
            await self._generate(request, target, request_id, connection)
        else:
            await self._plain(request, target, request_id, connection)

    async def _plain(self, request: Request, target: Target, request_id: str, connection: Connection) -> None:
        dialect = DIALECTS[target.dialect]
        headers = error_headers(target, request_id)
        try:
            if request.method != dialect.method or dialect.plain is None:
                raise wrong_method(target, request.method)
            body = _decoded(request, target) if dialect.method == "POST" else {}
            status, raw = 200, dialect.plain(self._exchange(request, target, body, request_id, None))
        except ErrorReply as error_reply:
            status, raw = error_reply.status, encode(error_body(target, error_reply, request_id))
        await _send_json(connection, status, raw, headers)

    async def _generate(
        self, request: Request, target: Target, request_id: str, connection: Connection
    ) -> None:
        document = _loosely_decoded(request)
        model = target.model or str(document.get("model", ""))
        streamed = target.streamed or document.get("stream") is True
        fault = self.faults.draw(target.provider, model)
        call = self.calls.begin(
            request, target.provider, target.dialect, model, request_id, streamed=streamed
        )
        call.fault = fault.kind if fault else None
        sender = Sender(connection, call, fault, self.pace)
        try:
            if await sender.before_answer():
                await self._reply(request, target, call, fault, sender)
        except ClientDisconnected:
            call.aborted = True
            raise
        finally:
            self.calls.end(call)

    async def _reply(
        self, request: Request, target: Target, call: Call, fault: Fault | None, sender: Sender
    ) -> None:
        generate = DIALECTS[target.dialect].generate
        assert generate is not None
        try:
            if fault is not None and fault.kind == "status":
                raise status_error(target.provider, fault, call.model)
            body = _decoded(request, target)
            reply = generate(self._exchange(request, target, body, call.request_id, fault))
        except ErrorReply as error_reply:
            headers = [_JSON, *error_headers(target, call.request_id), *error_reply.headers.items()]
            await sender.whole(
                error_reply.status, encode(error_body(target, error_reply, call.request_id)), headers
            )
            return
        await sender.reply(reply)

    def _exchange(
        self, request: Request, target: Target, body: dict[str, Any], request_id: str, fault: Fault | None
    ) -> Exchange:
        kind = fault.kind if fault else None
        return Exchange(
            request=request,
            body=body,
            path_model=target.model,
            streamed=target.streamed or body.get("stream") is True,
            request_id=request_id,
            now=int(time.time()),
            ids=self._ids,
            cache=self.cache,
            effects=FaultEffects(
                _WRONG_MODEL if kind == "wrong_model" else None,
                kind == "drop_usage",
                fault.manner if fault is not None else None,
            ),
        )


def create_app(speed: float = 0.0, seed: int = 0) -> Simulator:
    """The ASGI app. `speed` scales delays (0: none, 1: realistic); `seed` fixes ids and chances of faults."""
    return Simulator(speed, seed)


def _decoded(request: Request, target: Target) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise invalid_json(target) from None
    if not isinstance(body, dict):
        raise invalid_json(target)
    return body


def _loosely_decoded(request: Request) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(request.raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


async def _send_json(
    connection: Connection, status: int, body: bytes, headers: list[tuple[str, str]]
) -> None:
    await connection.start(status, [_JSON, *headers, ("content-length", str(len(body)))])
    await connection.write(body, more=False)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            warm_up()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await send({"type": "lifespan.shutdown.complete"})
            return
