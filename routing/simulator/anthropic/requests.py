"""Reads a Messages request: every check of the real endpoint, then a Generation."""

import re
from typing import Any

import msgspec

from routing.simulator.anthropic.messages import Reader, read_messages, read_system
from routing.simulator.anthropic.rules import (
    FIELD_ERRORS,
    check_access,
    check_betas,
    check_quirks,
    effort_of,
    model_named,
)
from routing.simulator.shared.errors import anthropic_error
from routing.simulator.shared.fields import (
    ANY,
    BOOL,
    LIST,
    NUMBER,
    OBJECT,
    TEXT,
    WHOLE,
    Field,
    check,
    check_value,
    rejecting_invalid_shapes,
)
from routing.simulator.shared.prompt import Generation, ToolMode, ToolSpec
from routing.simulator.shared.schema_check import problem_of
from routing.simulator.shared.wire import Request

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MOST_CACHE_MARKS = 4
_MODES: dict[str, ToolMode] = {"auto": "auto", "any": "required", "none": "none"}

_FIELDS: dict[str, Field] = {
    "model": Field(TEXT, required=True),
    "messages": Field(LIST, required=True),
    "max_tokens": Field(WHOLE, low=1, required=True),
    "system": Field((str, list)),
    "temperature": Field(NUMBER, low=0, high=1),
    "top_p": Field(NUMBER, low=0, high=1),
    "top_k": Field(WHOLE, low=0),
    "stop_sequences": Field(LIST),
    "stream": Field(BOOL),
    "tools": Field(LIST),
    "tool_choice": Field(OBJECT),
    "thinking": Field(OBJECT),
    "output_config": Field(OBJECT),
    "metadata": Field(OBJECT),
    "service_tier": Field(TEXT, choices=("auto", "standard_only")),
    "speed": Field(TEXT, choices=("standard", "fast")),
    "cache_control": Field(OBJECT),
    "container": Field(ANY),
    "context_management": Field(OBJECT),
    "diagnostics": Field(OBJECT),
    "inference_geo": Field(TEXT),
}


class ParsedRequest(msgspec.Struct, frozen=True):
    """A parsed request. `marked_turns`: turns up to the last cache mark, -1 for none; `ttl` of that mark."""

    generation: Generation
    marked_turns: int
    ttl: str


@rejecting_invalid_shapes(anthropic_error(400, "Invalid request: a value has the wrong type."))
def read_request(request: Request, body: dict[str, Any], *, counting: bool = False) -> ParsedRequest:
    """`counting`: the request is for count_tokens, where max_tokens is absent."""
    version = check_access(request)
    if counting:
        body = {"max_tokens": 1, **body}
        body.pop("stream", None)
    check(body, _FIELDS, FIELD_ERRORS)
    check_betas(request, body)
    model = model_named(body["model"])
    if not body["messages"]:
        raise anthropic_error(400, "messages: at least one message is required")
    tools, tool_marks = _tools(body.get("tools") or [])
    check_quirks(model, body, version)
    effort = effort_of(model, body)
    reader = Reader()
    reader.marks.extend((0, ttl) for ttl in tool_marks)
    read_system(body.get("system"), reader)
    prefill = read_messages(body, model, version, reader)
    if body.get("cache_control"):
        reader.mark(body)
        reader.marks[-1] = (len(reader.turns), reader.marks[-1][1])
    if len(reader.marks) > _MOST_CACHE_MARKS:
        raise anthropic_error(
            400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(reader.marks)}."
        )
    marked, ttl = reader.marks[-1] if reader.marks else (-1, "5m")
    choice, name, parallel = _choice(body, tools)
    generation = Generation(
        model=model,
        turns=tuple(reader.turns),
        tools=tools,
        choice=choice,
        choice_name=name,
        parallel=parallel,
        schema=_schema(body),
        max_tokens=body["max_tokens"],
        stop=_stops(body),
        effort=effort,
        continues=prefill,
    )
    return ParsedRequest(generation, marked, ttl)


def _tools(tools: list[Any]) -> tuple[tuple[ToolSpec, ...], list[str]]:
    """The tools, and the ttl of each cache mark on one."""
    specs: list[ToolSpec] = []
    marks: list[str] = []
    for number, tool in enumerate(tools):
        where = f"tools.{number}"
        check_value(tool, Field(OBJECT), FIELD_ERRORS, where)
        if tool.get("name") is None:
            raise FIELD_ERRORS.missing(f"{where}.custom.name")
        if not _TOOL_NAME.fullmatch(str(tool["name"])):
            raise anthropic_error(
                400, f"{where}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        schema = tool.get("input_schema")
        if schema is None:
            raise FIELD_ERRORS.missing(f"{where}.custom.input_schema")
        check_value(schema, Field(OBJECT), FIELD_ERRORS, f"{where}.custom.input_schema")
        if schema.get("type") != "object":
            raise anthropic_error(400, f"{where}.custom.input_schema.type: Input should be 'object'")
        if any(word in schema for word in ("oneOf", "allOf", "anyOf")):
            raise anthropic_error(
                400,
                f"{where}.custom.input_schema: input_schema does not support oneOf, allOf, or anyOf at the "
                "top level",
            )
        _check_schema(schema, f"{where}.custom.input_schema")
        if tool["name"] in {spec.name for spec in specs}:
            raise anthropic_error(400, "tools: Tool names must be unique.")
        specs.append(ToolSpec(tool["name"], tool.get("description") or "", schema))
        if tool.get("cache_control"):
            marks.append(str(tool["cache_control"].get("ttl", "5m")))
    return tuple(specs), marks


def _choice(body: dict[str, Any], tools: tuple[ToolSpec, ...]) -> tuple[ToolMode, str | None, bool]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None, True
    kind = choice.get("type")
    if kind is None:
        raise FIELD_ERRORS.missing("tool_choice.type")
    check_value(kind, Field(TEXT, choices=("auto", "any", "tool", "none")), FIELD_ERRORS, "tool_choice.type")
    if not tools:
        raise anthropic_error(400, "tool_choice: tool_choice may only be specified while providing tools")
    parallel = choice.get("disable_parallel_tool_use") is not True
    if kind == "tool":
        if choice.get("name") not in {tool.name for tool in tools}:
            raise anthropic_error(
                400, f"tool_choice: Tool '{choice.get('name')}' not found in provided tools"
            )
        return "named", choice["name"], parallel
    return _MODES[kind], None, parallel


def _stops(body: dict[str, Any]) -> tuple[str, ...]:
    stops = tuple(body.get("stop_sequences") or ())
    if any(not isinstance(stop, str) or not stop.strip() for stop in stops):
        raise anthropic_error(400, "stop_sequences: each stop sequence must contain non-whitespace")
    return stops


def _schema(body: dict[str, Any]) -> dict[str, Any] | None:
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return None
    check_value(
        wanted.get("type"), Field(TEXT, choices=("json_schema",)), FIELD_ERRORS, "output_config.format.type"
    )
    schema = wanted.get("schema")
    if schema is None:
        raise FIELD_ERRORS.missing("output_config.format.schema")
    _check_schema(schema, "output_config.format.schema")
    _check_closed(schema)
    return dict(schema)


def _check_schema(schema: Any, path: str) -> None:
    problem = problem_of(schema)
    if problem is not None:
        raise anthropic_error(
            400, f"{path}: JSON schema is invalid. It must match JSON Schema draft 2020-12. {problem}"
        )


def _check_closed(schema: Any) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        raise anthropic_error(
            400,
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be "
            "explicitly set to false",
        )
    inner = [*(schema.get("properties") or {}).values(), *(schema.get("$defs") or {}).values()]
    for part in [*inner, schema.get("items"), *(schema.get("anyOf") or [])]:
        _check_closed(part)
