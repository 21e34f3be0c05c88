"""Serializer fields as strict as JSON: a number is a number, not a string that looks like one.

The serializers are the source of the OpenAPI document and of the detailed 400; msgspec structs beside them
take the requests. Both give the same verdict (a test holds them to it).
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from rest_framework import serializers

from routing.doors.shared.errors import flat_details, validation_error
from routing.doors.shared.openai_messages import FieldErrors
from routing.language.errors import ValidationError


class StrictSerializer(serializers.Serializer[Any]):
    """Names every field that is wrong; with `Meta.closed`, unknown fields too. null is as good as absent."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, Mapping):
            raise serializers.ValidationError("Must be an object.")
        errors: dict[str, Any] = {}
        for name in data if getattr(getattr(self, "Meta", None), "closed", False) else ():
            if name not in self.fields:
                errors[name] = ["There is no such field."]
        try:
            read = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors |= cast(dict[str, Any], error.detail)
        if errors:
            raise serializers.ValidationError(errors)
        return read


def refusal(serializer: type[StrictSerializer], raw: Any) -> ValidationError:
    """The detailed error for what msgspec did not take."""
    checked = serializer(data=raw)
    if checked.is_valid():
        raise AssertionError(f"{serializer.__name__} takes what its struct does not")
    return validation_error(list(flat_details(checked.errors)))


def optional(field: type[serializers.Field[Any, Any, Any, Any]], **options: Any) -> Any:
    """A field that may be absent or null."""
    return field(required=False, allow_null=True, **options)


class StrictText(serializers.CharField):
    def __init__(self, **options: Any) -> None:
        super().__init__(**{"trim_whitespace": False, "allow_blank": True} | options)

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("Must be a string.")
        return data


class StrictInteger(serializers.IntegerField):
    def to_internal_value(self, data: Any) -> int:
        if not isinstance(data, int) or isinstance(data, bool):
            raise serializers.ValidationError("Must be an integer.")
        return data


class StrictNumber(serializers.FloatField):
    def to_internal_value(self, data: Any) -> float:
        if not isinstance(data, int | float) or isinstance(data, bool):
            raise serializers.ValidationError("Must be a number.")
        try:
            return float(data)
        except OverflowError:
            raise serializers.ValidationError("Is out of range.") from None


class StrictFlag(serializers.BooleanField):
    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError("Must be true or false.")
        return data


class StrictChoice(serializers.ChoiceField):
    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str) or data not in self.choices:
            raise serializers.ValidationError(f"Must be one of: {', '.join(map(str, self.choices))}.")
        return data


class StrictList(serializers.ListField):
    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, list):
            raise serializers.ValidationError("Must be a list.")
        return super().to_internal_value(data)


class StrictDict(serializers.DictField):
    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        return super().to_internal_value(data)


class Metadata(serializers.DictField):
    """At most 16 pairs of strings, as OpenAI has it."""

    MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512

    def __init__(self, **options: Any) -> None:
        super().__init__(child=StrictText(max_length=self.MAX_VALUE), **options)

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("Must be an object.")
        if len(data) > self.MAX_PAIRS:
            raise serializers.ValidationError(f"At most {self.MAX_PAIRS} pairs are possible.")
        if any(len(key) > self.MAX_KEY for key in data):
            raise serializers.ValidationError(f"A key has at most {self.MAX_KEY} characters.")
        return super().to_internal_value(data)


class ParsedField(serializers.Field[Any, Any, Any, Any]):
    """A field that a function of the neutral parser reads."""

    def __init__(self, parse: Callable[[Any, FieldErrors, str], Any], **options: Any) -> None:
        super().__init__(**options)
        self._parse = parse

    def to_internal_value(self, data: Any) -> Any:
        errors = FieldErrors()
        read = self._parse(data, errors, "")
        if errors.details:
            raise serializers.ValidationError(
                [errors.details[0]["message"]]
                if not errors.details[0]["field"]
                else {one["field"]: one["message"] for one in errors.details}
            )
        return read

    def to_representation(self, value: Any) -> Any:
        return value
