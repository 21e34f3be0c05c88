"""Judges whether an answer's text and tool calls have the forms asked for; nothing of them is kept.

The schemas are the caller's and the words a model's, so both are hostile: no reference is fetched, patterns
run in linear time (RE2) or not at all, and an answer that takes too many steps is not judged.
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
MOST_STEPS = 5000  # keywords looked at
MOST_S = 0.05  # of the processor: the event loop waits meanwhile
MOST_PATTERN, MOST_MATCHED = 1000, 2000  # characters of a pattern that is run, and of the text it is run on
NOT_JSON, NO_TOOL = "not JSON", "no such tool"
_UNJUDGED = ("unevaluatedProperties", "unevaluatedItems")  # they search with the square of the answer


class OutputCheck:
    """`note` each event that reaches the caller, then `verdict()`."""

    def __init__(self, request: ChatRequest) -> None:
        wanted = request.response_format
        self._wanted = wanted if wanted is not None and wanted.kind != "text" else None
        self._tools = {tool.name: tool for tool in request.tools}
        self._texts: dict[int, list[str]] = {}
        self._calls: dict[tuple[int, int], tuple[str, list[str]]] = {}  # by choice and index
        self._ends: dict[int, FinishReason] = {}
        self._refused = False

    def note(self, event: StreamEvent) -> None:
        if self._wanted is None and not self._tools:
            return
        match event:
            case TextDelta() if self._wanted is not None:
                self._texts.setdefault(event.choice, []).append(event.text)
            case ToolCallDelta():
                place = (event.choice, event.index)
                self._calls.setdefault(place, (event.name or "", []))[1].append(event.arguments)
            case Finished():
                self._ends[event.choice] = event.reason
            case RefusalDelta():
                self._refused = True

    def verdict(self) -> Output | None:
        """None: nothing was asked for, or there is none to judge (cut, refused, too long)."""
        ends = self._ends.values()
        if self._refused or any(end not in (FinishReason.STOP, FinishReason.TOOL_CALLS) for end in ends):
            return None
        texts = [
            "".join(self._texts.get(choice, ()))
            for choice, end in self._ends.items()
            if self._wanted is not None and end is FinishReason.STOP
        ]
        calls = [(name, "".join(pieces)) for (choice, _), (name, pieces) in self._calls.items()]
        if not texts and not calls:
            return None
        if sum(map(len, texts)) + sum(len(arguments) for _, arguments in calls) > MOST_CHARS:
            return None
        outputs = [fault_of(text, self._wanted) for text in texts if self._wanted is not None]
        outputs += [fault_of_call(arguments, self._tools.get(name)) for name, arguments in calls]
        if any(one is None for one in outputs):
            return None
        return next((one for one in outputs if one is not None and not one.valid), Output(True))


def fault_of_call(arguments: str, tool: Tool | None) -> Output | None:
    """Whether the arguments are what the tool takes; None: not judged. Free text is as good as any other."""
    if tool is None:
        return Output(False, NO_TOOL)
    if tool.is_custom:
        return Output(True)
    try:
        value = msgspec.json.decode(arguments.strip() or "{}")
    except (ValueError, RecursionError):
        return Output(False, NOT_JSON, tool.name)
    found = _fits(value, tool.parameters) if isinstance(value, dict) else Output(False, "type")
    if found is None or found.valid:
        return found
    return msgspec.structs.replace(found, call=tool.name)


def fault_of(text: str, wanted: ResponseFormat) -> Output | None:
    """None: not judged."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Output(False, NOT_JSON)
    if wanted.kind == "json_object":
        return Output(True) if isinstance(value, dict) else Output(False, "type")
    return _fits(value, wanted.schema)


def _fits(value: Any, schema: dict[str, Any] | None) -> Output | None:
    if not schema:
        return Output(True)
    if len(msgspec.json.encode(schema)) > MOST_CHARS:
        return None
    try:
        error = next(_validator(schema).iter_errors(value), None)
    except (_TooLong, Unresolvable, RecursionError):
        return None
    except Exception:  # a schema that is none: whatever jsonschema stumbles over in it
        return None
    return Output(True) if error is None else Output(False, str(error.validator))


class _TooLong(Exception):
    """To judge the answer takes more steps than are spent on it, or regular expressions."""


_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]


def _validator(schema: dict[str, Any]) -> Any:
    left, until = MOST_STEPS, math.inf  # from the first keyword on: what is made once is not the answer's

    def counted(keyword: _Keyword) -> _Keyword:
        def check(validator: Any, value: Any, instance: Any, whole: Mapping[str, Any]) -> Any:
            nonlocal left, until
            if left == MOST_STEPS:
                until = time.thread_time() + MOST_S
            left -= 1
            # additionalProperties would run the patterns of the other
            if left < 0 or "patternProperties" in whole or time.thread_time() > until:
                raise _TooLong
            return keyword(validator, value, instance, whole) or ()

        return check

    known = Draft202012Validator.VALIDATORS.items()
    judged = {name: counted(keyword) for name, keyword in [*known, *_OURS.items()] if name not in _UNJUDGED}
    unjudged = dict.fromkeys(_UNJUDGED, _accept)
    kind = validators.extend(Draft202012Validator, judged | unjudged)
    return kind(schema, registry=Registry())


def _accept(*_: Any) -> tuple[()]:
    return ()


def _pattern(_validator: Any, pattern: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """What RE2 cannot run (look-around, back references) is not judged."""
    if not isinstance(instance, str) or not isinstance(pattern, str) or len(pattern) > MOST_PATTERN:
        return
    if len(instance) > MOST_MATCHED:
        raise _TooLong
    with contextlib.suppress(re2.error):
        if re2.search(pattern, instance, _QUIET) is None:
            yield ValidationError("pattern")


def _format(_validator: Any, name: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    reads = _FORMATS.get(name) if isinstance(name, str) else None
    if reads is not None and isinstance(instance, str):
        try:
            reads(instance)
        except ValueError:
            yield ValidationError("format")


def _unique(_validator: Any, wanted: Any, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    if wanted is not True or not isinstance(instance, list):
        return
    seen = {msgspec.json.encode(_plain(one), order="deterministic") for one in instance}
    if len(seen) < len(instance):
        yield ValidationError("uniqueItems")


def _plain(value: Any) -> Any:
    """With numbers that are equal in JSON written alike."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
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
_QUIET.max_mem = 1 << 18  # bytes; compiled patterns are kept, 128 of them
_FORMATS: dict[str, Callable[[str], object]] = {
    "date": _day,
    "date-time": _instant,
    "email": _mail,
    "ipv4": IPv4Address,
    "ipv6": IPv6Address,
    "uuid": _identifier,
}
_OURS: dict[str, _Keyword] = {"pattern": _pattern, "format": _format, "uniqueItems": _unique}
