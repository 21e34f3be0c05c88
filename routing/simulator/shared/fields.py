"""Checks the fields of a request body against a table, with the provider's own error messages."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

import msgspec

from routing.simulator.shared.errors import ErrorReply

_P = ParamSpec("_P")
_T = TypeVar("_T")

NUMBER = (int, float)
TEXT = (str,)
WHOLE = (int,)
BOOL = (bool,)
LIST = (list,)
OBJECT = (dict,)
ANY = (object,)


class Field(msgspec.Struct, frozen=True):
    """The allowed values of a field; `low` and `high` are inclusive, for lists and texts limits of length."""

    kinds: tuple[type, ...] = ANY
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


class FieldErrors(Protocol):
    """One provider's message for each kind of mistake. `path` is like `messages[0].role`."""

    def missing(self, path: str) -> ErrorReply: ...
    def unknown(self, path: str) -> ErrorReply: ...
    def wrong_type(self, path: str, kinds: tuple[type, ...], value: Any) -> ErrorReply: ...
    def out_of_range(self, path: str, field: Field, value: Any) -> ErrorReply: ...
    def invalid_choice(self, path: str, value: str, choices: Sequence[str]) -> ErrorReply: ...


def check(body: dict[str, Any], table: dict[str, Field], errors: FieldErrors, where: str = "") -> None:
    """Raises ErrorReply for the first unknown, missing, mistyped or out-of-range field; null is absent."""
    for name in body:
        if name not in table:
            raise errors.unknown(where + name)
    for name, field in table.items():
        value = body.get(name)
        if value is None:
            if field.required:
                raise errors.missing(where + name)
            continue
        check_value(value, field, errors, where + name)


def check_value(value: Any, field: Field, errors: FieldErrors, path: str) -> None:
    is_flag = isinstance(value, bool) and bool not in field.kinds and object not in field.kinds
    if is_flag or not isinstance(value, field.kinds):
        raise errors.wrong_type(path, field.kinds, value)
    if field.choices and isinstance(value, str) and value not in field.choices:
        raise errors.invalid_choice(path, value, field.choices)
    size = len(value) if isinstance(value, str | list | dict) else value
    if isinstance(size, int | float) and not isinstance(size, bool):
        below = field.low is not None and size < field.low
        above = field.high is not None and size > field.high
        if below or above:
            raise errors.out_of_range(path, field, value)


def listed(choices: Sequence[str]) -> str:
    """'a', 'b', and 'c'"""
    quoted = [f"'{choice}'" for choice in choices]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return ", ".join(quoted[:-1]) + ", and " + quoted[-1]


def rejecting_invalid_shapes(refusal: ErrorReply) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Answer with `refusal` when a reader fails on a nested value of the wrong type.

    The tables check the top fields only; a caller can nest wrong types at any depth.
    """

    def wrapped(reader: Callable[_P, _T]) -> Callable[_P, _T]:
        @functools.wraps(reader)
        def read(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            try:
                return reader(*args, **kwargs)
            except (AttributeError, TypeError, KeyError):
                raise ErrorReply(refusal.status, refusal.body) from None

        return read

    return wrapped
