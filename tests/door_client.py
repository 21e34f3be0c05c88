"""A client of each chat API: the same question to any of the four, streamed or whole, and one form of reply.

Tests that take the fixture `caller` run at every API in both ways, those that take `streaming` at every API's
stream. Fields are the native API's; the other APIs take them under their own names or as headers.
"""

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx
import pytest

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
_STEERING = {
    "strategy": "Strategy",
    "models": "Models",
    "fallback": "Fallback",
    "rescue": "Rescue",
    "max_cost_usd": "Max-Cost-USD",
}


@dataclass
class Reply:
    """An answer or error, in the same fields for every API; `headers` have lower-case names."""

    status: int
    text: str = ""
    model: str = ""
    request_id: str = ""
    finish: str = ""
    fallback_used: bool = False
    cost_usd: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    error: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def read_extra(self, extra: dict[str, Any]) -> None:
        """The object `x_routeplex`."""
        self.request_id = extra.get("request_id", self.request_id)
        self.fallback_used = extra.get("fallback_used", self.fallback_used)
        self.cost_usd = extra.get("cost_usd", self.cost_usd)
        self.read_routing(extra.get("routing", {}))

    def read_routing(self, routing: dict[str, Any]) -> None:
        self.attempts = routing.get("attempts", self.attempts)
        self.notes = routing.get("notes", self.notes)


class DoorClient(ABC):
    """One API: how a request is written for it, and how its answers are read."""

    name: ClassVar[str]
    path: ClassVar[str]
    ends_with_done = False

    def __init__(self, http: httpx.Client, streamed: bool) -> None:
        self.http, self.streamed = http, streamed

    def ask(self, messages: list[dict[str, Any]] = QUESTION, **fields: Any) -> Reply:
        body, headers = self.request(messages, fields)
        response = self.http.post(self.path, json=body, headers=headers)
        reply = Reply(response.status_code, headers=dict(response.headers))
        if response.status_code != 200:
            reply.request_id, reply.error = response.headers["x-request-id"], self.error(response.json())
        elif self.streamed:
            for event in self._events(response):
                self.read_event(reply, event)
        else:
            self.read_whole(reply, response.json())
        return reply

    def request(
        self, messages: list[dict[str, Any]], fields: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Body and headers: under `/v1` steering is by headers."""
        headers = {
            f"X-RoutePlex-{header}": _header_value(fields[name])
            for name, header in _STEERING.items()
            if name in fields
        }
        rest = {name: value for name, value in fields.items() if name not in _STEERING}
        body = {"model": "routeplex-ai", "stream": self.streamed} | self.body(messages, rest)
        return body, headers

    def error(self, body: dict[str, Any]) -> dict[str, Any]:
        error: dict[str, Any] = body["error"]
        return error

    @abstractmethod
    def body(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]: ...

    @abstractmethod
    def read_whole(self, reply: Reply, body: dict[str, Any]) -> None: ...

    @abstractmethod
    def read_event(self, reply: Reply, event: dict[str, Any]) -> None: ...

    def _events(self, response: httpx.Response) -> list[dict[str, Any]]:
        events = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
        if self.ends_with_done:
            assert events.pop() == "[DONE]"
        return [json.loads(event) for event in events]


class NativeClient(DoorClient):
    name, path, ends_with_done = "native", "/api/v1/chat", True

    def request(
        self, messages: list[dict[str, Any]], fields: dict[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        return self.body(messages, fields), {}

    def body(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
        mode = {"stream_mode": "realtime"} if self.streamed else {}
        return {"messages": messages, "stream": self.streamed} | mode | fields

    def read_whole(self, reply: Reply, body: dict[str, Any]) -> None:
        reply.text, reply.request_id = body["data"]["output"], body["data"]["id"]
        self._read_end(reply, body["data"])

    def read_event(self, reply: Reply, event: dict[str, Any]) -> None:
        match event["type"]:
            case "start":
                reply.request_id = event["request_id"]
            case "delta":
                reply.text += event["content"]
            case "error":
                reply.error = event
            case "done":
                self._read_end(reply, event)

    def _read_end(self, reply: Reply, data: dict[str, Any]) -> None:
        reply.model, reply.finish = data["model_used"], data["finish_reason"]
        reply.fallback_used, reply.cost_usd = data["fallback_used"], data["usage"]["cost_usd"]
        reply.read_routing(data["routing"])


class ChatClient(DoorClient):
    name, path, ends_with_done = "openai", "/v1/chat/completions", True

    def body(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
        if "max_output_tokens" in fields:
            fields["max_tokens"] = fields.pop("max_output_tokens")
        return {"messages": messages} | fields

    def read_whole(self, reply: Reply, body: dict[str, Any]) -> None:
        choice = body["choices"][0]
        reply.text, reply.finish = choice["message"]["content"], choice["finish_reason"]
        reply.model = body["model"]
        reply.read_extra(body["x_routeplex"])

    def read_event(self, reply: Reply, event: dict[str, Any]) -> None:
        if "error" in event:
            reply.error = event["error"]
            return
        reply.model = reply.model or event["model"]
        for choice in event["choices"]:
            reply.text += choice["delta"].get("content") or ""
            reply.finish = choice.get("finish_reason") or reply.finish
        reply.read_extra(event.get("x_routeplex") or {})


class ResponsesClient(DoorClient):
    name, path = "responses", "/v1/responses"

    def body(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
        if "response_format" in fields:
            fields["text"] = {"format": fields.pop("response_format")}
        if "tools" in fields:
            fields["tools"] = [{"type": "function", **tool["function"]} for tool in fields["tools"]]
        return {"input": messages} | fields

    def read_whole(self, reply: Reply, body: dict[str, Any]) -> None:
        messages = [item for item in body["output"] if item["type"] == "message"]
        reply.text = "".join(part["text"] for item in messages for part in item["content"])
        self._read_response(reply, body)

    def read_event(self, reply: Reply, event: dict[str, Any]) -> None:
        if event["type"] == "response.output_text.delta":
            reply.text += event["delta"]
        elif "response" in event:
            self._read_response(reply, event["response"])

    def _read_response(self, reply: Reply, body: dict[str, Any]) -> None:
        reply.model, reply.error = body["model"], body["error"]
        cut = body["incomplete_details"]
        reply.finish = "length" if cut and cut["reason"] == "max_output_tokens" else body["status"]
        reply.read_extra(body["x_routeplex"])


class MessagesClient(DoorClient):
    name, path = "messages", "/v1/messages"
    most = 2000  # tokens: this API takes no request without a limit
    schema: ClassVar[dict[str, Any]] = {  # this API takes no JSON format without a schema
        "type": "object",
        "properties": {"answer": {"type": "string"}},
        "required": ["answer"],
        "additionalProperties": False,
    }

    def body(self, messages: list[dict[str, Any]], fields: dict[str, Any]) -> dict[str, Any]:
        if "tools" in fields:
            functions = [tool["function"] for tool in fields["tools"]]
            fields["tools"] = [
                {"name": tool["name"], "description": tool["description"], "input_schema": tool["parameters"]}
                for tool in functions
            ]
        if fields.get("tool_choice") == "required":
            fields["tool_choice"] = {"type": "any"}
        if "response_format" in fields:
            del fields["response_format"]
            fields["output_config"] = {"format": {"type": "json_schema", "schema": self.schema}}
        return {"messages": messages, "max_tokens": fields.pop("max_output_tokens", self.most)} | fields

    def error(self, body: dict[str, Any]) -> dict[str, Any]:
        error: dict[str, Any] = body["error"]
        return error | {"code": error["details"]["error_code"], "details": error["details"]}

    def read_whole(self, reply: Reply, body: dict[str, Any]) -> None:
        reply.text = "".join(block["text"] for block in body["content"] if block["type"] == "text")
        reply.model = body["model"]
        self._read_stop(reply, body["stop_reason"])
        reply.read_extra(body["x_routeplex"])

    def read_event(self, reply: Reply, event: dict[str, Any]) -> None:
        match event["type"]:
            case "message_start":
                reply.model = event["message"]["model"]
                reply.read_extra(event["message"]["x_routeplex"])
            case "content_block_delta":
                reply.text += event["delta"].get("text", "")
            case "message_delta":
                self._read_stop(reply, event["delta"]["stop_reason"])
                reply.read_extra(event["x_routeplex"])
            case "error":
                reply.error = self.error(event)

    def _read_stop(self, reply: Reply, reason: str) -> None:
        reply.finish = "length" if reason == "max_tokens" else reason


CLIENTS: tuple[type[DoorClient], ...] = (NativeClient, ChatClient, ResponsesClient, MessagesClient)
Way = tuple[type[DoorClient], bool]  # an API, streamed or not
WAYS: list[Way] = [(client, streamed) for client in CLIENTS for streamed in (False, True)]


def way_id(way: Way) -> str:
    return f"{way[0].name}{'-streamed' if way[1] else ''}"


def _header_value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


@pytest.fixture(params=WAYS, ids=way_id)
def caller(request: pytest.FixtureRequest, http: httpx.Client) -> DoorClient:
    """Each API, streamed and whole."""
    client, streamed = request.param
    door_client: DoorClient = client(http, streamed)
    return door_client


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def streaming(request: pytest.FixtureRequest, http: httpx.Client) -> DoorClient:
    """Each API, streamed."""
    client: DoorClient = request.param(http, True)
    return client
