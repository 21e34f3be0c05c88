"""The doors' vocabulary: where each is, the smallest good body, and what its errors say."""

import json
from typing import Any

import httpx
import pytest

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]


class Door:
    """One chat door and the shape of its errors."""

    def __init__(self, http: httpx.Client, name: str) -> None:
        self.http, self.name = http, name
        self.path = "/api/v1/chat" if name == "native" else "/v1/chat/completions"

    def body(self, **fields: Any) -> dict[str, Any]:
        model = {"model": "routeplex-ai"} if self.name == "openai" else {}
        return {"messages": MESSAGES} | model | fields

    def ask(self, headers: dict[str, str] | None = None, **fields: Any) -> httpx.Response:
        # Escaped, because some of what is sent here is no valid text.
        return self.send(json.dumps(self.body(**fields)).encode(), headers)

    def send(self, content: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        told = {"Content-Type": "application/json"} | (headers or {})
        return self.http.post(self.path, content=content, headers=told)

    def code(self, response: httpx.Response) -> str:
        """The error's code; its shape is checked on the way."""
        body = response.json()
        assert response.headers["content-type"] == "application/json"
        assert response.headers["x-request-id"].startswith("req_")
        if self.name == "native":
            assert body["success"] is False
            assert body["meta"]["request_id"] == response.headers["x-request-id"]
            assert set(body["error"]) <= {"code", "message", "details"}
        else:
            assert set(body) == {"error"}
            assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["code"])

    def fields(self, response: httpx.Response) -> list[str]:
        """The fields an error names."""
        error = response.json()["error"]
        if self.name == "native":
            return [one["field"] for one in error["details"]]
        return [error["param"]]


@pytest.fixture
def account(live_db: None) -> Any:
    """A new account without limits and without people: hashing a password takes longer than a test here."""
    from accounts.models import Account, Plan

    return Account.objects.create(name="Doors", plan=Plan.objects.get(pk="unlimited"))


@pytest.fixture(params=["native", "openai"])
def door(request: pytest.FixtureRequest, http: httpx.Client) -> Door:
    """Every test that takes it runs at both doors."""
    return Door(http, request.param)


@pytest.fixture
def native(http: httpx.Client) -> Door:
    return Door(http, "native")


@pytest.fixture
def openai_door(http: httpx.Client) -> Door:
    return Door(http, "openai")


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream, which must end with [DONE] and be written as scripts expect."""
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.content.isascii()
    assert b"\r" not in response.content
    frames = response.text.removesuffix("\n\n").split("\n\n")
    assert all(frame.startswith(("data: ", ": keep-alive")) and "\n" not in frame for frame in frames)
    data = [frame.removeprefix("data: ") for frame in frames if frame.startswith("data: ")]
    assert data.pop() == "[DONE]"
    return [json.loads(one) for one in data]
