"""Judges whether an answer has the JSON form its caller asked for; nothing of its text is kept.

The schema is the caller's and the text a model's, so both are hostile: no reference is fetched, regular
expressions are not run (they can take forever), and an answer that takes too many steps is not judged.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from routing.chat import Finished, FinishReason, RefusalDelta, ResponseFormat, StreamEvent, TextDelta
from routing.fidelity import Output

MOST_CHARS = 200_000
MOST_STEPS = 5000  # keywords looked at: tens of milliseconds
NOT_JSON = "not JSON"
# They run patterns, or search in a way that grows with the square of the answer.
_UNJUDGED = (
    "pattern",
    "unevaluatedProperties",
    "unevaluatedItems",
    "uniqueItems",
    "format",
)


class OutputCheck:
    """`note` each event that reaches the caller, then `verdict()`."""

    def __init__(self, wanted: ResponseFormat | None) -> None:
        self._wanted = wanted if wanted is not None and wanted.kind != "text" else None
        self._texts: dict[int, list[str]] = {}
        self._ends: dict[int, FinishReason] = {}
        self._refused = False

    def note(self, event: StreamEvent) -> None:
        if self._wanted is None:
            return
        match event:
            case TextDelta():
                self._texts.setdefault(event.choice, []).append(event.text)
            case Finished():
                self._ends[event.choice] = event.reason
            case RefusalDelta():
                self._refused = True

    def verdict(self) -> Output | None:
        """None: nothing was asked for, or there is none to judge (cut, refused, a tool call, too long)."""
        wanted = self._wanted
        if wanted is None or self._refused or not self._ends:
            return None
        if any(end is not FinishReason.STOP for end in self._ends.values()):
            return None
        texts = ["".join(self._texts.get(choice, ())) for choice in self._ends]
        if sum(map(len, texts)) > MOST_CHARS:
            return None
        outputs = [fault_of(text, wanted) for text in texts]
        if any(one is None for one in outputs):
            return None
        return next((one for one in outputs if one is not None and not one.valid), Output(True))


def fault_of(text: str, wanted: ResponseFormat) -> Output | None:
    """None: not judged."""
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return Output(False, NOT_JSON)
    if wanted.kind == "json_object":
        return Output(True) if isinstance(value, dict) else Output(False, "type")
    if not wanted.schema:
        return Output(True)
    try:
        error = next(_validator(wanted.schema).iter_errors(value), None)
    except (_TooLong, Unresolvable, RecursionError):
        return None
    except Exception:  # a schema that is none: whatever jsonschema stumbles over in it
        return None
    return Output(True) if error is None else Output(False, str(error.validator))


class _TooLong(Exception):
    """To judge the answer takes more steps than are spent on it, or regular expressions."""


_Keyword = Callable[[Any, Any, Any, Mapping[str, Any]], Iterator[ValidationError] | None]


def _validator(schema: dict[str, Any]) -> Any:
    left = MOST_STEPS

    def counted(keyword: _Keyword) -> _Keyword:
        def check(validator: Any, value: Any, instance: Any, whole: Mapping[str, Any]) -> Any:
            nonlocal left
            left -= 1
            if left < 0 or "patternProperties" in whole:  # additionalProperties would run its patterns
                raise _TooLong
            return keyword(validator, value, instance, whole) or ()

        return check

    known = Draft202012Validator.VALIDATORS.items()
    judged = {name: counted(keyword) for name, keyword in known if name not in _UNJUDGED}
    unjudged = dict.fromkeys(_UNJUDGED, _accept)
    kind = validators.extend(Draft202012Validator, judged | unjudged)
    return kind(schema, registry=Registry())


def _accept(*_: Any) -> tuple[()]:
    return ()
