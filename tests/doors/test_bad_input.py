"""Invalid input gets a 4xx that names the field, before any provider is called."""

import json
from typing import Any

import pytest

from tests.conftest import Simulator
from tests.doors.conftest import MESSAGES, OPENAI_SHAPED, Door

IMAGE = "data:image/png;base64,iVBORw0KGgo="


def _user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def _assistant(**fields: Any) -> list[dict[str, Any]]:
    return [*MESSAGES, {"role": "assistant"} | fields]


def _tool(**function: Any) -> list[dict[str, Any]]:
    return [{"type": "function", "function": {"name": "look"} | function}]


def _custom(**custom: Any) -> list[dict[str, Any]]:
    return [{"type": "custom", "custom": {"name": "look"} | custom}]


def _allowed(mode: str, *names: str) -> dict[str, Any]:
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def _image(url: Any, **more: Any) -> list[dict[str, Any]]:
    return _user({"type": "image_url", "image_url": {"url": url} | more})


# What is sent and the field the error names; the field alone where it is the one sent.
BOTH: list[tuple[dict[str, Any], str]] = [
    ({"messages": None}, "messages"),
    ({"messages": "Hello"}, "messages"),
    ({"messages": {"role": "user"}}, "messages"),
    ({"messages": MESSAGES * 1001}, "messages"),
    ({"messages": ["Hello"]}, "messages[0]"),
    ({"messages": [*MESSAGES, None]}, "messages[1]"),
    ({"messages": [{"content": "Hello"}]}, "messages[0].role"),
    ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages[0].role"),
    ({"messages": [{"role": 5, "content": "Hello"}]}, "messages[0].role"),
    ({"messages": [{"role": [], "content": "Hello"}]}, "messages[0].role"),
    ({"messages": [{"role": "user"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": {"type": "text"}}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "a\0b"}]}, "messages[0].content"),
    ({"messages": [{"role": "user", "content": "Hello", "name": 5}]}, "messages[0].name"),
    ({"messages": _user("Hello")}, "messages[0].content[0]"),
    ({"messages": _user({"text": "Hello"})}, "messages[0].content[0].type"),
    ({"messages": _user({"type": "video"})}, "messages[0].content[0].type"),
    ({"messages": _user({"type": {}})}, "messages[0].content[0].type"),
    ({"messages": _user({"type": "text"})}, "messages[0].content[0].text"),
    ({"messages": _user({"type": "text", "text": 5})}, "messages[0].content[0].text"),
    (
        {"messages": _user({"type": "text", "text": "a", "cache_control": {"type": "x"}})},
        "messages[0].content[0].cache_control.type",
    ),
    (
        {"messages": _user({"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": 1}})},
        "messages[0].content[0].cache_control.ttl",
    ),
    ({"messages": _user({"type": "image_url"})}, "messages[0].content[0].image_url"),
    ({"messages": _user({"type": "image_url", "image_url": 5})}, "messages[0].content[0].image_url"),
    ({"messages": _image(None)}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("file:///etc/passwd")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("https://")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("https://example.com/a b")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("data:image/png,abc")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("data:image/png;base64,")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("data:image/png;base64,?!")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image("data:text/plain;base64,YQ==")}, "messages[0].content[0].image_url.url"),
    ({"messages": _image(IMAGE, detail="sharp")}, "messages[0].content[0].image_url.detail"),
    ({"messages": _user({"type": "file"})}, "messages[0].content[0].file"),
    ({"messages": _user({"type": "file", "file": {"file_id": "f"}})}, "messages[0].content[0].file.file_id"),
    ({"messages": _user({"type": "file", "file": {}})}, "messages[0].content[0].file.file_data"),
    ({"messages": _user({"type": "input_audio"})}, "messages[0].content[0].input_audio"),
    (
        {"messages": _user({"type": "input_audio", "input_audio": {"data": "YQ==", "format": "ogg"}})},
        "messages[0].content[0].input_audio.format",
    ),
    (
        {"messages": _user({"type": "input_audio", "input_audio": {"data": "?", "format": "wav"}})},
        "messages[0].content[0].input_audio.data",
    ),
    ({"messages": _assistant()}, "messages[1].content"),
    ({"messages": _assistant(content=[{"type": "image_url"}])}, "messages[1].content[0].type"),
    ({"messages": _assistant(content=[{"type": "refusal"}])}, "messages[1].content[0].refusal"),
    ({"messages": _assistant(content="a", refusal=5)}, "messages[1].refusal"),
    ({"messages": _assistant(content="a", tool_calls={})}, "messages[1].tool_calls"),
    ({"messages": _assistant(content="a", tool_calls=["x"])}, "messages[1].tool_calls[0]"),
    (
        {"messages": _assistant(content="a", tool_calls=[{"function": {"name": "x"}}])},
        "messages[1].tool_calls[0].id",
    ),
    (
        {
            "messages": _assistant(
                content="a", tool_calls=[{"id": "1", "type": "x", "function": {"name": "x"}}]
            )
        },
        "messages[1].tool_calls[0].type",
    ),
    ({"messages": _assistant(content="a", tool_calls=[{"id": "1"}])}, "messages[1].tool_calls[0].function"),
    (
        {"messages": _assistant(content="a", tool_calls=[{"id": "1", "function": {}}])},
        "messages[1].tool_calls[0].function.name",
    ),
    (
        {
            "messages": _assistant(
                content="a", tool_calls=[{"id": "1", "function": {"name": "x", "arguments": {}}}]
            )
        },
        "messages[1].tool_calls[0].function.arguments",
    ),
    ({"messages": [{"role": "user", "content": "a", "tool_calls": [1]}]}, "messages[0].tool_calls"),
    ({"messages": [*MESSAGES, {"role": "tool", "content": "a"}]}, "messages[1].tool_call_id"),
    ({"model": 5}, "model"),
    ({"model": "x" * 121}, "model"),
    ({"temperature": -0.1}, "temperature"),
    ({"temperature": 2.1}, "temperature"),
    ({"temperature": "1"}, "temperature"),
    ({"temperature": True}, "temperature"),
    ({"top_p": 1.1}, "top_p"),
    ({"top_p": []}, "top_p"),
    ({"seed": 1.5}, "seed"),
    ({"seed": 2**63}, "seed"),
    ({"stream": "true"}, "stream"),
    ({"stream": 1}, "stream"),
    ({"user": 5}, "user"),
    ({"user": "x" * 513}, "user"),
    ({"metadata": "a"}, "metadata"),
    ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
    ({"metadata": {"a": 5}}, "metadata.a"),
    ({"metadata": {"a": "x" * 513}}, "metadata.a"),
    ({"metadata": {"x" * 65: "a"}}, "metadata"),
    ({"reasoning_effort": "hard"}, "reasoning_effort"),
    ({"reasoning_effort": 5}, "reasoning_effort"),
    ({"stop": 5}, "stop"),
    ({"stop": ["a"] * 5}, "stop"),
    ({"stop": ["a", 5]}, "stop[1]"),
    ({"stop": [""]}, "stop[0]"),
    ({"stop": ""}, "stop[0]"),
    ({"tools": {}}, "tools"),
    ({"tools": _tool() * 129}, "tools"),
    ({"tools": ["look"]}, "tools[0]"),
    ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
    ({"tools": [{"type": "custom"}]}, "tools[0].custom"),
    ({"tools": [{"type": "custom", "custom": {}}]}, "tools[0].custom.name"),
    ({"tools": _custom(format={"type": "json"})}, "tools[0].custom.format.type"),
    ({"tools": _custom(format={"type": "grammar"})}, "tools[0].custom.format.grammar"),
    (
        {"tools": _custom(format={"type": "grammar", "grammar": {"syntax": "bnf", "definition": "x"}})},
        "tools[0].custom.format.grammar.syntax",
    ),
    (
        {"tools": _custom(format={"type": "grammar", "grammar": {"syntax": "lark"}})},
        "tools[0].custom.format.grammar.definition",
    ),
    ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ({"tools": _tool(name=None)}, "tools[0].function.name"),
    ({"tools": _tool(name="has space")}, "tools[0].function.name"),
    ({"tools": _tool(name="x" * 65)}, "tools[0].function.name"),
    ({"tools": _tool(name="x\n")}, "tools[0].function.name"),
    ({"tools": _tool() * 2}, "tools[1].function.name"),
    ({"tools": _tool(description=5)}, "tools[0].function.description"),
    ({"tools": _tool(parameters="none")}, "tools[0].function.parameters"),
    ({"tools": _tool(strict="yes")}, "tools[0].function.strict"),
    *(
        ({"tools": _tool(strict=True, parameters={name: value})}, f"tools[0].function.parameters.{name}{at}")
        for name, value, at in (
            ("properties", 5, ""),
            ("properties", {"a": 5}, ".a"),
            ("required", 5, ""),
            ("required", [5], ""),
            ("$defs", True, ""),
            ("items", {"description": 5}, ".description"),
            ("items", [{"format": []}], "[0].format"),
            ("anyOf", {}, ""),
            ("anyOf", [7], "[0]"),
            ("enum", "a", ""),
            ("type", 7, ""),
        )
    ),
    ({"tools": _tool(), "tool_choice": "always"}, "tool_choice"),
    ({"tools": _tool(), "tool_choice": 5}, "tool_choice"),
    ({"tools": _tool(), "tool_choice": {"type": "web_search"}}, "tool_choice.type"),
    ({"tools": _tool(), "tool_choice": {"type": "custom"}}, "tool_choice.custom"),
    ({"tools": _tool(), "tool_choice": {"type": "allowed_tools"}}, "tool_choice.allowed_tools"),
    ({"tools": _tool(), "tool_choice": _allowed("any", "look")}, "tool_choice.allowed_tools.mode"),
    ({"tools": _tool(), "tool_choice": _allowed("auto")}, "tool_choice.allowed_tools.tools"),
    ({"tools": _tool(), "tool_choice": _allowed("auto", "feel")}, "tool_choice.allowed_tools.tools"),
    ({"tools": _tool(), "tool_choice": {"type": "function"}}, "tool_choice.function"),
    ({"tools": _tool(), "tool_choice": {"type": "function", "function": {}}}, "tool_choice.function.name"),
    (
        {"tools": _tool(), "tool_choice": {"type": "function", "function": {"name": "other"}}},
        "tool_choice.function.name",
    ),
    ({"tool_choice": "required"}, "tool_choice"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "xml"}}, "response_format.type"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
        "response_format.json_schema.name",
    ),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": "b"}}},
        "response_format.json_schema.schema",
    ),
]
NATIVE: list[tuple[dict[str, Any], str]] = [
    ({"strategy": "cheapest"}, "strategy"),
    ({"strategy": 5}, "strategy"),
    ({"max_output_tokens": 0}, "max_output_tokens"),
    ({"max_output_tokens": 1.5}, "max_output_tokens"),
    ({"max_output_tokens": "512"}, "max_output_tokens"),
    ({"max_output_tokens": 10**30}, "max_output_tokens"),
    ({"stream_mode": "fast"}, "stream_mode"),
    ({"enhance_prompt": "yes"}, "enhance_prompt"),
    ({"test_mode": 1}, "test_mode"),
    ({"models": "gpt-5"}, "models"),
    ({"models": []}, "models"),
    ({"models": [5]}, "models[0]"),
    ({"models": ["gpt-4.1-mini"] * 101}, "models"),
    ({"fallback": "no"}, "fallback"),
    ({"max_cost_usd": -1}, "max_cost_usd"),
    ({"max_cost_usd": "0.01"}, "max_cost_usd"),
    ({"temprature": 1}, "temprature"),
    ({"max_tokens": 5}, "max_tokens"),
]
OPENAI: list[tuple[dict[str, Any], str]] = [
    ({"model": None}, "model"),
    ({"max_tokens": 0}, "max_tokens"),
    ({"max_completion_tokens": -1}, "max_completion_tokens"),
    ({"max_completion_tokens": "a"}, "max_completion_tokens"),
    ({"top_k": 0}, "top_k"),
    ({"presence_penalty": 3}, "presence_penalty"),
    ({"frequency_penalty": -3}, "frequency_penalty"),
    ({"logit_bias": {"50256": 101}}, "logit_bias.50256"),
    ({"logit_bias": []}, "logit_bias"),
    ({"n": 0}, "n"),
    ({"n": 129}, "n"),
    ({"n": "2"}, "n"),
    ({"logprobs": 5}, "logprobs"),
    ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ({"top_logprobs": 2}, "top_logprobs"),
    ({"stream_options": True}, "stream_options"),
    ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage"),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
    ({"verbosity": "chatty"}, "verbosity"),
    ({"service_tier": 5}, "service_tier"),
    ({"safety_identifier": 5}, "safety_identifier"),
    ({f"p{number}": 1 for number in range(51)}, "p10"),
    ({"x" * 101: 1}, "x" * 100),
    ({"functions": {}}, "functions"),
    ({"functions": [{"name": "a b"}]}, "functions[0].name"),
    ({"functions": [{"name": "a"}] * 2}, "functions"),
    ({"functions": [{"name": "a"}], "function_call": {}}, "function_call.name"),
    ({"functions": [{"name": "a"}], "function_call": {"name": "b"}}, "tool_choice.function.name"),
    ({"functions": [{"name": "a"}], "tools": _tool()}, "functions"),
]
TABLE = (
    [("native", *row) for row in BOTH + NATIVE] + [("openai", *row) for row in BOTH + OPENAI]
)  # fmt: skip


@pytest.mark.parametrize(("name", "sent", "field"), TABLE, ids=[f"{row[0]}-{row[2]}" for row in TABLE])
def test_an_invalid_field_is_named_before_any_call(
    http: Any, simulator: Simulator, name: str, sent: dict[str, Any], field: str
) -> None:
    door = Door(http, name)
    response = door.ask(**sent)
    assert response.status_code == 400, response.text
    assert door.code(response) == "validation_error"
    assert field in door.fields(response)
    assert simulator.calls() == []


def test_every_bad_field_is_listed(native: Door) -> None:
    messages = [{"role": "robot", "content": 5}]
    response = native.ask(messages=messages, temperature=9, stream="x", colour="red")
    expected = {"messages[0].role", "messages[0].content", "temperature", "stream", "colour"}
    assert set(native.fields(response)) == expected
    assert all(field["message"] for field in response.json()["error"]["details"])


@pytest.mark.parametrize("field", ["messages", "model"])
def test_a_missing_field_is_named(openai_door: Door, field: str) -> None:
    body = {name: value for name, value in openai_door.body().items() if name != field}
    response = openai_door.send(json.dumps(body).encode())
    assert (openai_door.code(response), openai_door.fields(response)) == ("validation_error", [field])


@OPENAI_SHAPED
@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "user", "content": ""}],
        [{"role": "system", "content": " \n"}, {"role": "user", "content": "\t"}],
        [{"role": "user", "content": []}],
        [{"role": "user", "content": [{"type": "text", "text": "  "}]}],
    ],
)
def test_empty_messages_have_a_code_of_their_own(door: Door, simulator: Simulator, messages: Any) -> None:
    response = door.ask(messages=messages)
    assert (response.status_code, door.code(response)) == (400, "empty_messages")
    assert simulator.calls() == []


@pytest.mark.parametrize("mode", ["auto", "", 5, [], {"a": 1}])
def test_a_wrong_mode_has_a_code_of_its_own(native: Door, mode: Any) -> None:
    response = native.ask(mode=mode)
    assert (response.status_code, native.code(response)) == (400, "invalid_mode")


@pytest.mark.parametrize(
    "fields", [{"mode": "manual"}, {"mode": "manual", "model": " "}, {"model": "gpt-99"}]
)
def test_manual_mode_needs_a_known_model(native: Door, simulator: Simulator, fields: dict[str, Any]) -> None:
    response = native.ask(**fields)
    assert (response.status_code, native.code(response)) == (400, "invalid_model")
    assert simulator.calls() == []


@pytest.mark.parametrize("model", ["gpt-99", "routeplex-ai:cheapest", ""])
def test_an_unknown_model_is_a_400_at_the_openai_door(openai_door: Door, model: str) -> None:
    response = openai_door.ask(model=model)
    assert (response.status_code, openai_door.code(response)) == (400, "invalid_model")
    assert openai_door.fields(response) == ["model"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-RoutePlex-Strategy", "cheapest"),
        ("X-RoutePlex-Strategy", ""),
        ("X-RoutePlex-Test-Mode", "maybe"),
        ("X-RoutePlex-Enhance", "1"),
        ("X-RoutePlex-Fallback", "no"),
        ("X-RoutePlex-Models", ","),
        ("X-RoutePlex-Max-Cost-USD", "cheap"),
        ("X-RoutePlex-Max-Cost-USD", "-1"),
        ("X-RoutePlex-Max-Cost-USD", "nan"),
        ("X-RoutePlex-Max-Cost-USD", "inf"),
        ("Idempotency-Key", "x" * 256),
    ],
)
def test_a_bad_steering_header_is_named(
    openai_door: Door, simulator: Simulator, header: str, value: str
) -> None:
    response = openai_door.ask(headers={header: value})
    assert (response.status_code, openai_door.code(response)) == (400, "validation_error")
    assert openai_door.fields(response) == [header]
    assert simulator.calls() == []


BODIES = {
    "nothing": b"",
    "blanks": b"  \n",
    "one byte": b"{",
    "not JSON": b"messages=Hello",
    "a list": b"[]",
    "a string": b'"Hello"',
    "null": b"null",
    "NaN": b'{"messages": NaN}',
    "infinity": b'{"messages": [], "temperature": Infinity}',
    "1e400": b'{"messages": [{"role": "user", "content": "a"}], "temperature": 1e400}',
    "5,000 digits": b'{"messages": [], "seed": ' + b"9" * 5000 + b"}",
    "invalid UTF-8": b'{"messages": [{"role": "user", "content": "\xff"}]}',
    "an encoded surrogate": b'{"messages": [{"role": "user", "content": "\xed\xa0\x80"}]}',
    "a lone surrogate": b'{"messages": [{"role": "user", "content": "\\ud800"}]}',
    "a lone low surrogate": b'{"messages": [{"role": "user", "content": "\\udc00"}]}',
    "a raw NUL": b'{"messages": [{"role": "user", "content": "\x00"}]}',
    "deep nesting": b'{"messages": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "deep objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "nesting the decoder still takes": b'{"tools": ' + b"[" * 200 + b"]" * 200 + b"}",
    "UTF-16": json.dumps({"messages": MESSAGES}).encode("utf-16"),
}


@pytest.mark.parametrize("content", BODIES.values(), ids=BODIES.keys())
def test_a_broken_body_is_a_bad_request(door: Door, simulator: Simulator, content: bytes) -> None:
    response = door.send(content)
    assert (response.status_code, door.code(response)) == (400, "bad_request")
    assert simulator.calls() == []


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_another_content_type_is_a_bad_request(door: Door, kind: str) -> None:
    response = door.send(json.dumps(door.body()).encode(), {"Content-Type": kind})
    assert (response.status_code, door.code(response)) == (400, "bad_request")
    assert kind in response.json()["error"]["message"]


def test_json_with_a_charset_or_a_suffix_is_welcome(door: Door) -> None:
    for kind in ("application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"):
        assert door.send(json.dumps(door.body()).encode(), {"Content-Type": kind}).status_code == 200


def test_of_duplicate_names_the_last_counts(native: Door) -> None:
    response = native.send(b'{"messages": [], "messages": [{"role": "user", "content": "Hello"}]}')
    assert response.status_code == 200


def test_a_body_over_the_limit_is_too_large(door: Door, simulator: Simulator) -> None:
    from django.conf import settings

    response = door.send(b" " * (settings.MAX_BODY_BYTES + 1))
    assert (response.status_code, door.code(response)) == (413, "payload_too_large")
    assert simulator.calls() == []


def test_a_hundred_thousand_messages_are_refused(door: Door) -> None:
    response = door.ask(messages=MESSAGES * 100_000)
    assert (response.status_code, door.code(response)) == (400, "validation_error")


@pytest.mark.parametrize("where", ["user", "metadata", "name"])
def test_a_nul_anywhere_is_named(native: Door, where: str) -> None:
    fields: dict[str, Any] = {
        "user": {"user": "a\0"},
        "metadata": {"metadata": {"team": "\0"}},
        "name": {"metadata": {"te\0am": "x"}},
    }[where]
    response = native.ask(**fields)
    assert native.code(response) == "validation_error"
    assert native.fields(response)[0].startswith("user" if where == "user" else "metadata")


def test_an_escaped_backslash_is_no_nul(native: Door) -> None:
    assert native.ask(messages=[{"role": "user", "content": "Explain \\u0000 in C"}]).status_code == 200


@OPENAI_SHAPED
def test_null_counts_as_absent(door: Door) -> None:
    nulls = dict.fromkeys(
        ["temperature", "top_p", "seed", "stop", "stream", "tools", "tool_choice", "response_format", "user"]
    )
    assert door.ask(**nulls, metadata=None, reasoning_effort=None).status_code == 200
