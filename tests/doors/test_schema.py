"""The walk that explains a rejection gives the same verdict as msgspec and the parsers, on any body."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ApiError
from routing.doors.anthropic_messages import (
    parse_messages as messages_parse,
)
from routing.doors.anthropic_messages import (
    parse_options as messages_parse_options,
)
from routing.doors.anthropic_messages import (
    schema as messages_schema,
)
from routing.doors.openai_chat import schema as openai_schema
from routing.doors.openai_responses import (
    parse_input as responses_parse,
)
from routing.doors.openai_responses import (
    parse_options as responses_parse_options,
)
from routing.doors.openai_responses import (
    schema as responses_schema,
)
from routing.doors.resources import schema as resources_schema
from routing.doors.resources.enhancement import Enhance
from routing.doors.resources.estimates import Estimate
from routing.doors.shared import fields
from routing.doors.shared.field_errors import FieldErrors
from routing.doors.shared.native import schema as native_schema
from routing.doors.shared.openai_messages import mark_at, messages
from routing.doors.shared.openai_tools import (
    function_call,
    functions,
    response_format,
    stop,
    tool_choice,
    tools,
)
from routing.language.errors import ValidationError

NUMBERS = [
    -3,
    -2.0,
    -1,
    0,
    0.5,
    1,
    1.0,
    2,
    2.5,
    4,
    20,
    21,
    100,
    129,
    10**6,
    10**6 + 1,
    2**63 - 1,
    2**63,
    10**30,
]
NAMES = [
    "auto",
    "cost",
    "low",
    "max",
    "none",
    "buffered",
    "realtime",
    "manual",
    "required",
    "x" * 120,
    "x" * 121,
]
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(NAMES),
    st.text(max_size=5),
    st.integers(),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.sampled_from(["a", "type", "include_usage", "role", "content", "x" * 65]), inner)
    ),
    max_leaves=8,
)
GOOD_MESSAGES = [{"role": "user", "content": "Hello"}]
CHATS: list[Any] = [native_schema.NativeChat, openai_schema.OpenAIChat]


def _is_explained(struct: Any, body: dict[str, Any]) -> bool:
    """Return whether the walk over the type information finds a fault in the body."""
    errors = FieldErrors()
    with suppress(ValidationError):  # raised at the last fault that is listed
        fields.check(body, struct, errors)
    assert all(error["field"] and error["message"] for error in errors.details)
    return bool(errors.details)


def _accepted(struct: Any, body: dict[str, Any]) -> bool:
    """Return whether msgspec takes the body and the parsers take its `Any` fields."""
    try:
        sent = msgspec.convert(body, struct)
    except msgspec.ValidationError:
        return False
    errors = FieldErrors()
    try:
        return _parsers_accept(sent, errors)
    except ValidationError:
        return False


def _parsers_accept(sent: Any, errors: FieldErrors) -> bool:
    messages(sent.messages, errors)
    for read, name in ((tools, "tools"), (tool_choice, "tool_choice"), (stop, "stop")):
        read(getattr(sent, name), errors)
    if getattr(sent, "functions", None) is not None:
        functions(sent.functions, errors)
    function_call(getattr(sent, "function_call", None), errors)
    response_format(sent.response_format, errors)
    mark_at(getattr(sent, "cache_control", None), errors, "cache_control")
    return not errors.details


TOOLS = [{"type": "function", "name": "look"}]
EDGES = [
    None, True, False, "", " ", "5", "true", "é", [], [5], ["a"], [None], {}, {"a": 5}, {"a": "b"},
    {"a": None}, {"x" * 65: "a"}, {"a": "x" * 513}, {"include_usage": 1}, {"include_usage": None}, "x" * 33,
    "x" * 513, ["x" * 121], ["a"] * 101, {str(n): "x" for n in range(17)}, *NUMBERS, *NAMES,
]  # fmt: skip


@pytest.mark.parametrize("struct", CHATS)
def test_decoding_and_explanation_agree_on_each_field(struct: Any) -> None:
    for name in struct.__struct_fields__:
        for value in EDGES:
            body = {"messages": GOOD_MESSAGES, "model": "auto", name: value}
            assert _is_explained(struct, body) is not _accepted(struct, body), (name, value)


@pytest.mark.parametrize("struct", CHATS)
@given(data=st.data())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_decoding_and_explanation_agree(struct: Any, data: Any) -> None:
    names = st.sampled_from([*struct.__struct_fields__, "unknown"])
    sent = data.draw(st.dictionaries(names, VALUES, max_size=4))
    body = {"messages": GOOD_MESSAGES, "model": "auto"} | sent
    assert _is_explained(struct, body) is not _accepted(struct, body)


PLAIN: list[tuple[Any, dict[str, Any]]] = [
    (resources_schema.Feedback, {"request_id": "req_1"}),
    (resources_schema.Rating, {"request_id": "req_1", "rating": 3}),
    (Enhance, {"prompt": "fix my code"}),
    (Estimate, {"messages": []}),
]


@pytest.mark.parametrize(("struct", "least"), PLAIN)
@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_decoding_and_explanation_agree_on_plain_bodies(
    struct: Any, least: dict[str, Any], data: Any
) -> None:
    names = st.sampled_from([*(set(struct.__struct_fields__) - {"messages"}), "unknown"])
    sent = data.draw(st.dictionaries(names, VALUES | st.sampled_from(EDGES), max_size=3))
    body = least | sent
    for name in data.draw(_ABSENCES):
        body.pop(name, None)
    try:
        msgspec.convert(body, struct)
        accepted = True
    except msgspec.ValidationError:
        accepted = False
    assert _is_explained(struct, body) is not accepted


_ABSENCES = st.lists(st.sampled_from(["request_id", "rating", "prompt", "messages"]), max_size=1)


@pytest.mark.parametrize(
    "struct",
    [
        native_schema.NativeChat,
        openai_schema.OpenAIChat,
        responses_schema.Responses,
        messages_schema.Messages,
    ],
)
@pytest.mark.parametrize("body", [None, [], "a", 5])
def test_a_body_that_is_no_object_is_explained(struct: Any, body: Any) -> None:
    with pytest.raises(ValidationError, match="Must be an object"):
        fields.convert(body, struct)


def test_bounds_are_in_the_explanation() -> None:
    body = {
        "messages": GOOD_MESSAGES,
        "model": "x" * 121,
        "temperature": 3,
        "max_output_tokens": 0,
        "max_cost_usd": 10**400,
        "models": [],
        "metadata": {"k" * 65: "v", "a": "v" * 513},
        "stream_mode": "fast",
        "colour": "red",
    }
    with pytest.raises(ValidationError) as caught:
        native_schema.parse(body)
    assert [(error["field"], error["message"]) for error in caught.value.details] == [
        ("colour", "There is no such field."),
        ("model", "Must have at most 120 characters."),
        ("max_output_tokens", "Must be between 1 and 1000000."),
        ("temperature", "Must be between 0 and 2."),
        ("stream_mode", "Must be one of: buffered, realtime."),
        ("metadata", f"The key {'k' * 20!r}… is too long. Must have at most 64 characters."),
        ("metadata.a", "Must have at most 512 characters."),
        ("models", "Must have between 1 and 100 items."),
        ("max_cost_usd", "Is out of range."),
    ]


def test_the_responses_door_knows_the_other_apis_parameters() -> None:
    chat, responses = openai_schema.OpenAIChat, responses_schema.Responses
    only_chat = set(chat.__struct_fields__) - set(responses.__struct_fields__)
    assert only_chat == responses_schema.CHAT_PARAMETERS


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_the_parsers_never_fail_and_name_the_field(value: Any) -> None:
    for read in (messages, tools, tool_choice, stop, response_format):
        errors = FieldErrors()
        read(value, errors)
        assert all(error["field"].startswith(read.__name__) and error["message"] for error in errors.details)


@pytest.mark.parametrize(
    ("parse", "struct", "least"),
    [
        (messages_schema.parse, messages_schema.Messages, {"messages": GOOD_MESSAGES, "max_tokens": 64}),
        (messages_schema.parse_count, messages_schema.Count, {"messages": GOOD_MESSAGES}),
        (responses_schema.parse, responses_schema.Responses, {"input": "Hello", "tools": TOOLS}),
    ],
)
def test_parser_and_explanation_agree_on_each_field(parse: Any, struct: Any, least: dict[str, Any]) -> None:
    """They differ only where fields must fit each other, which no value here does."""
    for name in [*struct.__struct_fields__, "unknown"]:
        for value in EDGES:
            body = {"model": "auto"} | least | {name: value}
            try:
                parse(body, {})
                accepted = True
            except ValidationError:
                accepted = False
            except ApiError:  # in a door's own words
                continue
            assert _is_explained(struct, body) is not accepted, (name, value)


BLOCK_TYPES = [
    "text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking", "base64", "url",
    "content", "enabled", "adaptive", "tool", "json_schema", "custom", "message", "function_call",
    "function_call_output", "reasoning", "input_text", "input_image", "input_file", "output_text", "function",
]  # fmt: skip
BLOCK_FIELDS = [
    "role", "content", "text", "source", "media_type", "data", "url", "title", "context", "citations", "id",
    "name", "input", "tool_use_id", "is_error", "thinking", "signature", "budget_tokens", "display", "effort",
    "format", "schema", "input_schema", "strict", "cache_control", "user_id", "call_id", "arguments",
    "output", "summary", "encrypted_content", "image_url", "detail", "file_data", "file_url", "filename",
    "parameters", "verbosity", "extra_content", "disable_parallel_tool_use",
]  # fmt: skip
LEAVES = SCALARS | st.sampled_from(
    ["user", "assistant", "system", "rp1.", "rp1.WzFd", "data:image/png;base64,"]
)
BLOCKS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.builds(
            lambda kind, rest: {"type": kind} | rest,
            st.sampled_from(BLOCK_TYPES),
            st.dictionaries(st.sampled_from(BLOCK_FIELDS), inner, max_size=5),
        )
        | st.dictionaries(st.sampled_from(BLOCK_FIELDS), inner, max_size=5)
    ),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "read",
    [
        messages_parse.messages,
        messages_parse.system,
        messages_parse_options.tools,
        messages_parse_options.tool_choice,
        messages_parse_options.thinking,
        messages_parse_options.output_config,
        messages_parse_options.user,
        messages_parse_options.stops,
        responses_parse.items,
        responses_parse_options.tools,
        responses_parse_options.tool_choice,
        responses_parse_options.text_settings,
        responses_parse_options.reasoning,
        responses_parse_options.include,
    ],
)
@given(value=BLOCKS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_other_doors_parsers_never_fail_and_name_the_field(read: Any, value: Any) -> None:
    messages = [[{"role": role, "content": [value]}] for role in ("user", "assistant")]
    for sent in (value, [value], *messages):
        errors = FieldErrors()
        read(sent, errors, "there")
        assert all(error["field"].startswith("there") and error["message"] for error in errors.details)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("max_tokens", "max_output_tokens"),
        ("max_completion_tokens", "max_output_tokens"),
        ("temprature", "temperature"),
        ("prompt", "messages"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(ValidationError) as caught:
        native_schema.parse({"messages": GOOD_MESSAGES, name: 5})
    assert caught.value.details[0]["message"] == f"There is no such field. Did you mean {meant}?"
