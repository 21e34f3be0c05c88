"""A caller that asks the same question at either door, streamed or not, and gets the same kind of answer."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


@dataclass
class Reply:
    """What came back, whichever door and way: status, text, the model, the request's id and its attempts."""

    status: int
    text: str = ""
    model: str = ""
    request_id: str = ""
    fallback_used: bool = False
    cost_usd: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None


class Asker:
    """Asks at one door in one way."""

    def __init__(self, http: httpx.Client, door: str, streamed: bool) -> None:
        self.http, self.door, self.streamed = http, door, streamed

    def ask(self, messages: list[dict[str, Any]] = QUESTION, **fields: Any) -> Reply:
        path = "/api/v1/chat" if self.door == "native" else "/v1/chat/completions"
        body = {"messages": messages, "stream": self.streamed} | fields
        if self.door == "openai":
            body.setdefault("model", "routeplex-ai")
        elif self.streamed:
            body["stream_mode"] = "realtime"
        response = self.http.post(path, json=body)
        if response.status_code != 200:
            return Reply(
                response.status_code,
                error=response.json()["error"],
                request_id=response.headers["x-request-id"],
            )
        if not self.streamed:
            return _whole(self.door, response.json())
        events = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
        assert events[-1] == "[DONE]"
        return _streamed(self.door, [json.loads(event) for event in events[:-1]])


def _whole(door: str, body: dict[str, Any]) -> Reply:
    if door == "native":
        data = body["data"]
        text, cost_usd = data["output"], data["usage"]["cost_usd"]
        model, request_id, extra = data["model_used"], data["id"], data
    else:
        text, extra = body["choices"][0]["message"]["content"], body["x_routeplex"]
        model, request_id, cost_usd = body["model"], extra["request_id"], extra["cost_usd"]
    attempts = extra["routing"]["attempts"]
    return Reply(200, text, model, request_id, extra["fallback_used"], cost_usd, attempts)


def _streamed(door: str, events: list[dict[str, Any]]) -> Reply:
    if door == "native":
        error = next((event for event in events if event["type"] == "error"), None)
        text = "".join(event["content"] for event in events if event["type"] == "delta")
        if error:
            return Reply(200, text, request_id=events[0].get("request_id", ""), error=error)
        done = events[-1]
        return Reply(
            200,
            text,
            done["model_used"],
            events[0]["request_id"],
            done["fallback_used"],
            done["usage"]["cost_usd"],
            done["routing"]["attempts"],
        )
    text = "".join(
        event["choices"][0]["delta"].get("content") or "" for event in events if event.get("choices")
    )
    error = next((event["error"] for event in events if "error" in event), None)
    extra = next((event["x_routeplex"] for event in reversed(events) if "x_routeplex" in event), {})
    attempts = extra.get("routing", {}).get("attempts", [])
    return Reply(
        200,
        text,
        events[0].get("model", ""),
        extra.get("request_id", ""),
        extra.get("fallback_used", False),
        extra.get("cost_usd"),
        attempts,
        error,
    )


@pytest.fixture(
    params=[("native", False), ("native", True), ("openai", False), ("openai", True)],
    ids=["native", "native-streamed", "openai", "openai-streamed"],
)
def caller(request: pytest.FixtureRequest, http: httpx.Client) -> Asker:
    """Every test that takes it runs at both doors, streamed and not."""
    return Asker(http, *request.param)
