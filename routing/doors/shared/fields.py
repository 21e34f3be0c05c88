"""Decodes a request body into its struct and, on rejection, names every wrong field.

msgspec decides whether a body is taken, in one pass of compiled code, but names only the first fault. For a
body it rejects, and only then, `convert` walks the same type information again and collects all faults. Both
take their bounds from the annotations of the struct, so there are no two lists of fields to keep equal.
"""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from routing.doors.shared.field_errors import FieldErrors, no_such_field

_Struct = TypeVar("_Struct", bound=msgspec.Struct)
_MAX_FLOAT = int(sys.float_info.max)


def read_by(
    parser: Callable[[Any, FieldErrors, str], Any], schema: dict[str, Any], description: str | None = None
) -> Meta:
    """Annotate a field with the function that parses it and with its schema in the OpenAPI document."""
    return Meta(description=description, extra_json_schema=schema, extra={"parser": parser})


def convert(raw: Any, struct: type[_Struct]) -> _Struct:
    """The body as its struct. Raises ValidationError that names every wrong field; null means absent."""
    try:
        return msgspec.convert(raw, struct)
    except msgspec.ValidationError as error:
        errors = FieldErrors()
        check(raw, struct, errors)
        if (
            not errors.details
        ):  # impossible while the walk agrees with msgspec, as tests/doors/test_schema.py checks
            errors.add("", str(error))
        raise errors.error() from None


def check(raw: Any, struct: type[msgspec.Struct], errors: FieldErrors) -> None:
    """Add every fault of the body: first unknown fields, then known ones in the order of the struct."""
    _check_struct(raw, _type_info(struct), "", errors)


@cache
def _type_info(struct: type[msgspec.Struct]) -> inspect.StructType:
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return info


def _check_struct(raw: Any, info: inspect.StructType, path: str, errors: FieldErrors) -> None:
    if not isinstance(raw, dict):
        errors.add(path, "Must be an object.")
        return
    prefix = f"{path}." if path else ""
    if info.forbid_unknown_fields:
        known = {field.encode_name for field in info.fields}
        for name in raw:
            if name not in known:
                errors.add(f"{prefix}{name}", no_such_field(name, known))
    for field in info.fields:
        value, at = raw.get(field.encode_name), f"{prefix}{field.encode_name}"
        if value is not None:
            _check(value, field.type, at, errors)
        elif field.required:
            errors.add(at, "This field is required.")


def _check(value: Any, info: inspect.Type, path: str, errors: FieldErrors) -> None:
    match info:
        case inspect.Metadata(extra={"parser": parser}):
            parser(value, errors, path)
        case inspect.Metadata():
            _check(value, info.type, path, errors)
        case inspect.UnionType():  # `X | None` is the only union, and None never gets here
            inner = next(each for each in info.types if not isinstance(each, inspect.NoneType))
            _check(value, inner, path, errors)
        case inspect.StructType():
            _check_struct(value, info, path, errors)
        case inspect.ListType():
            _check_list(value, info, path, errors)
        case inspect.DictType():
            _check_dict(value, info, path, errors)
        case inspect.AnyType():
            pass
        case _:
            if (fault := _scalar_fault(value, info)) is not None:
                errors.add(path, fault)


def _check_list(value: Any, info: inspect.ListType, path: str, errors: FieldErrors) -> None:
    if not isinstance(value, list):
        errors.add(path, "Must be a list.")
    elif fault := _size_fault(value, info, "items"):
        errors.add(path, fault)
    else:
        for position, item in enumerate(value):
            _check(item, info.item_type, f"{path}[{position}]", errors)


def _check_dict(value: Any, info: inspect.DictType, path: str, errors: FieldErrors) -> None:
    if not isinstance(value, dict):
        errors.add(path, "Must be an object.")
        return
    if fault := _size_fault(value, info, "pairs"):
        errors.add(path, fault)
        return
    for key, item in value.items():
        if fault := _scalar_fault(key, info.key_type):
            errors.add(path, f"The key {key[:20]!r}… is too long. {fault}")
        _check(item, info.value_type, f"{path}.{key}", errors)


def _scalar_fault(value: Any, info: inspect.Type) -> str | None:
    match info:
        case inspect.StrType():
            return _size_fault(value, info, "characters") if isinstance(value, str) else "Must be a string."
        case inspect.BoolType():
            return None if isinstance(value, bool) else "Must be true or false."
        case inspect.IntType():
            if not isinstance(value, int) or isinstance(value, bool):
                return "Must be an integer."
            return _range_fault(value, info)
        case inspect.FloatType():
            if not isinstance(value, int | float) or isinstance(value, bool):
                return "Must be a number."
            return _range_fault(value, info) or ("Is out of range." if abs(value) > _MAX_FLOAT else None)
        case inspect.LiteralType(values=choices):
            pass
        case inspect.EnumType(cls=enum):
            choices = tuple(str(member.value) for member in enum)
        case _:
            raise NotImplementedError(f"no check for {info}")
    if isinstance(value, str) and value in choices:
        return None
    return f"Must be one of: {', '.join(map(str, choices))}."


def _range_fault(value: float, info: inspect.IntType | inspect.FloatType) -> str | None:
    return _bounds_fault("Must be", value, info.ge, info.le)


def _size_fault(
    value: Any, info: inspect.StrType | inspect.ListType | inspect.DictType, unit: str
) -> str | None:
    return _bounds_fault("Must have", len(value), info.min_length, info.max_length, f" {unit}")


def _bounds_fault(
    verb: str, value: float, least: float | None, most: float | None, unit: str = ""
) -> str | None:
    """The message for a value outside its bounds, both inclusive; None when it is inside."""
    if (least is None or value >= least) and (most is None or value <= most):
        return None
    if least is not None and most is not None:
        return f"{verb} between {least} and {most}{unit}."
    return f"{verb} at most {most}{unit}." if least is None else f"{verb} at least {least}{unit}."
