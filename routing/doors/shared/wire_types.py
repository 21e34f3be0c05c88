"""Field types that several doors share: bounds, parsers and descriptions for the OpenAPI document."""

from typing import Annotated, Any

from drf_spectacular.utils import OpenApiParameter
from msgspec import Meta

from routing.doors.shared import openai_messages as parse
from routing.doors.shared import openai_tools as parse_tools
from routing.doors.shared.fields import read_by

MAX_NAME = 120  # characters of a model's name or alias
MAX_USER = 512
MAX_TIER = 32  # characters of a service tier
MAX_TOKENS = 1_000_000
MAX_PAIRS, MAX_KEY, MAX_VALUE = 16, 64, 512  # of metadata, as OpenAI has it; keys and values in characters
INT64 = 2**63

ModelName = Annotated[str, Meta(max_length=MAX_NAME)]
ModelOrRouter = Annotated[
    ModelName,
    Meta(description="A catalog id or alias, or routeplex-ai (routeplex-ai:cost, …) for Smart Routing."),
]
UserName = Annotated[str, Meta(max_length=MAX_USER)]
ServiceTier = Annotated[str, Meta(max_length=MAX_TIER)]
Tokens = Annotated[int, Meta(ge=1, le=MAX_TOKENS)]
Temperature = Annotated[float, Meta(ge=0, le=2)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Seed = Annotated[int, Meta(ge=-INT64, le=INT64 - 1, extra_json_schema={"format": "int64"})]
Pairs = Annotated[
    dict[Annotated[str, Meta(max_length=MAX_KEY)], Annotated[str, Meta(max_length=MAX_VALUE)]],
    Meta(max_length=MAX_PAIRS),
]

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="At most 255 printable ASCII characters, good for 24 hours. The same request with the same "
    "key is answered and charged once; later ones get the first answer again, with Idempotency-Replayed.",
)

OBJECT: dict[str, Any] = {"type": "object", "additionalProperties": True}
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
        "file": OBJECT,
        "input_audio": OBJECT,
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
        "tool_calls": {"type": "array", "items": OBJECT, "description": "Of an assistant, as OpenAI."},
        "tool_call_id": {"type": "string", "description": "Which call a message of role tool answers."},
    },
}
OBJECTS: dict[str, Any] = {"type": "array", "items": OBJECT}
TEXT_OR_OBJECTS: dict[str, Any] = {"oneOf": [{"type": "string"}, OBJECTS]}
TEXT_LIST: dict[str, Any] = {"type": "array", "items": {"type": "string", "minLength": 1}}


def text_or_object(*choices: str) -> dict[str, Any]:
    """The schema of some words or an object."""
    return {"oneOf": [{"type": "string", "enum": list(choices)}, OBJECT]}


# The fields that OpenAI's chat completions and the native API have in common; `Any`: the parser reads them.
Messages = Annotated[
    list[Any],
    read_by(
        parse.messages, {"type": "array", "items": _MESSAGE, "minItems": 1, "maxItems": parse.MAX_MESSAGES}
    ),
]
Tools = Annotated[Any, read_by(parse_tools.tools, OBJECTS | {"maxItems": parse_tools.MAX_TOOLS})]
Functions = Annotated[
    Any,
    read_by(
        parse_tools.functions,
        OBJECTS | {"maxItems": parse_tools.MAX_TOOLS},
        "The older form of tools; answered with function_call.",
    ),
]
FunctionCall = Annotated[Any, read_by(parse_tools.function_call, text_or_object("auto", "none"))]
ToolChoice = Annotated[Any, read_by(parse_tools.tool_choice, text_or_object("auto", "none", "required"))]
ResponseFormat = Annotated[
    Any,
    read_by(
        parse_tools.response_format,
        {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"type": "string", "enum": ["text", "json_object", "json_schema"]},
                "json_schema": OBJECT,
            },
        },
    ),
]
Stop = Annotated[
    Any,
    read_by(
        parse_tools.stop,
        {"oneOf": [{"type": "string", "minLength": 1}, TEXT_LIST | {"maxItems": parse_tools.MAX_STOPS}]},
    ),
]
