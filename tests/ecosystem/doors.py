"""RoutePlex's four chat APIs without a client library: whether an answer is whole, or its error typed."""

import json
from dataclasses import dataclass
from typing import Any

import httpx

PATHS = {
    "native": "/api/v1/chat",
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}
WAYS = [(door, streamed) for door in PATHS for streamed in (False, True)]


@dataclass
class Answer:
    """`ended` is false where the answer stops without its API's own end; `code` is the error's.

    `fault` is what the receipt says of the output, such as "not JSON" for the arguments of a call.
    """

    text: str = ""
    ended: bool = False
    code: str = ""
    fault: str = ""


def ask(
    http: httpx.Client, door: str, streamed: bool, model: str, text: str, tool: dict[str, Any] | None = None
) -> Answer:
    """`tool` has name, description and parameters."""
    messages = [{"role": "user", "content": text}]
    body: dict[str, Any] = {"stream": streamed}
    if model != "auto" or door != "native":
        body["model"] = model
    body["input" if door == "responses" else "messages"] = messages
    if door == "messages":
        body["max_tokens"] = 1000
    if tool is not None:
        body["tools"] = [_tool(door, tool)]
    answer = Answer()
    with http.stream("POST", PATHS[door], json=body) as response:
        if response.headers["content-type"].startswith("text/event-stream"):
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    event = json.loads(line[6:])
                    _EVENTS[door](answer, event)
                    answer.fault = answer.fault or _fault(event)
        else:
            response.read()
            _read_whole(answer, door, response)
    return answer


def _tool(door: str, tool: dict[str, Any]) -> dict[str, Any]:
    if door == "messages":
        return {"name": tool["name"], "input_schema": tool["parameters"]}
    return {"type": "function", **tool} if door == "responses" else {"type": "function", "function": tool}


def _read_whole(answer: Answer, door: str, response: httpx.Response) -> None:
    body = response.json()
    answer.ended = True
    if response.status_code != 200:
        answer.code = _code(body["error"])
        return
    answer.fault = _fault(body)
    match door:
        case "native":
            answer.text = body["data"]["output"] or ""
        case "chat":
            answer.text = body["choices"][0]["message"]["content"] or ""
        case "responses":
            _read_response(answer, body)
        case "messages":
            answer.text = "".join(block.get("text", "") for block in body["content"])


def _read_response(answer: Answer, body: dict[str, Any]) -> None:
    answer.ended = body["status"] in ("completed", "failed")
    answer.code = _code(body["error"]) if body["error"] else ""
    parts = [part for item in body["output"] for part in item.get("content", ())]
    answer.text = "".join(part.get("text", "") for part in parts)


def _native_event(answer: Answer, event: dict[str, Any]) -> None:
    match event["type"]:
        case "delta":
            answer.text += event["content"]
        case "error":
            answer.code, answer.ended = _code(event), True
        case "done":
            answer.ended = True


def _chat_event(answer: Answer, event: dict[str, Any]) -> None:
    if "error" in event:
        answer.code, answer.ended = _code(event["error"]), True
        return
    for choice in event["choices"]:
        answer.text += choice["delta"].get("content") or ""
        answer.ended = answer.ended or bool(choice.get("finish_reason"))


def _responses_event(answer: Answer, event: dict[str, Any]) -> None:
    if event["type"] in ("response.completed", "response.failed", "response.incomplete"):
        _read_response(answer, event["response"])
    elif event["type"] == "error":
        answer.code, answer.ended = _code(event), True


def _messages_event(answer: Answer, event: dict[str, Any]) -> None:
    match event["type"]:
        case "content_block_delta":
            answer.text += event["delta"].get("text", "")
        case "error":
            answer.code, answer.ended = _code(event["error"]), True
        case "message_stop":
            answer.ended = True


_EVENTS = {
    "native": _native_event,
    "chat": _chat_event,
    "responses": _responses_event,
    "messages": _messages_event,
}


def _code(error: dict[str, Any]) -> str:
    details = error.get("details") or {}
    return str(details.get("error_code") or error.get("code") or "")


def _fault(value: Any) -> str:
    """The fault in the receipt, wherever this API puts the receipt."""
    if isinstance(value, dict):
        if isinstance(receipt := value.get("fidelity"), dict):
            return str((receipt.get("output") or {}).get("fault") or "")
        return next((fault for inner in value.values() if (fault := _fault(inner))), "")
    return ""
