"""What several doors say alike: types of fields with their bounds, and how the document describes them."""

from typing import Annotated, Any

from drf_spectacular.utils import OpenApiParameter, extend_schema_field
from msgspec import Meta
from rest_framework import serializers

from routing.doors.shared import openai_messages as parse
from routing.doors.shared import openai_tools as parse_tools
from routing.doors.shared.fields import Metadata, ParsedField

MAX_NAME = 120  # characters of a model's name or alias
MAX_USER = 512
MAX_TOKENS = 1_000_000
INT64 = 2**63

ModelName = Annotated[str, Meta(max_length=MAX_NAME)]
UserName = Annotated[str, Meta(max_length=MAX_USER)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Seed = Annotated[int, Meta(ge=-INT64, le=INT64 - 1)]
Pairs = Annotated[
    dict[
        Annotated[str, Meta(max_length=Metadata.MAX_KEY)], Annotated[str, Meta(max_length=Metadata.MAX_VALUE)]
    ],
    Meta(max_length=Metadata.MAX_PAIRS),
]

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="At most 255 printable ASCII characters, good for 24 hours. The same request with the same "
    "key is answered and charged once; later ones get the first answer again, with Idempotency-Replayed.",
)

_OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
_PART = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": ["text", "image_url", "file", "input_audio", "refusal"]},
        "text": {"type": "string"},
        "image_url": {
            "type": "object",
            "required": ["url"],
            "properties": {
                "url": {"type": "string", "description": "An http(s) URL or a data: URL."},
                "detail": {"type": "string", "enum": ["auto", "low", "high", "original"]},
            },
        },
        "file": _OBJECT,
        "input_audio": _OBJECT,
        "refusal": {"type": "string"},
    },
}
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"type": "string", "enum": list(parse.ROLES)},
        "content": {"oneOf": [{"type": "string"}, {"type": "array", "items": _PART}], "nullable": True},
        "name": {"type": "string"},
        "tool_calls": {"type": "array", "items": _OBJECT, "description": "Of an assistant, as OpenAI."},
        "tool_call_id": {"type": "string", "description": "Which call a message of role tool answers."},
    },
}


@extend_schema_field({"type": "array", "items": _MESSAGE, "minItems": 1, "maxItems": parse.MAX_MESSAGES})
class MessagesField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse.messages, **options)


@extend_schema_field({"type": "array", "items": _OBJECT, "maxItems": parse_tools.MAX_TOOLS})
class ToolsField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse_tools.tools, **options)


@extend_schema_field({"type": "array", "items": _OBJECT, "maxItems": parse_tools.MAX_TOOLS})
class FunctionsField(ParsedField):
    def __init__(self, **options: Any) -> None:
        told = "The older form of tools; answered with function_call."
        super().__init__(parse_tools.functions, help_text=told, **options)


@extend_schema_field({"oneOf": [{"type": "string", "enum": ["auto", "none"]}, _OBJECT]})
class FunctionCallField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse_tools.function_call, **options)


@extend_schema_field({"oneOf": [{"type": "string", "enum": ["auto", "none", "required"]}, _OBJECT]})
class ToolChoiceField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse_tools.tool_choice, **options)


@extend_schema_field(
    {
        "type": "object",
        "required": ["type"],
        "properties": {
            "type": {"type": "string", "enum": ["text", "json_object", "json_schema"]},
            "json_schema": _OBJECT,
        },
    }
)
class ResponseFormatField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse_tools.response_format, **options)


@extend_schema_field(
    {
        "oneOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "maxItems": parse_tools.MAX_STOPS,
            },
        ]
    }
)
class StopField(ParsedField):
    def __init__(self, **options: Any) -> None:
        super().__init__(parse_tools.stop, **options)


@extend_schema_field({"type": "string", "enum": ["routeplex-ai", "manual"]})
class ModeField(serializers.Field[Any, Any, Any, Any]):
    """Takes anything: a wrong mode has an error code of its own."""

    def to_internal_value(self, data: Any) -> Any:
        return data

    def to_representation(self, value: Any) -> Any:
        return value
