"""The features of `/v1/responses`, by OpenAI's client."""

import json
from typing import Any

import openai
from openai import OpenAI

from tests.conformance import chat
from tests.conformance.matrix import (
    CAPITAL,
    CITY,
    DESCRIBE,
    ESSAY,
    FILE_URL_WIRES,
    PDF,
    PIXEL,
    USE_BOTH,
    USE_QUERY,
    USE_WEATHER,
    Check,
    Feature,
    Receipt,
    Urls,
    data_url,
)

NAME = "responses"
ERROR = openai.APIStatusError
client, code = chat.client, chat.code


def whole(client: OpenAI, fields: dict[str, Any]) -> tuple[Any, Receipt]:
    answer = client.responses.create(**fields)
    return answer, (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]


def streamed(client: OpenAI, fields: dict[str, Any]) -> tuple[Any, Receipt]:
    with client.responses.stream(**fields) as stream:
        for event in stream:
            if event.type in ("response.completed", "response.incomplete"):
                answer = event.response
    return answer, (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    return {"type": "function", **chat.tool(name, **properties)["function"], "strict": False}


WEATHER, CLOCK = tool("get_weather", city={"type": "string"}), tool("get_clock", zone={"type": "string"})
CRM = {"type": "namespace", "name": "crm", "description": "Customers", "tools": [WEATHER]}
QUERY = {"type": "custom", "name": "query", "description": "Asks the database"}


def user_turn(content: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


def called(*names: str) -> Check:
    return lambda answer: (
        sorted(item.name for item in answer.output if item.type == "function_call") == sorted(names)
    )


def says(words: str) -> Check:
    return lambda answer: words in answer.output_text


def has_text(answer: Any) -> bool:
    return bool(answer.output_text)


def results(kind: str, call: dict[str, Any], output: str) -> list[dict[str, Any]]:
    return [
        {"role": "user", "content": USE_WEATHER},
        {"type": kind, "call_id": "call_1", **call},
        {"type": f"{kind}_output", "call_id": "call_1", "output": output},
    ]


def thought(client: OpenAI, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with the first turn's answer and the result of its tool call added."""
    items = [item.to_dict() for item in client.responses.create(**fields).output]
    answers = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "21 degrees"}
        for item in items
        if item["type"] == "function_call"
    ]
    return fields | {"input": [{"role": "user", "content": fields["input"]}, *items, *answers]}


def features(urls: Urls) -> list[Feature]:
    return [*_talk(), *_tools(), *_media(urls), *_settings(), *_refused()]


def _talk() -> list[Feature]:
    turns = [
        {"role": "user", "content": CAPITAL},
        {"role": "assistant", "content": [{"type": "output_text", "text": "Paris."}]},
        {"role": "user", "content": "And of Italy?"},
    ]
    developer = [{"role": "developer", "content": "Be brief."}, turns[0]]
    return [
        Feature("text", {"input": CAPITAL}, (), says("Paris")),
        Feature("instructions", {"input": CAPITAL, "instructions": "Be brief."}, (), says("Paris")),
        Feature("developer message", {"input": developer}, (), says("Paris")),
        Feature("several turns", {"input": turns}, (), has_text),
        Feature(
            "usage",
            {"input": CAPITAL},
            (),
            lambda answer: bool(answer.usage.input_tokens and answer.usage.output_tokens),
        ),
    ]


def _tools() -> list[Feature]:
    both = {"input": USE_BOTH, "tools": [WEATHER, CLOCK]}
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [CLOCK]}
    weather = {"name": "get_weather", "arguments": '{"city": "Paris"}'}
    return [
        Feature("tools", {"input": USE_WEATHER, "tools": [WEATHER]}, ("tools",), called("get_weather")),
        Feature("parallel tools", both, ("tools",), called("get_weather", "get_clock")),
        Feature(
            "no parallel tools",
            both | {"parallel_tool_calls": False},
            ("tools", "parallel_tool_calls"),
            lambda answer: [item.type for item in answer.output].count("function_call") == 1,
        ),
        Feature(
            "a named tool required",
            {
                "input": CAPITAL,
                "tools": [WEATHER],
                "tool_choice": {"type": "function", "name": "get_weather"},
            },
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "allowed tools",
            {"input": USE_WEATHER, "tools": [WEATHER, CLOCK], "tool_choice": allowed},
            ("tools", "tool_choice"),
            called("get_clock"),
        ),
        Feature(
            "no tool",
            {"input": USE_WEATHER, "tools": [WEATHER], "tool_choice": "none"},
            ("tools", "tool_choice"),
            called(),
        ),
        Feature(
            "strict tools",
            {"input": USE_WEATHER, "tools": [WEATHER | {"strict": True}]},
            ("tools",),
            called("get_weather"),
        ),
        Feature(
            "tool results",
            {"input": results("function_call", weather, "21 degrees"), "tools": [WEATHER]},
            ("tools",),
            says("21 degrees"),
        ),
        Feature(
            "a custom tool",
            {"input": USE_QUERY, "tools": [QUERY]},
            ("tools",),
            lambda answer: any(item.type == "custom_tool_call" and item.input for item in answer.output),
        ),
        Feature(
            "a custom tool's result",
            {
                "input": results("custom_tool_call", {"name": "query", "input": "SELECT *"}, "7 users"),
                "tools": [QUERY],
            },
            ("tools",),
            says("7 users"),
        ),
        Feature(
            "tools in a namespace",
            {"input": USE_WEATHER, "tools": [CRM]},
            ("tools",),
            lambda answer: (
                [item.namespace for item in answer.output if item.type == "function_call"] == ["crm"]
            ),
        ),
        Feature(
            "tools in the input",
            {"input": [{"type": "additional_tools", "tools": [WEATHER]}, *user_turn(USE_WEATHER)]},
            ("tools",),
            called("get_weather"),
        ),
        Feature(
            "a hosted tool beside others",
            {"input": USE_WEATHER, "tools": [WEATHER, {"type": "web_search"}]},
            ("tools[].web_search",),
            has_text,
        ),
        Feature(
            "reasoning sent back",
            {"input": USE_WEATHER, "tools": [WEATHER], "reasoning": {"effort": "high", "summary": "auto"}},
            ("tools", "reasoning_effort"),
            says("21 degrees"),
            thought,
        ),
    ]


def _media(urls: Urls) -> list[Feature]:
    def shown(name: str, part: dict[str, Any], parameter: str, **more: Any) -> Feature:
        content = [{"type": "input_text", "text": "What is this?"}, part]
        return Feature(
            name, {"input": [{"role": "user", "content": content}]}, (parameter,), has_text, **more
        )

    pdf = {"type": "input_file", "filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}
    return [
        shown(
            "image, data URL",
            {"type": "input_image", "detail": "auto", "image_url": data_url("image/png", PIXEL)},
            "images",
        ),
        shown(
            "image, http URL",
            {"type": "input_image", "detail": "auto", "image_url": urls.picture},
            "images",
        ),
        shown("PDF, data URL", pdf, "files"),
        shown("PDF, http URL", {"type": "input_file", "file_url": urls.pdf}, "files", wires=FILE_URL_WIRES),
    ]


def _settings() -> list[Feature]:
    def set_to(name: str, field: str, value: Any, parameter: str | None = None) -> Feature:
        return Feature(name, {"input": CAPITAL, field: value}, (parameter or field,), has_text)

    form = {"type": "json_schema", "name": "city", "schema": CITY, "strict": True}
    point = {"type": "input_text", "text": CAPITAL, "prompt_cache_breakpoint": {"mode": "explicit"}}
    return [
        Feature(
            "json_schema",
            {"input": DESCRIBE, "text": {"format": form}},
            ("response_format",),
            lambda answer: isinstance(json.loads(answer.output_text)["people"], int),
        ),
        Feature(
            "json_object",
            {"input": DESCRIBE + " Answer in JSON.", "text": {"format": {"type": "json_object"}}},
            ("response_format",),
            lambda answer: isinstance(json.loads(answer.output_text), dict),
        ),
        Feature(
            "logprobs",
            {"input": CAPITAL, "include": ["message.output_text.logprobs"], "top_logprobs": 2},
            ("logprobs", "top_logprobs"),
            lambda answer: bool(answer.output[-1].content[0].logprobs),
        ),
        Feature(
            "output limit reached",
            {"input": ESSAY, "max_output_tokens": 20},
            ("max_tokens",),
            lambda answer: answer.incomplete_details.reason == "max_output_tokens",
        ),
        set_to("reasoning effort", "reasoning", {"effort": "low"}, "reasoning_effort"),
        set_to("verbosity", "text", {"verbosity": "low"}, "verbosity"),
        set_to("temperature", "temperature", 0.2),
        set_to("top_p", "top_p", 0.5),
        set_to("service tier", "service_tier", "default"),
        set_to("user", "user", "u-1"),
        set_to("safety identifier", "safety_identifier", "u-1"),
        set_to("metadata", "metadata", {"team": "a"}),
        set_to("prompt cache key", "prompt_cache_key", "k"),
        Feature("store", {"input": CAPITAL, "store": True}, (), has_text),
        Feature("previous_response_id", {"input": CAPITAL}, (), has_text, continued),
        Feature("item_reference", {"input": CAPITAL}, (), has_text, referring),
        set_to("truncation", "truncation", "auto"),
        set_to("unknown field", "extra_body", {"mood": "good"}, "mood"),
        Feature(
            "prompt_cache_breakpoint",
            {"input": [{"role": "user", "content": [point]}]},
            ("cache_control",),
            has_text,
        ),
    ]


def continued(client: OpenAI, fields: dict[str, Any]) -> dict[str, Any]:
    """Continuing a first response."""
    first = client.responses.create(**fields)
    return fields | {"input": "And of Italy?", "previous_response_id": first.id}


def referring(client: OpenAI, fields: dict[str, Any]) -> dict[str, Any]:
    """With references to the items of a first response, as the Vercel AI SDK sends them."""
    first = client.responses.create(**fields)
    references = [{"type": "item_reference", "id": item.id} for item in first.output]
    turns = [{"role": "user", "content": CAPITAL}, *references, {"role": "user", "content": "And of Italy?"}]
    return fields | {"input": turns}


def _refused() -> list[Feature]:
    return [
        Feature("a parameter of another API", {"input": CAPITAL, "extra_body": {"n": 2}}),
        Feature("a response that is gone", {"input": CAPITAL, "previous_response_id": "resp_1"}),
        Feature("background", {"input": CAPITAL, "background": True}),
        Feature("a hosted tool", {"input": CAPITAL, "tools": [{"type": "web_search"}]}),
    ]
