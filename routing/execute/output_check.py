"""Checks whether an answer's text and tool calls match the requested schemas; stores none of them.

Schemas come from callers and text from models, so both may be hostile: no reference is fetched, patterns run
in linear time (RE2) or not at all, and an answer that takes too many steps is not judged.
"""

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import msgspec
import re2
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    RefusalDelta,
    ResponseFormat,
    StreamEvent,
    TextDelta,
    Tool,
    ToolCallDelta,
)
from routing.language.fidelity import Output

MOST_CHARS = 200_000  # of the answer, and of the schema
MOST_STEPS = 5000  # keywords evaluated
MOST_S = 0.05  # of processor time: the event loop waits meanwhile
MOST_PATTERN, MOST_MATCHED = 1000, 2000  # characters of a pattern, and of the text it runs on
NOT_JSON, NO_TOOL = "not JSON", "no such tool"
_UNJUDGED = ("unevaluatedProperties", "unevaluatedItems")  # their cost grows with the square of the answer


class OutputCheck:
    """`note` each event that reaches the caller, then `verdict()`."""

    def __init__(self, request: ChatRequest) -> None:
        requested = request.response_format
        self._format = requested if requested is not None and requested.kind != "text" else None
        self._tools = {tool.name: tool for tool in request.tools}
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[tuple[int, int], tuple[str, list[str]]] = {}  # by choice and index
        self._ends: dict[int, FinishReason] = {}
        self._refused = False

    def note(self, event: StreamEvent) -> None:
        if self._format is None and not self._tools:
            return
        match event:
            case TextDelta() if self._format is not None:
                self._texts.setdefault(event.choice, []).append(event.text)
            case ToolCallDelta():
                place = (event.choice, event.index)
                self._calls.setdefault(place, (event.name or "", []))[1].append(event.arguments)
            case Finished():
                self._ends[event.choice] = event.reason
            case RefusalDelta():
                self._refused = True

    def verdict(self) -> Output | None:
        """None: no form was requested, or the answer cannot be judged (cut, refused, too long)."""
        ends = self._ends.values()
        if self._refused or any(end not in (FinishReason.STOP, FinishReason.TOOL_CALLS) for end in ends):
            return None
        texts = [
            "".join(self._texts.get(choice, ()))
            for choice, end in self._ends.items()
            if self._format is not None and end is FinishReason.STOP
        ]
        calls = [(name, "".join(pieces)) for (choice, _), (name, pieces) in self._calls.items()]
        if not texts and not calls:
            return None
        if sum(map(len, texts)) + sum(len(arguments) for _, arguments in calls) > MOST_CHARS:
            return None
        outputs = [fault_of(text, self._format) for text in texts if self._format is not None]
        outputs += [fault_of_call(arguments, self._tools.get(name)) for name, arguments in calls]
        if any(output is None for output in outputs):
            return None
        return next((output for output in outputs if output is not None and not output.valid), Output(True))


def fault_of_call(arguments: str, tool: Tool | None) -> Output | None:
    """Judge a call's arguments by the tool's schema; None: not judged. A custom tool takes any free text."""
    if tool is None:
        return Output(False, NO_TOOL)
    if tool.is_custom:
        return Output(True)
    try:
        value = msgspec.json.decode(arguments.strip() or "{}")
    except (ValueError, RecursionError):
        return Output(False, NOT_JSON, tool.name)
    output = _fits(value, tool.parameters) if isinstance(value, dict) else Output(False, "type")
    if output is None or output.valid:
        return output
    return msgspec.structs.replace(output, call=tool.name)


def fault_of(text: str, requested: ResponseFormat) -> Output | None:
    """Judge a text by the requested format; None: not judged."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Output(False, NOT_JSON)
    if requested.kind == "json_object":
        return Output(True) if isinstance(value, dict) else Output(False, "type")
    return _fits(value, requested.schema)


def _fits(value: Any, schema: dict[str, Any] | None) -> Output | None:
    if not schema:
        return Output(True)
    if len(msgspec.json.encode(schema)) > MOST_CHARS:
        return None
    try:
        error = next(_validator(schema).iter_errors(value), None)
    except (_TooLong, Unresolvable, RecursionError):
        return None
    except Exception:  # an invalid schema: jsonschema raises all kinds of errors for those
        return None
    return Output(True) if error is None else Output(False, str(error.validator))


class _TooLong(Exception):
    """Judging the answer would take too many steps, or a regular expression engine without a time bound."""


_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]


def _validator(schema: dict[str, Any]) -> Any:
    left, until = (
        MOST_STEPS,
        math.inf,
    )  # time counts from the first keyword on, not from building the validator

    def counted(keyword: _Keyword) -> _Keyword:
        def check(validator: Any, value: Any, instance: Any, whole: Mapping[str, Any]) -> Any:
            nonlocal left, until
            if left == MOST_STEPS:
                until = time.thread_time() + MOST_S
            left -= 1
            # Beside patternProperties, additionalProperties runs its patterns with Python's own engine.
            if left < 0 or "patternProperties" in whole or time.thread_time() > until:
                raise _TooLong
            return keyword(validator, value, instance, whole) or ()

        return check

    known = Draft202012Validator.VALIDATORS.items()
    judged = {
        name: counted(keyword) for name, keyword in [*known, *_REPLACED.items()] if name not in _UNJUDGED
    }
    unjudged = dict.fromkeys(_UNJUDGED, _accept)
    kind = validators.extend(Draft202012Validator, judged | unjudged)
    return kind(schema, registry=Registry())


def _accept(*_: Any) -> tuple[()]:
    return ()


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """A pattern that RE2 cannot run (look-around, back references) is not judged."""
    if not isinstance(instance, str) or not isinstance(pattern, str) or len(pattern) > MOST_PATTERN:
        return
    if len(instance) > MOST_MATCHED:
        raise _TooLong
    with contextlib.suppress(re2.error):
        if re2.search(pattern, instance, _QUIET) is None:
            yield ValidationError("pattern")


def _format(_validator: Any, name: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    parse = _FORMATS.get(name) if isinstance(name, str) else None
    if parse is not None and isinstance(instance, str):
        try:
            parse(instance)
        except ValueError:
            yield ValidationError("format")


def _unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if wanted is not True or not isinstance(instance, list):
        return
    distinct = {msgspec.json.encode(_plain(item), order="deterministic") for item in instance}
    if len(distinct) < len(instance):
        yield ValidationError("uniqueItems")


def _plain(value: Any) -> Any:
    """The value with numbers that are equal in JSON in the same notation."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _instant(text: str) -> None:
    """RFC 3339: a day, a time and an offset."""
    text = text.upper().replace(":60", ":59")  # a leap second
    if "T" not in text or datetime.fromisoformat(text).tzinfo is None:
        raise ValueError


def _day(text: str) -> None:
    if _DAY.fullmatch(text) is None:
        raise ValueError
    date.fromisoformat(text)


def _identifier(text: str) -> None:
    if _UUID.fullmatch(text) is None:
        raise ValueError


def _mail(text: str) -> None:
    if _MAIL.fullmatch(text) is None:
        raise ValueError


_MAIL = re.compile(r"[^@\s]+@[^@\s]+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_QUIET = re2.Options()
_QUIET.log_errors = False
_QUIET.max_mem = 1 << 18  # bytes per pattern; re2 caches 128 compiled ones
_FORMATS: dict[str, Callable[[str], object]] = {
    "date": _day,
    "date-time": _instant,
    "email": _mail,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "uuid": _identifier,
}
_REPLACED: dict[str, _Keyword] = {"pattern": _pattern, "format": _format, "uniqueItems": _unique}
