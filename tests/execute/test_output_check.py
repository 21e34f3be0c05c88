"""An answer's JSON form is judged: right, wrong, or not at all where that could take forever."""

import json
import time
from typing import Any

import pytest

from routing.execute.output_check import MOST_CHARS, NO_TOOL, NOT_JSON, OutputCheck, fault_of, fault_of_call
from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    RefusalDelta,
    ResponseFormat,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from routing.language.fidelity import Output

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "size": {"enum": [1, 2]}},
    "required": ["city"],
    "additionalProperties": False,
}


def wanted(schema: Any = CITY) -> ResponseFormat:
    return ResponseFormat("json_schema", "x", schema=schema)


@pytest.mark.parametrize(
    ("text", "output"),
    [
        ('{"city": "Oslo", "size": 2}', Output(True)),
        ('{"city": 5}', Output(False, "type")),
        ("{}", Output(False, "required")),
        ('{"city": "Oslo", "size": 3}', Output(False, "enum")),
        ('{"city": "Oslo", "x": 1}', Output(False, "additionalProperties")),
        ('```json\n{"city": "Oslo"}\n```', Output(False, NOT_JSON)),
        ("", Output(False, NOT_JSON)),
    ],
)
def test_an_answer_is_held_to_its_schema(text: str, output: Output) -> None:
    assert fault_of(text, wanted()) == output


def test_a_json_object_is_any_object() -> None:
    form = ResponseFormat("json_object")
    assert fault_of('{"a": 1}', form) == Output(True)
    assert fault_of("[1]", form) == Output(False, "type")


def many_patterns(count: int) -> dict[str, Any]:
    """Each is slow for a text that ends in no b."""
    return {"allOf": [{"pattern": f"(?:{n})?[ab]*a[ab]{{400}}$|[ab]*"} for n in range(count)]}


def refs(depth: int) -> dict[str, Any]:
    """Each definition holds the next one twice: 2^depth steps."""
    definitions: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(depth)
    }
    return {"$ref": "#/$defs/d0", "$defs": definitions | {f"d{depth}": {"type": "object"}}}


@pytest.mark.parametrize(
    ("schema", "text", "output"),
    [
        (refs(40), "{}", None),
        ({"$ref": "http://127.0.0.1:9/secret"}, "{}", None),
        ({"$ref": "#/$defs/absent"}, "{}", None),
        ({"$ref": "#"}, "{}", None),
        ({"type": 7}, "{}", None),
        ({"type": "string", "pattern": "^(a+)+$"}, '"' + "a" * 1900 + '!"', Output(False, "pattern")),
        ({"type": "string", "pattern": "^(a+)+$"}, '"' + "a" * 40_000 + '!"', None),
        (many_patterns(2000), '"' + "ab" * 990 + '"', None),
        ({"properties": {str(n): {} for n in range(100_000)}}, "{}", None),
        ({"type": "string", "pattern": "(a{900}){900}"}, '"aa"', Output(True)),
        ({"type": "string", "pattern": "(?=a)b|(a)\\1"}, '"c"', Output(True)),
        ({"type": "string", "pattern": "x" * 2000}, '"c"', Output(True)),
        ({"patternProperties": {"(a+)+$": False}}, '{"' + "a" * 40 + '!": 1}', None),
        (
            {"patternProperties": {"(a+)+$": {}}, "additionalProperties": False},
            '{"' + "a" * 40 + '!": 1}',
            None,
        ),
        ({"type": "array", "uniqueItems": True}, "[" + "{}," * 30_000 + "{}]", Output(False, "uniqueItems")),
        ({"items": {"type": "integer"}}, "[" + "1," * 50_000 + "1]", None),
    ],
    ids=["doubling", "remote", "absent", "endless", "no schema", "pattern", "long text",
         "many patterns", "long schema",
         "vast", "looks around", "long pattern", "names", "other names", "unique",
         "long"],
)  # fmt: skip
def test_a_hostile_schema_takes_no_time(schema: Any, text: str, output: Output | None) -> None:
    began = time.perf_counter()
    assert fault_of(text, wanted(schema)) == output
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize(
    ("schema", "good", "wrong"),
    [
        ({"pattern": "^[A-Z]{2}$"}, ["NO", "SE"], ["no", "NOR"]),
        ({"format": "date"}, ["2026-11-26"], ["2026-13-01", "20261126", "2024-W01-1", "today"]),
        ({"format": "date-time"}, ["2026-11-26T10:00:00Z", "2026-11-26t10:00:00.5+01:00",
          "2026-06-30T23:59:60Z"],
         ["2026-11-26T10:00:00", "2026-11-26", "noon"]),
        ({"format": "email"}, ["a@b.example"], ["a b@c", "nobody"]),
        ({"format": "ipv4"}, ["192.0.2.1"], ["192.0.2.256"]),
        ({"format": "ipv6"}, ["2001:db8::1"], ["192.0.2.1"]),
        ({"format": "uuid"}, ["12345678-1234-4234-8234-123456789abc"],
         ["1234", "{12345678-1234-4234-8234-123456789abc}"]),
        ({"format": "hostname"}, ["-"], []),
        ({"uniqueItems": True}, [[1, 2], [True, 1], [0, False], [{"a": 1}, {"a": 2}]],
         [[1, 1.0], [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [[1.0], [1]]]),
        ({"uniqueItems": False}, [[1, 1]], []),
    ],
)  # fmt: skip
def test_patterns_formats_and_repetitions_are_judged(schema: Any, good: list[Any], wrong: list[Any]) -> None:
    for value in good:
        assert fault_of(json.dumps(value), wanted(schema)) == Output(True), value
    (keyword,) = schema
    for value in wrong:
        assert fault_of(json.dumps(value), wanted(schema)) == Output(False, keyword), value


TOOL = Tool("look", None, CITY)


@pytest.mark.parametrize(
    ("tool", "arguments", "output"),
    [
        (TOOL, '{"city": "Oslo"}', Output(True)),
        (TOOL, '{"city": 5}', Output(False, "type", "look")),
        (TOOL, "", Output(False, "required", "look")),
        (TOOL, '{"city": "Oslo"', Output(False, NOT_JSON, "look")),
        (Tool("look"), "", Output(True)),
        (Tool("look"), "[1]", Output(False, "type", "look")),
        (Tool("look", None, {"required": ["city"]}), "5", Output(False, "type", "look")),
        (Tool("look", is_custom=True), "SELECT 1", Output(True)),
        (None, "{}", Output(False, NO_TOOL)),
    ],
)
def test_a_call_is_held_to_its_tool(tool: Tool | None, arguments: str, output: Output) -> None:
    assert fault_of_call(arguments, tool) == output


def checked(*events: Any, form: ResponseFormat | None = None, tools: tuple[Tool, ...] = ()) -> Output | None:
    check = OutputCheck(ChatRequest((), response_format=form or wanted(), tools=tools))
    for event in events:
        check.note(event)
    return check.verdict()


def test_the_pieces_of_each_choice_are_judged_together() -> None:
    end, other = Finished(FinishReason.STOP), Finished(FinishReason.STOP, 1)
    assert checked(TextDelta('{"city":'), TextDelta('"Oslo"}'), end) == Output(True)
    both = (TextDelta('{"city":"Oslo"}'), TextDelta("no", 1), end, other)
    assert checked(*both) == Output(False, NOT_JSON)


def test_the_pieces_of_each_call_are_judged_together() -> None:
    end = Finished(FinishReason.TOOL_CALLS)
    first = (ToolCallDelta(0, "a", "look", '{"city":'), ToolCallDelta(0, arguments='"Oslo"}'))
    assert checked(*first, end, tools=(TOOL,)) == Output(True)
    second = ToolCallDelta(1, "b", "look", '{"city":1}')
    assert checked(*first, second, end, tools=(TOOL,)) == Output(False, "type", "look")
    events = (TextDelta("Let me look."), *first, end)
    assert checked(*events, tools=(TOOL,)) == Output(True), "text before a call is not judged"


def test_incomplete_answers_are_not_judged() -> None:
    assert checked(TextDelta("{"), Finished(FinishReason.LENGTH)) is None
    assert checked(Finished(FinishReason.TOOL_CALLS)) is None
    assert checked(RefusalDelta("No."), Finished(FinishReason.STOP)) is None
    assert checked(TextDelta("x" * (MOST_CHARS + 1)), Finished(FinishReason.STOP)) is None
    assert checked(TextDelta("Hi"), Finished(FinishReason.STOP), form=ResponseFormat("text")) is None
    assert checked(TextDelta("{}")) is None
