"""The doors under test: their paths, smallest valid bodies, and the forms of their errors and streams."""

import json
from typing import Any

import httpx
import pytest

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


def _openai_events(response: httpx.Response) -> list[dict[str, Any]]:
    """Frames of data alone, which must end with [DONE] and be written as scripts expect."""
    frames = response.text.removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith(("data: ", ": keep-alive")) and "\n" not in frame for frame in frames)
    data = [frame.removeprefix("data: ") for frame in frames if frame.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(event) for event in data]


def _named_events(response: httpx.Response) -> list[dict[str, Any]]:
    """Frames of a name and data, where the name is the type of the event."""
    parsed = []
    for frame in response.text.removesuffix("\n\n").split("\n\n"):
        if frame.startswith(": "):
            continue
        name, data = frame.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
    return parsed


class NativeFormat:
    path = "/api/v1/chat"
    realtime = {"stream_mode": "realtime"}  # fields that make a stream's text come as it is generated
    no_rescue = {"rescue": False}

    def body(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"messages": MESSAGES} | fields

    def code(self, response: httpx.Response) -> str:
        body = response.json()
        assert body["success"] is False
        assert body["meta"]["request_id"] == response.headers["x-request-id"]
        assert set(body["error"]) <= {"code", "message", "details"}
        return str(body["error"]["code"])

    def fields(self, error: dict[str, Any]) -> list[str]:
        return [detail["field"] for detail in error["details"]]

    def events(self, response: httpx.Response) -> list[dict[str, Any]]:
        return _openai_events(response)

    def broke_off(self, last: dict[str, Any]) -> bool:
        return last["type"] == "error" and set(last) == {"type", "code", "message"}


class ChatFormat(NativeFormat):
    path = "/v1/chat/completions"
    realtime: dict[str, Any] = {}
    no_rescue: dict[str, Any] = {}  # a header says it

    def body(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"messages": MESSAGES, "model": "routeplex-ai"} | fields

    def code(self, response: httpx.Response) -> str:
        body = response.json()
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["code"])

    def fields(self, error: dict[str, Any]) -> list[str]:
        return [error["param"]]

    def broke_off(self, last: dict[str, Any]) -> bool:
        return set(last) == {"error"} and last["error"]["type"] == "server_error"


class ResponsesFormat(ChatFormat):
    path = "/v1/responses"

    def body(self, fields: dict[str, Any]) -> dict[str, Any]:
        fields = {("input" if name == "messages" else name): value for name, value in fields.items()}
        if "max_tokens" in fields:
            fields["max_output_tokens"] = fields.pop("max_tokens")
        return {"input": MESSAGES, "model": "routeplex-ai"} | fields

    def events(self, response: httpx.Response) -> list[dict[str, Any]]:
        return _named_events(response)

    def broke_off(self, last: dict[str, Any]) -> bool:
        return last["type"] == "response.failed" and bool(last["response"]["error"]["message"])


class MessagesFormat(ChatFormat):
    path = "/v1/messages"

    def body(self, fields: dict[str, Any]) -> dict[str, Any]:
        return {"messages": MESSAGES, "model": "routeplex-ai", "max_tokens": 1024} | fields

    def code(self, response: httpx.Response) -> str:
        body = response.json()
        assert body["type"] == "error"
        assert set(body["error"]) == {"type", "message", "details"}
        assert body["request_id"] == response.headers["request-id"] == response.headers["x-request-id"]
        return str(body["error"]["details"]["error_code"])

    def fields(self, error: dict[str, Any]) -> list[str]:
        return [error["details"]["param"]]

    def events(self, response: httpx.Response) -> list[dict[str, Any]]:
        return _named_events(response)

    def broke_off(self, last: dict[str, Any]) -> bool:
        return last["type"] == "error" and bool(last["error"]["message"])


FORMATS = {
    "native": NativeFormat(),
    "openai": ChatFormat(),
    "responses": ResponsesFormat(),
    "messages": MessagesFormat(),
}
# For tests whose bodies have OpenAI's messages, tools and parameters, which two doors take
OPENAI_SHAPED = pytest.mark.parametrize("door", ["native", "openai"], indirect=True)


class Door:
    """One chat door, by the name that the ledger records."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self.http, self.name, self.format = http, name, FORMATS[name]
        self.path = self.format.path

    def body(self, **fields: Any) -> dict[str, Any]:
        return self.format.body(fields)

    def ask(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        # Escaped, because some of what is sent here is no valid text.
        return self.send(json.dumps(self.body(**fields)).encode(), headers)

    def send(self, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        headers = {"Content-Type": "application/json"} | (headers or {})
        return self.http.post(self.path, content=content, headers=headers)

    def code(self, response: httpx.Response) -> str:
        """The error's code; its form is checked on the way."""
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"].startswith("req_")
        return self.format.code(response)

    def fields(self, response: httpx.Response) -> list[str]:
        """The fields an error names."""
        return self.format.fields(response.json()["error"])

    def events(self, response: httpx.Response) -> list[dict[str, Any]]:
        """The events of a stream, whose form is checked on the way."""
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.content.isascii()
        assert b"\r" not in response.content
        return self.format.events(response)

    def broke_off(self, last: dict[str, Any]) -> bool:
        """Return whether a stream's last event is an error in this door's form."""
        return self.format.broke_off(last)


@pytest.fixture
def account(live_db: None) -> Any:
    """A new account without limits and without people: hashing a password takes longer than a test here."""
    from accounts.models import Account, Plan

    return Account.objects.create(name="Doors", plan=Plan.objects.get(pk="unlimited"))


@pytest.fixture(params=FORMATS)
def door(request: pytest.FixtureRequest, http: httpx.Client) -> Door:
    """Every test that takes it runs at all doors."""
    return Door(http, request.param)


@pytest.fixture
def native(http: httpx.Client) -> Door:
    return Door(http, "native")


@pytest.fixture
def openai_door(http: httpx.Client) -> Door:
    return Door(http, "openai")


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream of the native or the OpenAI chat door."""
    return Door(httpx.Client(), "native").events(response)
