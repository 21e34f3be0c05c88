"""The bodies of feedback, and the queries of the request log, its export and usage.

Bodies are JSON, and structs take them. Queries are texts that must become numbers and times, which is what
DRF's serializers are for.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast

import msgspec
from django.core.validators import MaxValueValidator, MinValueValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from msgspec import Meta
from rest_framework import serializers

from billing.models import Request
from billing.reports.export import Format
from billing.reports.sorting import Sort
from routing.doors.shared import fields
from routing.doors.shared.errors import flat_details, validation_error
from routing.doors.shared.field_errors import no_such_field
from routing.doors.shared.wire_types import MAX_NAME
from routing.language.chat import Strategy
from routing.learning.models import MAX_COMMENT

MAX_ID = 40  # characters of a request's id
MAX_PAGE = 200
DEFAULT_PAGE = 50
_BIGINT = 2**63 - 1
_OF_A_PAGE = ("sort", "limit", "cursor")
_PLUS_READ_AS_SPACE = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")
_RequestId = Annotated[str, Meta(max_length=MAX_ID)]
_Comment = Annotated[str, Meta(max_length=MAX_COMMENT)]


class Feedback(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one of score and thumb."""

    request_id: _RequestId
    score: Annotated[float, Meta(ge=0, le=1, description="0: useless, 1: right.")] | None = None
    thumb: Annotated[Literal["up", "down"], Meta(description="up is score 1, down is 0.")] | None = None
    comment: _Comment | None = None


class Rating(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The older form; rating 1 is score 0, rating 5 is score 1."""

    request_id: _RequestId
    rating: Annotated[int, Meta(ge=1, le=5)]
    comment: _Comment | None = None


def parse_feedback(raw: dict[str, Any]) -> tuple[Feedback, float]:
    """The body and the score it stands for, 0 to 1. Raises ValidationError."""
    sent = fields.convert(raw, Feedback)
    if (sent.score is None) == (sent.thumb is None):
        raise validation_error([{"field": "score", "message": "Send exactly one of score and thumb."}])
    if sent.score is not None:
        return sent, sent.score
    return sent, 1.0 if sent.thumb == "up" else 0.0


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.DateTimeField):
    """ISO 8601, UTC without an offset. Form decoding turns the `+` of an offset into a space."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)
        # Times at the ends of the calendar cannot be converted to UTC.
        self.validators.append(MinValueValidator(datetime(1970, 1, 1, tzinfo=UTC)))
        self.validators.append(MaxValueValidator(datetime(2999, 1, 1, tzinfo=UTC)))

    def to_internal_value(self, value: Any) -> datetime:
        return super().to_internal_value(_PLUS_READ_AS_SPACE.sub("+", value) if "T" in value else value)


class QuerySerializer(serializers.Serializer[Any]):
    """Names every parameter that is wrong, unknown ones included."""

    def to_internal_value(self, data: Any) -> Any:
        errors: dict[str, Any] = {
            name: [no_such_field(name, self.fields)] for name in data if name not in self.fields
        }
        try:
            values = super().to_internal_value(data)
        except serializers.ValidationError as error:
            errors |= cast(dict[str, Any], error.detail)
        if errors:
            raise serializers.ValidationError(errors)
        return values


def parse_query(serializer: type[QuerySerializer], query: Mapping[str, str]) -> dict[str, Any]:
    """The values of the parameters that are there. Raises ValidationError that names every wrong one."""
    checked = serializer(data=query)
    if not checked.is_valid():
        raise validation_error(list(flat_details(checked.errors)))
    return {name: value for name, value in checked.validated_data.items() if value is not None}


class PeriodSerializer(QuerySerializer):
    """`from` is inclusive, `to` exclusive."""

    def get_fields(self) -> dict[str, Any]:
        period = {"from": MomentField(required=False), "to": MomentField(required=False)}
        return super().get_fields() | period

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "from" in attrs and "to" in attrs and attrs["from"] >= attrs["to"]:
            raise serializers.ValidationError({"from": "Must be earlier than `to`."})
        return attrs


class LogSerializer(PeriodSerializer):
    model = serializers.CharField(
        required=False, max_length=MAX_NAME, help_text="Catalog id that answered, or was to answer."
    )
    provider = serializers.CharField(required=False, max_length=60)
    strategy = serializers.ChoiceField(required=False, choices=[str(strategy) for strategy in Strategy])
    status = serializers.ChoiceField(required=False, choices=[str(status) for status in Request.Status])
    key = serializers.IntegerField(required=False, min_value=1, max_value=_BIGINT, help_text="Id of a key.")
    sort = serializers.ChoiceField(
        required=False,
        default=str(Sort.NEWEST),
        choices=[str(sort) for sort in Sort],
        help_text="Requests without the figure, such as open ones, come last.",
    )
    limit = serializers.IntegerField(
        required=False, default=DEFAULT_PAGE, min_value=1, max_value=MAX_PAGE, help_text="Rows of a page."
    )
    cursor = serializers.CharField(required=False, max_length=120, help_text="A page's `next_cursor`.")


class RefusedSerializer(PeriodSerializer):
    key = serializers.IntegerField(required=False, min_value=1, max_value=_BIGINT, help_text="Id of a key.")
    code = serializers.CharField(required=False, max_length=40, help_text="An error code.")
    limit = serializers.IntegerField(
        required=False, default=DEFAULT_PAGE, min_value=1, max_value=MAX_PAGE, help_text="Rows of a page."
    )
    cursor = serializers.IntegerField(
        required=False, min_value=1, max_value=_BIGINT, help_text="A page's `next_cursor`."
    )


class ExportSerializer(LogSerializer):
    """The log's filters, without pages."""

    format = serializers.ChoiceField(
        required=False, default=str(Format.CSV), choices=[str(file_format) for file_format in Format]
    )

    def get_fields(self) -> dict[str, Any]:
        return {name: field for name, field in super().get_fields().items() if name not in _OF_A_PAGE}
