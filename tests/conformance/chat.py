"""The features of `/v1/chat/completions`, by OpenAI's client."""

import base64
import contextlib
import functools
import json
from typing import Any

import openai
from openai import OpenAI
from openai.types.chat import ChatCompletion

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
    USE_QUERY,
    USE_WEATHER,
    WAV,
    Check,
    Feature,
    Receipt,
    Urls,
    data_url,
)

NAME = "chat"
ERROR = openai.APIStatusError


@functools.cache
def _connections() -> openai.DefaultHttpxClient:
    """Shared by all clients: reading the certificates again takes longer than most requests."""
    return openai.DefaultHttpxClient()


def client(url: str, key: str) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, http_client=_connections())


def code(error: openai.APIStatusError) -> str:
    return str(error.code)


def whole(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, Receipt]:
    answer = client.chat.completions.create(**fields)
    return answer, (answer.model_extra or {})["x_routeplex"]["fidelity"]["parameters"]


def streamed(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, Receipt]:
    """Stream with the client's own helper, which assembles the answer; as tools it knows only functions."""
    if "custom" in str(fields.get("tools")) or "functions" in fields:
        return _assembled(client, fields)
    try:
        return _helped(client, fields)
    except openai.ContentFilterFinishReasonError:  # how the helper reports filtered content
        return _assembled(client, fields)


def _helped(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, Receipt]:
    receipt: Receipt = []
    with client.chat.completions.stream(**fields, stream_options={"include_usage": True}) as stream:
        with contextlib.suppress(openai.LengthFinishReasonError):
            for event in stream:
                if event.type == "chunk" and "x_routeplex" in (event.chunk.model_extra or {}):
                    extra = (event.chunk.model_extra or {})["x_routeplex"]
                    receipt = extra.get("fidelity", {}).get("parameters", receipt)
        try:
            return stream.get_final_completion(), receipt
        except openai.LengthFinishReasonError as ended:  # how the helper reports a cut answer
            return ended.completion, receipt


def _assembled(client: OpenAI, fields: dict[str, Any]) -> tuple[ChatCompletion, Receipt]:
    calls: dict[int, dict[str, Any]] = {}
    function: dict[str, str] = {}
    content = ""
    last: Any = None
    for last in client.chat.completions.create(stream=True, **fields):
        delta = last.choices[0].delta.model_dump(exclude_none=True)
        content += delta.get("content", "")
        for piece in delta.get("tool_calls", ()):
            call = calls.setdefault(piece.pop("index"), piece)
            if call is not piece:
                for kind, name in (("custom", "input"), ("function", "arguments")):
                    if kind in piece:
                        call[kind][name] += piece[kind][name]
        for name, value in delta.get("function_call", {}).items():
            function[name] = function.get(name, "") + value
    message = {"role": "assistant", "content": content or None, "tool_calls": list(calls.values()) or None}
    choice = {
        "index": 0,
        "finish_reason": last.choices[0].finish_reason,
        "message": message | ({"function_call": function} if function else {}),
    }
    whole = last.model_dump(exclude={"choices"}) | {"object": "chat.completion", "choices": [choice]}
    return ChatCompletion.model_validate(whole), last.model_extra["x_routeplex"]["fidelity"]["parameters"]


def user_turn(content: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content, **more}]


def tool(name: str, **properties: Any) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return {"type": "function", "function": {"name": name, "description": name, "parameters": schema}}


WEATHER, CLOCK = tool("get_weather", city={"type": "string"}), tool("get_clock", zone={"type": "string"})
QUERY = {"type": "custom", "custom": {"name": "query", "description": "Asks the database"}}


def called(*names: str) -> Check:
    return lambda answer: (
        sorted(call.function.name for call in answer.choices[0].message.tool_calls or []) == sorted(names)
    )


def says(words: str) -> Check:
    return lambda answer: words in (answer.choices[0].message.content or "")


def is_city(answer: ChatCompletion) -> bool:
    city = json.loads(answer.choices[0].message.content or "")
    return isinstance(city["name"], str) and isinstance(city["people"], int)


def is_json(answer: ChatCompletion) -> bool:
    return isinstance(json.loads(answer.choices[0].message.content or ""), dict)


def has_text(answer: ChatCompletion) -> bool:
    return bool(answer.choices[0].message.content)


def results(content: str) -> list[dict[str, Any]]:
    call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
    }
    return [
        *user_turn(USE_WEATHER),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": content},
    ]


def custom_results() -> list[dict[str, Any]]:
    call = {"id": "call_1", "type": "custom", "custom": {"name": "query", "input": "SELECT *"}}
    return [
        *user_turn(USE_QUERY),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7 users"},
    ]


def thought(client: OpenAI, fields: dict[str, Any]) -> dict[str, Any]:
    """With the turn before as it was answered, and the result of its call."""
    message = client.chat.completions.create(**fields).choices[0].message
    back = message.model_dump(exclude_none=True)
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": "21 degrees"}
        for call in message.tool_calls or []
    ]
    return fields | {"messages": [*fields["messages"], back, *answers]}


def form(schema: Any = CITY) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "city", "schema": schema, "strict": True}}


def features(urls: Urls) -> list[Feature]:
    return [*_talk(), *_tools(), *_media(urls), *_settings(), *_refused()]


def _talk() -> list[Feature]:
    hello, paris = user_turn(CAPITAL), says("Paris")
    turns = [*hello, {"role": "assistant", "content": "Paris."}, {"role": "user", "content": "And of Italy?"}]
    declined = user_turn("Simulate a refusal, please.")
    return [
        Feature("text", {"messages": hello}, (), paris),
        *(
            Feature(
                f"{role} message", {"messages": [{"role": role, "content": "Be brief."}, *hello]}, (), paris
            )
            for role in ("system", "developer")
        ),
        Feature("several turns", {"messages": turns}, (), has_text),
        Feature(
            "prefill",
            {"messages": [*hello, {"role": "assistant", "content": "The capital"}]},
            ("prefill",),
            has_text,
        ),
        Feature(
            "refusal",
            {"messages": declined},
            (),
            lambda answer: (
                bool(answer.choices[0].message.refusal)
                or answer.choices[0].finish_reason == "content_filter"
                or has_text(answer)
            ),
        ),
        Feature(
            "usage",
            {"messages": hello},
            (),
            lambda answer: bool(answer.usage.prompt_tokens and answer.usage.completion_tokens),
        ),
    ]


def _tools() -> list[Feature]:
    force = {"type": "function", "function": {"name": "get_weather"}}
    both = {"messages": user_turn(USE_BOTH), "tools": [WEATHER, CLOCK]}
    allowed = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [CLOCK]}}
    function = WEATHER["function"]
    return [
        Feature(
            "tools",
            {"messages": user_turn(USE_WEATHER), "tools": [WEATHER]},
            ("tools",),
            called("get_weather"),
        ),
        Feature("parallel tools", both, ("tools",), called("get_weather", "get_clock")),
        Feature(
            "no parallel tools",
            both | {"parallel_tool_calls": False},
            ("tools", "parallel_tool_calls"),
            lambda answer: len(answer.choices[0].message.tool_calls or []) == 1,
        ),
        Feature(
            "a named tool required",
            {"messages": user_turn(CAPITAL), "tools": [WEATHER], "tool_choice": force},
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "any tool required",
            {"messages": user_turn(CAPITAL), "tools": [WEATHER], "tool_choice": "required"},
            ("tools", "tool_choice"),
            called("get_weather"),
        ),
        Feature(
            "allowed tools",
            {"messages": user_turn(USE_WEATHER), "tools": [WEATHER, CLOCK], "tool_choice": allowed},
            ("tools", "tool_choice"),
            called("get_clock"),
        ),
        Feature(
            "no tool",
            {"messages": user_turn(USE_WEATHER), "tools": [WEATHER], "tool_choice": "none"},
            ("tools", "tool_choice"),
            lambda answer: not answer.choices[0].message.tool_calls,
        ),
        Feature(
            "strict tools",
            {
                "messages": user_turn(USE_WEATHER),
                "tools": [WEATHER | {"function": function | {"strict": True}}],
            },
            ("tools",),
            called("get_weather"),
        ),
        Feature(
            "a union as a tool's schema",
            {
                "messages": user_turn(USE_WEATHER),
                "tools": [
                    {
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "parameters": {
                                "anyOf": [function["parameters"], CLOCK["function"]["parameters"]]
                            },
                        },
                    }
                ],
            },
            ("tools",),
            called("get_weather"),
        ),
        Feature(
            "tool results",
            {"messages": results("21 degrees"), "tools": [WEATHER]},
            ("tools",),
            says("21 degrees"),
        ),
        Feature(
            "a failed tool result",
            {"messages": results("Error: no such city"), "tools": [WEATHER]},
            ("tools",),
            has_text,
        ),
        Feature(
            "a custom tool",
            {"messages": user_turn(USE_QUERY), "tools": [QUERY]},
            ("tools",),
            lambda answer: bool(answer.choices[0].message.tool_calls[0].custom.input),
        ),
        Feature(
            "a custom tool's result", {"messages": custom_results(), "tools": [QUERY]}, ("tools",), has_text
        ),
        Feature(
            "functions, the older form",
            {"messages": user_turn(USE_WEATHER), "functions": [function]},
            ("tools", "parallel_tool_calls"),
            lambda answer: answer.choices[0].message.function_call.name == "get_weather",
        ),
        Feature(
            "reasoning sent back",
            {"messages": user_turn(USE_WEATHER), "tools": [WEATHER], "reasoning_effort": "high"},
            ("tools", "reasoning_effort"),
            says("21 degrees"),
            thought,
        ),
    ]


def _media(urls: Urls) -> list[Feature]:
    picture = {"type": "image_url", "image_url": {"url": data_url("image/png", PIXEL)}}
    far = {"type": "image_url", "image_url": {"url": urls.picture}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": data_url("application/pdf", PDF)}}
    far_pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": urls.pdf}}
    sound = {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}

    def shown(name: str, part: dict[str, Any], parameter: str, **more: Any) -> Feature:
        text = {"type": "text", "text": "What is this?"}
        return Feature(name, {"messages": user_turn([text, part])}, (parameter,), has_text, **more)

    return [
        shown("image, data URL", picture, "images"),
        shown("image, http URL", far, "images"),
        shown("PDF, data URL", pdf, "files"),
        shown("PDF, http URL", far_pdf, "files", wires=FILE_URL_WIRES),
        shown("audio", sound, "audio"),
    ]


def _settings() -> list[Feature]:
    hello = user_turn(CAPITAL)

    def set_to(name: str, parameter: str, value: Any) -> Feature:
        return Feature(name, {"messages": hello, parameter: value}, (parameter,), has_text)

    mark = {"type": "text", "text": CAPITAL, "cache_control": {"type": "ephemeral"}}
    point = {"type": "text", "text": CAPITAL, "prompt_cache_breakpoint": {"mode": "explicit"}}
    return [
        Feature(
            "json_schema",
            {"messages": user_turn(DESCRIBE), "response_format": form()},
            ("response_format",),
            is_city,
        ),
        Feature(
            "json_object",
            {
                "messages": user_turn(DESCRIBE + " Answer in JSON."),
                "response_format": {"type": "json_object"},
            },
            ("response_format",),
            is_json,
        ),
        Feature(
            "stop",
            {"messages": user_turn(ONE_TWO), "stop": ["two"]},
            ("stop",),
            lambda answer: "two" not in (answer.choices[0].message.content or ""),
        ),
        Feature(
            "logprobs",
            {"messages": hello, "logprobs": True, "top_logprobs": 2},
            ("logprobs", "top_logprobs"),
            lambda answer: bool(answer.choices[0].logprobs and answer.choices[0].logprobs.content),
        ),
        Feature("n", {"messages": hello, "n": 2}, ("n",), lambda answer: len(answer.choices) == 2),
        Feature(
            "output limit reached",
            {"messages": user_turn(ESSAY), "max_completion_tokens": 20},
            ("max_tokens",),
            lambda answer: answer.choices[0].finish_reason == "length",
        ),
        set_to("reasoning effort", "reasoning_effort", "low"),
        set_to("verbosity", "verbosity", "low"),
        set_to("temperature", "temperature", 0.2),
        set_to("top_p", "top_p", 0.5),
        set_to("penalties", "frequency_penalty", 0.5),
        set_to("logit_bias", "logit_bias", {"1": 1}),
        set_to("seed", "seed", 7),
        set_to("service tier", "service_tier", "default"),
        set_to("user", "user", "u-1"),
        set_to("safety identifier", "safety_identifier", "u-1"),
        set_to("metadata", "metadata", {"team": "a"}),
        set_to("prompt cache key", "prompt_cache_key", "k"),
        set_to("predicted output", "prediction", {"type": "content", "content": "Paris"}),
        set_to("store", "store", True),
        Feature("cache_control", {"messages": user_turn([mark])}, ("cache_control",), has_text),
        Feature(
            "cache_control of a message",
            {"messages": user_turn(CAPITAL, cache_control={"type": "ephemeral"})},
            ("cache_control",),
            has_text,
        ),
        Feature("prompt_cache_breakpoint", {"messages": user_turn([point])}, ("cache_control",), has_text),
        Feature("unknown field", {"messages": hello, "extra_body": {"mood": "good"}}, ("mood",), has_text),
        Feature(
            "another gateway's fields",
            {"messages": hello, "extra_body": {"reasoning": {"effort": "low", "exclude": True}}},
            ("reasoning_effort", "reasoning.exclude"),
            has_text,
        ),
        Feature(
            "unknown field of a message",
            {"messages": user_turn(CAPITAL, mood="good")},
            ("messages[].mood",),
            has_text,
        ),
    ]


def _refused() -> list[Feature]:
    hello = user_turn(CAPITAL)
    return [
        Feature("audio as output", {"messages": hello, "modalities": ["text", "audio"]}),
        Feature("web search", {"messages": hello, "web_search_options": {}}),
    ]
