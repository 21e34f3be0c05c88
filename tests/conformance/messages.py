"""The features of `/v1/messages`, by Anthropic's client."""

import base64
import functools
import json
from typing import Any

import anthropic
from anthropic import Anthropic

from tests.conformance.matrix import (
    CAPITAL,
    CITY,
    DESCRIBE,
    ESSAY,
    FILE_URL_WIRES,
    ONE_TWO,
    PDF,
    PIXEL,
    USE_BOTH,
    USE_WEATHER,
    Check,
    Feature,
    Receipt,
    Urls,
)

NAME = "messages"
ERROR = anthropic.APIStatusError


@functools.cache
def _connections() -> anthropic.DefaultHttpxClient:
    return anthropic.DefaultHttpxClient()  # shared by all clients, as in chat.py


def client(url: str, key: str) -> Anthropic:
    return Anthropic(base_url=url, api_key=key, max_retries=0, http_client=_connections())


def code(error: Any) -> str:
    return str(error.error_code)


def whole(client: Anthropic, fields: dict[str, Any]) -> tuple[Any, Receipt]:
    answer = client.messages.create(**fields)
    return answer, (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]


def streamed(client: Anthropic, fields: dict[str, Any]) -> tuple[Any, Receipt]:
    receipt: Receipt = []
    with client.messages.stream(**fields) as stream:
        for event in stream:
            if event.type == "message_delta":
                receipt = (event.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]
        return stream.get_final_message(), receipt


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"name": name, "description": name, "input_schema": schema}


WEATHER, CLOCK = tool("get_weather", city={"type": "string"}), tool("get_clock", zone={"type": "string"})

SEARCH = {"type": "web_search_20250305", "name": "web_search"}


def user_request(content: Any = CAPITAL, **fields: Any) -> dict[str, Any]:
    return {"max_tokens": 4096, "messages": [{"role": "user", "content": content}]} | fields


def called(*names: str) -> Check:
    return lambda answer: (
        sorted(block.name for block in answer.content if block.type == "tool_use") == sorted(names)
    )


def text(answer: Any) -> str:
    return "".join(block.text for block in answer.content if block.type == "text")


def says(words: str) -> Check:
    return lambda answer: words in text(answer)


def has_text(answer: Any) -> bool:
    return bool(text(answer))


def results(content: Any, **more: Any) -> list[dict[str, Any]]:
    call = {"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {"city": "Paris"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **more}
    return [
        {"role": "user", "content": USE_WEATHER},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]


def thought(client: Anthropic, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the first turn's answer and the result of its tool call added."""
    message = client.messages.create(**fields)
    answers = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "21 degrees"}
        for block in message.content
        if block.type == "tool_use"
    ]
    turns = [{"role": "assistant", "content": message.content}, {"role": "user", "content": answers}]
    return fields | {"messages": [*fields["messages"], *turns]}


def features(urls: Urls) -> list[Feature]:
    return [*_talk(), *_tools(), *_media(urls), *_settings(), *_refused()]


def _talk() -> list[Feature]:
    turns = [
        {"role": "user", "content": CAPITAL},
        {"role": "assistant", "content": "Paris."},
        {"role": "user", "content": "And of Italy?"},
    ]
    begun = [turns[0], {"role": "assistant", "content": "The capital"}]
    middle = [*turns[:2], {"role": "system", "content": "Be brief."}, turns[2]]
    return [
        Feature("text", user_request(), (), says("Paris")),
        Feature("system", user_request(system="Be brief."), (), says("Paris")),
        Feature("system in the middle", user_request(messages=middle), (), has_text),
        Feature("several turns", user_request(messages=turns), (), has_text),
        Feature("prefill", user_request(messages=begun), ("prefill",), has_text),
        Feature(
            "usage",
            user_request(),
            (),
            lambda answer: bool(answer.usage.input_tokens and answer.usage.output_tokens),
        ),
    ]


def _tools() -> list[Feature]:
    both = user_request(USE_BOTH, tools=[WEATHER, CLOCK])
    thinking = {"type": "enabled", "budget_tokens": 2048}
    return [
        Feature("tools", user_request(USE_WEATHER, tools=[WEATHER]), ("tools",), called("get_weather")),
        Feature("parallel tools", both, ("tools",), called("get_weather", "get_clock")),
        Feature(
            "no parallel tools",
            both | {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            ("tools", "parallel_tool_calls"),
            lambda answer: [block.type for block in answer.content].count("tool_use") == 1,
        ),
        Feature(
            "a named tool required",
            user_request(tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"}),
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "any tool required",
            user_request(tools=[WEATHER], tool_choice={"type": "any"}),
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "no tool",
            user_request(USE_WEATHER, tools=[WEATHER], tool_choice={"type": "none"}),
            ("tools", "tool_choice"),
            called(),
        ),
        Feature(
            "strict tools",
            user_request(USE_WEATHER, tools=[WEATHER | {"strict": True}]),
            ("tools",),
            called("get_weather"),
        ),
        Feature(
            "tool results",
            user_request(messages=results("21 degrees"), tools=[WEATHER]),
            ("tools",),
            says("21 degrees"),
        ),
        Feature(
            "a failed tool result",
            user_request(messages=results("No such city.", is_error=True), tools=[WEATHER]),
            ("tools",),
            has_text,
        ),
        Feature(
            "a server tool beside others",
            user_request(USE_WEATHER, tools=[WEATHER, SEARCH]),
            ("tools[].web_search_20250305",),
            has_text,
        ),
        Feature(
            "thinking sent back",
            user_request(USE_WEATHER, tools=[WEATHER], thinking=thinking),
            ("tools", "reasoning_effort"),
            says("21 degrees"),
            thought,
        ),
    ]


def _media(urls: Urls) -> list[Feature]:
    def shown(name: str, block: dict[str, Any], *parameters: str, **more: Any) -> Feature:
        content = [block, {"type": "text", "text": "What is this?"}]
        return Feature(name, user_request(content), parameters, has_text, **more)

    def encoded(kind: str, content: bytes) -> dict[str, Any]:
        return {"type": "base64", "media_type": kind, "data": base64.b64encode(content).decode()}

    written = {"type": "text", "media_type": "text/plain", "data": "Paris is large."}
    search = {"type": "search_result", "source": "https://example.com", "title": "Paris"}
    return [
        shown("image, base64", {"type": "image", "source": encoded("image/png", PIXEL)}, "images"),
        shown("image, URL", {"type": "image", "source": {"type": "url", "url": urls.picture}}, "images"),
        shown("PDF, base64", {"type": "document", "source": encoded("application/pdf", PDF)}, "files"),
        shown(
            "PDF, URL",
            {"type": "document", "source": {"type": "url", "url": urls.pdf}},
            "files",
            wires=FILE_URL_WIRES,
        ),
        shown("a text document", {"type": "document", "title": "Note", "source": written}),
        shown("a search result", search | {"content": [{"type": "text", "text": "Paris is large."}]}),
        Feature(
            "an image as a tool result",
            user_request(
                messages=results([{"type": "image", "source": encoded("image/png", PIXEL)}]), tools=[WEATHER]
            ),
            ("tools", "images"),
            has_text,
        ),
    ]


def _settings() -> list[Feature]:
    def set_to(name: str, field: str, value: Any, parameter: str | None = None) -> Feature:
        return Feature(name, user_request(**{field: value}), (parameter or field,), has_text)

    form = {"format": {"type": "json_schema", "schema": CITY}}
    mark = {"type": "text", "text": CAPITAL, "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    return [
        Feature(
            "output schema",
            user_request(DESCRIBE, output_config=form),
            ("response_format",),
            lambda answer: isinstance(json.loads(text(answer))["people"], int),
        ),
        Feature(
            "stop sequences",
            user_request(ONE_TWO, stop_sequences=["two"]),
            ("stop",),
            lambda answer: "two" not in text(answer),
        ),
        Feature(
            "output limit reached",
            user_request(ESSAY, max_tokens=20),
            ("max_tokens",),
            lambda answer: answer.stop_reason == "max_tokens",
        ),
        set_to("effort", "output_config", {"effort": "low"}, "reasoning_effort"),
        set_to("thinking budget", "thinking", {"type": "enabled", "budget_tokens": 2048}, "reasoning_effort"),
        set_to("no thinking", "thinking", {"type": "disabled"}, "reasoning_effort"),
        # The API's latest version and its client lack these three; older clients send them.
        set_to("temperature", "extra_body", {"temperature": 0.2}, "temperature"),
        set_to("top_p", "extra_body", {"top_p": 0.5}, "top_p"),
        set_to("top_k", "extra_body", {"top_k": 5}, "top_k"),
        set_to("service tier", "service_tier", "standard_only"),
        set_to("user", "metadata", {"user_id": "u-1"}, "user"),
        set_to("speed", "extra_body", {"speed": "fast"}, "speed"),
        set_to("cache of the whole request", "cache_control", {"type": "ephemeral"}),
        Feature(
            "a beta field",
            user_request(
                extra_body={"context_management": {"edits": []}},
                extra_headers={"anthropic-beta": "context-management-2025-06-27"},
            ),
            ("context_management", "anthropic-beta"),
            has_text,
        ),
        Feature(
            "an unknown beta",
            user_request(extra_body={"mood": "good"}, extra_headers={"anthropic-beta": "moods-2026-12-24"}),
            ("mood", "anthropic-beta"),
            has_text,
        ),
        Feature(
            "output_format of a beta",
            user_request(
                DESCRIBE,
                extra_body={"output_format": form["format"]},
                extra_headers={"anthropic-beta": "structured-outputs-2025-11-13"},
            ),
            ("response_format",),
            lambda answer: isinstance(json.loads(text(answer))["people"], int),
        ),
        Feature("cache marks", user_request([mark]), ("cache_control",), has_text),
    ]


def _refused() -> list[Feature]:
    return [
        Feature("a server tool", user_request(tools=[SEARCH])),
        Feature("unknown field", user_request(extra_body={"mood": "good"})),
        Feature("container", user_request(extra_body={"container": "c"})),
        Feature("thread", user_request(extra_body={"thread": {"type": "create"}})),
        Feature("inference_geo", user_request(inference_geo="us")),
    ]
