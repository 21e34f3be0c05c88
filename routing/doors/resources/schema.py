"""What the keyed endpoints take: bodies of feedback, and the queries of the log and of usage."""

import re
from datetime import UTC, datetime
from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.models import Request
from billing.reports.export import Format
from routing.doors.shared.fields import (
    StrictChoice,
    StrictInteger,
    StrictNumber,
    StrictSerializer,
    StrictText,
    optional,
)
from routing.doors.shared.wire_types import MAX_NAME
from routing.language.chat import Strategy
from routing.learning.models import MAX_COMMENT

MAX_ID = 40  # characters of a request's id
MAX_PAGE = 200
DEFAULT_PAGE = 50
_BIGINT = 2**63 - 1
_OF_A_PAGE = ("limit", "cursor")
_PLUS_READ_AS_SPACE = re.compile(r"(?<=\d) (?=\d\d:?\d\d$)")


class FeedbackSerializer(StrictSerializer):
    """Exactly one of score and thumb."""

    request_id = StrictText(max_length=MAX_ID)
    score = optional(StrictNumber, min_value=0, max_value=1, help_text="0: useless, 1: right.")
    thumb = optional(StrictChoice, choices=["up", "down"], help_text="up is score 1, down is 0.")
    comment = optional(StrictText, max_length=MAX_COMMENT)

    class Meta:
        closed = True

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if (attrs.get("score") is None) == (attrs.get("thumb") is None):
            raise serializers.ValidationError({"score": "Send exactly one of score and thumb."})
        return attrs


class RatingSerializer(StrictSerializer):
    """The older form; rating 1 is score 0, rating 5 is score 1."""

    request_id = StrictText(max_length=MAX_ID)
    rating = StrictInteger(min_value=1, max_value=5)
    comment = optional(StrictText, max_length=MAX_COMMENT)

    class Meta:
        closed = True


@extend_schema_field(OpenApiTypes.DATETIME)
class MomentField(serializers.DateTimeField):
    """ISO 8601; UTC unless it says otherwise. Takes the `+` of an offset that arrives as a space."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)
        # Times at the calendar's ends cannot be turned into UTC.
        self.validators.append(MinValueValidator(datetime(1970, 1, 1, tzinfo=UTC)))
        self.validators.append(MaxValueValidator(datetime(2999, 1, 1, tzinfo=UTC)))

    def to_internal_value(self, value: Any) -> datetime:
        return super().to_internal_value(_PLUS_READ_AS_SPACE.sub("+", value) if "T" in value else value)


class PeriodSerializer(StrictSerializer):
    """`from` is inclusive, `to` exclusive."""

    class Meta:
        closed = True

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
    strategy = serializers.ChoiceField(required=False, choices=[str(one) for one in Strategy])
    status = serializers.ChoiceField(required=False, choices=[str(one) for one in Request.Status])
    key = serializers.IntegerField(required=False, min_value=1, max_value=_BIGINT, help_text="Id of a key.")
    limit = serializers.IntegerField(
        required=False, default=DEFAULT_PAGE, min_value=1, max_value=MAX_PAGE, help_text="Rows of a page."
    )
    cursor = serializers.CharField(required=False, max_length=120, help_text="A page's `next_cursor`.")


class ExportSerializer(LogSerializer):
    """The log's filters, without pages."""

    format = serializers.ChoiceField(
        required=False, default=str(Format.CSV), choices=[str(it) for it in Format]
    )

    def get_fields(self) -> dict[str, Any]:
        return {name: field for name, field in super().get_fields().items() if name not in _OF_A_PAGE}
