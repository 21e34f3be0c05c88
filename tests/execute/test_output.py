"""An answer's JSON form is judged: right, wrong, or not at all where that could take forever."""

import time
from typing import Any

import pytest

from routing.chat import Finished, FinishReason, RefusalDelta, ResponseFormat, TextDelta
from routing.execute.output import MOST_CHARS, NOT_JSON, OutputCheck, fault_of
from routing.fidelity import Output

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
        ({"type": "string", "pattern": "(a+)+$"}, '"' + "a" * 40 + '!"', Output(True)),
        ({"patternProperties": {"(a+)+$": False}}, '{"' + "a" * 40 + '!": 1}', None),
        (
            {"patternProperties": {"(a+)+$": {}}, "additionalProperties": False},
            '{"' + "a" * 40 + '!": 1}',
            None,
        ),
        ({"type": "array", "uniqueItems": True}, "[" + "{}," * 30_000 + "{}]", Output(True)),
        ({"items": {"type": "integer"}}, "[" + "1," * 50_000 + "1]", None),
    ],
    ids=["doubling", "remote", "absent", "endless", "no schema", "pattern", "names", "other names", "unique",
         "long"],
)  # fmt: skip
def test_a_hostile_schema_takes_no_time(schema: Any, text: str, output: Output | None) -> None:
    began = time.perf_counter()
    assert fault_of(text, wanted(schema)) == output
    assert time.perf_counter() - began < 1


def checked(*events: Any, form: ResponseFormat | None = None) -> Output | None:
    check = OutputCheck(form or wanted())
    for event in events:
        check.note(event)
    return check.verdict()


def test_the_pieces_of_each_choice_are_judged_together() -> None:
    end, other = Finished(FinishReason.STOP), Finished(FinishReason.STOP, 1)
    assert checked(TextDelta('{"city":'), TextDelta('"Oslo"}'), end) == Output(True)
    both = (TextDelta('{"city":"Oslo"}'), TextDelta("no", 1), end, other)
    assert checked(*both) == Output(False, NOT_JSON)


def test_what_is_no_answer_is_not_judged() -> None:
    assert checked(TextDelta("{"), Finished(FinishReason.LENGTH)) is None
    assert checked(Finished(FinishReason.TOOL_CALLS)) is None
    assert checked(RefusalDelta("No."), Finished(FinishReason.STOP)) is None
    assert checked(TextDelta("x" * (MOST_CHARS + 1)), Finished(FinishReason.STOP)) is None
    assert checked(TextDelta("Hi"), Finished(FinishReason.STOP), form=ResponseFormat("text")) is None
    assert checked(TextDelta("{}")) is None
