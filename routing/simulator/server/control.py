"""Control endpoints under /_control, for tests and demonstrations: faults, calls, speed; loopback only."""

import ipaddress
from typing import Any

import msgspec

from routing.simulator.model.pace import Pace
from routing.simulator.server.call_log import Calls
from routing.simulator.server.faults import Fault, Faults
from routing.simulator.shared.wire import Request, encode

PREFIX = "/_control"


class _Speed(msgspec.Struct, forbid_unknown_fields=True):
    speed: float


class Control:
    def __init__(self, faults: Faults, calls: Calls, pace: Pace) -> None:
        self._faults = faults
        self._calls = calls
        self._pace = pace

    def answer(self, request: Request) -> tuple[int, bytes]:
        """Status and JSON body."""
        if not _is_loopback(request.client):
            return 403, encode({"error": "control is for loopback clients only"})
        try:
            status, body = self._routed(request)
        except msgspec.DecodeError as problem:  # ValidationError too
            status, body = 422, {"error": str(problem)}
        return status, encode(body)

    def _routed(self, request: Request) -> tuple[int, Any]:
        match request.method, request.path.removeprefix(PREFIX):
            case "GET", "/health":
                return 200, {"status": "ok", "simulated": True}
            case "POST", "/faults":
                fault = self._faults.add(msgspec.json.decode(request.raw, type=Fault))
                return 201, fault
            case "GET", "/faults":
                return 200, {"faults": self._faults.all()}
            case "DELETE", "/faults":
                self._faults.clear()
                return 200, {"faults": []}
            case "GET", "/calls":
                query = request.query
                return 200, {"calls": self._calls.list(query.get("provider"), query.get("model"))}
            case "DELETE", "/calls":
                self._calls.clear()
                return 200, {"calls": []}
            case "POST", "/speed":
                self._pace.speed = msgspec.json.decode(request.raw, type=_Speed).speed
                return 200, {"speed": self._pace.speed}
        return 404, {"error": f"no control endpoint {request.method} {request.path}"}


def _is_loopback(client: str | None) -> bool:
    if client is None:  # a Unix socket
        return True
    try:
        return ipaddress.ip_address(client).is_loopback
    except ValueError:
        return client in {"localhost", "testclient"}
