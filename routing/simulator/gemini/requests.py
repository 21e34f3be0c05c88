"""Reads a generateContent request: proto3 JSON in either spelling, the real checks, a Generation."""

import base64
import re
from typing import Any

from routing.simulator.gemini.contents import read_system, read_turns
from routing.simulator.gemini.rules import FIELD_ERRORS, check_sampling, effort_of, model_named
from routing.simulator.shared.errors import google_error
from routing.simulator.shared.fields import (
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

# Fields with the caller's own JSON: its keys are never changed.
_OPAQUE = frozenset(
    {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties"}
)

LEG_MARK = b"leg:"
_FIELDS: dict[str, Field] = {
    "contents": Field(LIST, low=1, required=True),
    "systemInstruction": Field(OBJECT),
    "tools": Field(LIST),
    "toolConfig": Field(OBJECT),
    "generationConfig": Field(OBJECT),
    "safetySettings": Field(LIST),
    "cachedContent": Field(TEXT),
    "continuationToken": Field(TEXT),
    "serviceTier": Field(TEXT),
    "store": Field(BOOL),
    "labels": Field(OBJECT),
    "model": Field(TEXT),
}
_CONFIG: dict[str, Field] = {
    "maxOutputTokens": Field(WHOLE, low=1, high=65_536),
    "temperature": Field(NUMBER, low=0, high=2),
    "topP": Field(NUMBER, low=0, high=1),
    "topK": Field(NUMBER, low=1, high=1_000),
    "stopSequences": Field(LIST, high=5),
    "candidateCount": Field(WHOLE, low=1, high=8),
    "seed": Field(WHOLE),
    "presencePenalty": Field(NUMBER, low=-2, high=2),
    "frequencyPenalty": Field(NUMBER, low=-2, high=2),
    "responseMimeType": Field(TEXT, choices=("text/plain", "application/json", "text/x.enum")),
    "responseJsonSchema": Field((dict, bool)),
    "responseSchema": Field(OBJECT),
    "thinkingConfig": Field(OBJECT),
    "responseLogprobs": Field(BOOL),
    "logprobs": Field(WHOLE, low=0, high=20),
    "responseModalities": Field(LIST),
    "mediaResolution": Field(TEXT),
    "speechConfig": Field(OBJECT),
    "imageConfig": Field(OBJECT),
    "enableEnhancedCivicAnswers": Field(BOOL),
}
_MODES: dict[str, ToolMode] = {
    "AUTO": "auto",
    "ANY": "required",
    "NONE": "none",
    "VALIDATED": "auto",
    "MODE_UNSPECIFIED": "auto",
}
_THINKING = {name: Field() for name in ("includeThoughts", "thinkingBudget", "thinkingLevel")}
_TOOL = {
    name: Field()
    for name in (
        "functionDeclarations",
        "googleSearch",
        "googleSearchRetrieval",
        "codeExecution",
        "urlContext",
        "googleMaps",
        "fileSearch",
        "computerUse",
    )
}
_DECLARATION = {
    "name": Field(TEXT, required=True),
    **{
        name: Field()
        for name in (
            "description",
            "parameters",
            "parametersJsonSchema",
            "response",
            "responseJsonSchema",
            "behavior",
        )
    },
}
# The OpenAPI subset that `parameters` and `responseSchema` take; other keywords are a 400.
_SCHEMA = frozenset(
    re.findall(
        r"\w+",
        "type format title description nullable enum maxItems minItems properties required minProperties "
        "maxProperties minLength maxLength pattern example anyOf propertyOrdering default items minimum "
        "maximum",
    )
)


def camel(value: Any) -> Any:
    """Field names in lowerCamelCase from either spelling; the caller's own JSON unchanged."""
    if isinstance(value, list):
        return [camel(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    respelled = {
        re.sub(r"_([a-z])", lambda specs: specs[1].upper(), name): inner for name, inner in value.items()
    }
    return {name: inner if name in _OPAQUE else camel(inner) for name, inner in respelled.items()}


@rejecting_invalid_shapes(google_error(400, "Invalid JSON payload received. A value has the wrong type."))
def read_request(document: dict[str, Any], name: str, version: str, method: str) -> Generation:
    model = model_named(name, version, method)
    body = camel(document)
    check(body, _FIELDS, FIELD_ERRORS)
    config = body.get("generationConfig") or {}
    check(config, _CONFIG, FIELD_ERRORS, "generationConfig.")
    check(config.get("thinkingConfig") or {}, _THINKING, FIELD_ERRORS, "generationConfig.thinkingConfig.")
    check_sampling(model, config)
    effort = effort_of(model, config)
    tools = _tools(body.get("tools") or [])
    choice, tools = _choice(body, tools)
    schema, json_object = _format(config)
    stops = config.get("stopSequences") or []
    for number, stop in enumerate(stops):
        check_value(stop, Field(TEXT), FIELD_ERRORS, f"generationConfig.stopSequences[{number}]")
    turns = read_system(body.get("systemInstruction")) + read_turns(body["contents"], model)
    return Generation(
        model=model,
        turns=turns,
        tools=tools,
        choice=choice,
        schema=schema,
        json_object=json_object,
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(stops),
        effort=effort,
        n=config.get("candidateCount") or 1,
        leg=_leg(body.get("continuationToken")),
    )


def _leg(token: str | None) -> int:
    if token is None:
        return 0
    try:
        number = base64.b64decode(token, validate=True).removeprefix(LEG_MARK)
    except ValueError:
        number = b""
    if not number.isdigit():
        raise google_error(400, "The continuation token is invalid.")
    return int(number)


def leg_token(leg: int) -> str:
    """The token that continues with that leg."""
    return base64.b64encode(LEG_MARK + str(leg).encode()).decode()


def wants_thoughts(document: dict[str, Any]) -> bool:
    config = camel(document).get("generationConfig") or {}
    return bool((config.get("thinkingConfig") or {}).get("includeThoughts"))


def _tools(tools: list[Any]) -> tuple[ToolSpec, ...]:
    specs = []
    for number, tool in enumerate(tools):
        check_value(tool, Field(OBJECT), FIELD_ERRORS, f"tools[{number}]")
        check(tool, _TOOL, FIELD_ERRORS, f"tools[{number}].")
        for position, declared in enumerate(tool.get("functionDeclarations") or []):
            where = f"tools[{number}].functionDeclarations[{position}]"
            check(declared, _DECLARATION, FIELD_ERRORS, f"{where}.")
            if declared.get("parameters") is not None and declared.get("parametersJsonSchema") is not None:
                raise google_error(400, "Only one of parameters and parameters_json_schema may be set.")
            if declared.get("parameters") is not None:
                _check_schema(declared["parameters"], f"{where}.parameters")
            schema = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
            _check_usable(schema, f"{where}.parameters")
            if schema and (schema.get("type") not in ("object", "OBJECT") or not schema.get("properties")):
                raise google_error(
                    400,
                    f"* GenerateContentRequest.{where}.parameters: schema should be an OBJECT with non-empty "
                    "properties.\n",
                )
            if not re.fullmatch(r"[a-zA-Z_][\w.:-]{0,63}", declared["name"]):
                raise google_error(
                    400,
                    f"* GenerateContentRequest.tools[{number}].function_declarations[{position}].name: "
                    "Invalid function name. Must start with a letter or an underscore. Must be alphameric "
                    "(a-z, A-Z, 0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum "
                    "length of 64.\n",
                )
            specs.append(ToolSpec(declared["name"], declared.get("description") or "", schema))
    return tuple(specs)


def _check_usable(schema: Any, path: str) -> None:
    problem = problem_of(schema)
    if problem is not None:
        raise google_error(400, f"* GenerateContentRequest.{path}: {problem}\n")


def _check_schema(schema: Any, path: str) -> None:
    if not isinstance(schema, dict):
        raise FIELD_ERRORS.wrong_type(path, (dict,), schema)
    for name, value in schema.items():
        if name not in _SCHEMA:
            raise FIELD_ERRORS.unknown(f"{path}.{name}")
        if name == "type" and not isinstance(value, str):
            raise FIELD_ERRORS.wrong_type(f"{path}.type", (str,), value)
        if name == "enum" and not all(isinstance(option, str) for option in value):
            raise FIELD_ERRORS.wrong_type(f"{path}.enum", (str,), value)
    for name, inner in (schema.get("properties") or {}).items():
        _check_schema(inner, f"{path}.properties.{name}")
    for inner in [schema.get("items"), *(schema.get("anyOf") or [])]:
        if inner is not None:
            _check_schema(inner, f"{path}.items")


def _choice(body: dict[str, Any], tools: tuple[ToolSpec, ...]) -> tuple[ToolMode, tuple[ToolSpec, ...]]:
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(config.get("mode") or "AUTO").upper()
    allowed = config.get("allowedFunctionNames")
    if mode not in _MODES:
        raise FIELD_ERRORS.invalid_choice("toolConfig.functionCallingConfig.mode", mode, ())
    if allowed and mode != "ANY":
        raise google_error(
            400, "Allowed function names should be set only when function calling mode is ANY."
        )
    if config and not tools:
        raise google_error(400, "Function calling config is set without function_declarations.")
    if allowed:
        unknown = [name for name in allowed if name not in {tool.name for tool in tools}]
        if unknown:
            raise google_error(
                400, f"Allowed function name {unknown[0]} is not among the function_declarations."
            )
        tools = tuple(tool for tool in tools if tool.name in allowed)
    return _MODES[mode], tools


def _format(config: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    is_json = config.get("responseMimeType") == "application/json"
    if config.get("responseSchema") is not None:
        if config.get("responseJsonSchema") is not None:
            raise google_error(400, "Only one of response_schema and response_json_schema may be set.")
        _check_schema(config["responseSchema"], "generationConfig.responseSchema")
    _check_usable(schema or {}, "generation_config.response_schema")
    if schema and not is_json:
        raise google_error(
            400,
            "Unable to submit request because a response schema needs response_mime_type application/json.",
        )
    return (schema or None), is_json and not schema
