"""Reads a generateContent request: proto3 JSON in either spelling, the real endpoint's checks, the neutral ask."""

import base64
import re
from typing import Any

from routing.simulator.ask import Ask, ToolSpec, Turn
from routing.simulator.fields import BOOL, LIST, NUMBER, OBJECT, TEXT, WHOLE, Field, check, check_value
from routing.simulator.gemini_rules import COMPLAIN, check_sampling, effort_of, model_named
from routing.simulator.meter import AUDIO_TOKENS, DOCUMENT_TOKENS, image_tokens
from routing.simulator.models import Model
from routing.simulator.refused import google_error
from routing.simulator.wire import encode

SIGNATURE_MARK = b"sim:"
_SKIP_VALIDATOR = b"skip_thought_signature_validator"
# Fields whose value is the caller's own JSON: their keys are never respelled.
_OPAQUE = frozenset(
    {"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels", "properties"}
)

_FIELDS: dict[str, Field] = {
    "contents": Field(LIST, low=1, required=True),
    "systemInstruction": Field(OBJECT),
    "tools": Field(LIST),
    "toolConfig": Field(OBJECT),
    "generationConfig": Field(OBJECT),
    "safetySettings": Field(LIST),
    "cachedContent": Field(TEXT),
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
_THINKING = {name: Field() for name in ("includeThoughts", "thinkingBudget", "thinkingLevel")}
_CONTENT = {"role": Field(TEXT), "parts": Field(LIST)}
_PART_KINDS = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
)
_PART = {
    name: Field()
    for name in (*_PART_KINDS, "thought", "thoughtSignature", "videoMetadata", "mediaResolution")
}
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
# The OpenAPI subset that `parameters` and `responseSchema` take; anything else is a 400 (providers.md §6 trap 3).
_SCHEMA = frozenset(
    ["type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required", "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering", "default", "items", "minimum", "maximum"]
)


def camel(value: Any) -> Any:
    """Field names in lowerCamelCase, whichever spelling came; the caller's own JSON untouched."""
    if isinstance(value, list):
        return [camel(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    respelled = {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), name): inner for name, inner in value.items()
    }
    return {name: inner if name in _OPAQUE else camel(inner) for name, inner in respelled.items()}


def read_request(given: dict[str, Any], name: str, version: str, method: str) -> Ask:
    model = model_named(name, version, method)
    body = camel(given)
    check(body, _FIELDS, COMPLAIN)
    config = body.get("generationConfig") or {}
    check(config, _CONFIG, COMPLAIN, "generationConfig.")
    check(config.get("thinkingConfig") or {}, _THINKING, COMPLAIN, "generationConfig.thinkingConfig.")
    check_sampling(model, config)
    effort = effort_of(model, config)
    tools = _tools(body.get("tools") or [])
    choice, tools = _choice(body, tools)
    schema, json_object = _format(config)
    turns = _system(body.get("systemInstruction")) + _turns(body["contents"], model)
    return Ask(
        model=model,
        turns=turns,
        tools=tools,
        choice=choice,  # type: ignore[arg-type]
        schema=schema,
        json_object=json_object,
        max_tokens=config.get("maxOutputTokens"),
        stop=tuple(config.get("stopSequences") or ()),
        effort=effort,
        n=config.get("candidateCount") or 1,
    )


def wants_thoughts(given: dict[str, Any]) -> bool:
    config = camel(given).get("generationConfig") or {}
    return bool((config.get("thinkingConfig") or {}).get("includeThoughts"))


def _system(instruction: dict[str, Any] | None) -> tuple[Turn, ...]:
    if not instruction:
        return ()
    check(instruction, _CONTENT, COMPLAIN, "systemInstruction.")
    text = "\n".join(str(part.get("text", "")) for part in instruction.get("parts") or [])
    return (Turn("system", text),) if text else ()


def _turns(contents: list[Any], model: Model) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    open_calls = 0
    for number, content in enumerate(contents):
        where = f"contents[{number}]"
        check_value(content, Field(OBJECT), COMPLAIN, where)
        check(content, _CONTENT, COMPLAIN, f"{where}.")
        role = content.get("role") or "user"
        if role not in {"user", "model", "function"}:
            raise google_error(400, "Please use a valid role: user, model.")
        parts = content.get("parts") or []
        if not parts:
            raise google_error(
                400, f"* GenerateContentRequest.{where}.parts: contents.parts must not be empty.\n"
            )
        turn, calls, results = _turn(parts, role, where, model)
        _check_order(turns, calls, results, open_calls)
        open_calls = calls
        turns.append(turn)
    if open_calls:
        raise google_error(
            400,
            "Please ensure that the number of function response parts is equal to the number of function call parts of "
            "the function call turn.",
        )
    return tuple(turns)


def _check_order(before: list[Turn], calls: int, results: int, open_calls: int) -> None:
    if results and not open_calls:
        raise google_error(
            400, "Please ensure that function response turn comes immediately after a function call turn."
        )
    if results != open_calls:
        raise google_error(
            400,
            "Please ensure that the number of function response parts is equal to the number of function call parts of "
            "the function call turn.",
        )
    if calls and (not before or before[-1].role not in {"user", "tool"}):
        raise google_error(
            400,
            "Please ensure that function call turn comes immediately after a user turn or after a function response turn.",
        )


def _turn(parts: list[Any], role: str, where: str, model: Model) -> tuple[Turn, int, int]:
    texts: list[str] = []
    results: list[str] = []
    calls: list[str] = []
    media = 0
    for number, part in enumerate(parts):
        path = f"{where}.parts[{number}]"
        check_value(part, Field(OBJECT), COMPLAIN, path)
        check(part, _PART, COMPLAIN, f"{path}.")
        kinds = [kind for kind in _PART_KINDS if part.get(kind) is not None]
        if not kinds:
            raise google_error(
                400,
                f"* GenerateContentRequest.{where}.parts[{number}].data: required oneof field 'data' must have one initialized field\n",
            )
        if "functionCall" in part:
            _check_signature(part, model, first=not calls, position=number)
            calls.append(encode(part["functionCall"]).decode())
        elif "functionResponse" in part:
            results.append(_result(part["functionResponse"], path))
        elif "inlineData" in part or "fileData" in part:
            media += _media(part.get("inlineData") or part["fileData"])
        elif not part.get("thought"):
            texts.append(str(part.get("text", "")))
    neutral = "assistant" if role == "model" else "tool" if results else "user"
    turn = Turn(neutral, "\n".join(texts), tuple(results), tuple(calls), media)  # type: ignore[arg-type]
    return turn, len(calls), len(results)


def _check_signature(part: dict[str, Any], model: Model, *, first: bool, position: int) -> None:
    """The first call of a model turn comes back with its signature; siblings need none (providers.md §4)."""
    given = part.get("thoughtSignature")
    if given is None:
        if first and model.quirks.get("needs_thought_signature_on_replay"):
            name = part["functionCall"].get("name")
            raise google_error(
                400,
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work "
                "correctly, and missing thought_signature may lead to degraded model performance. Additional data, "
                f"function call `default_api:{name}` , position {position + 1}. Please refer to "
                "https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
            )
        return
    try:
        raw = base64.b64decode(str(given) + "==", altchars=b"-_" if set("-_") & set(str(given)) else None)
    except ValueError:
        raw = b""
    if not (raw.startswith(SIGNATURE_MARK) or raw == _SKIP_VALIDATOR):
        raise google_error(400, "Corrupted thought signature.")


def _result(response: dict[str, Any], path: str) -> str:
    if not response.get("name"):
        raise google_error(
            400, f"* GenerateContentRequest.{path}.function_response.name: Name cannot be empty.\n"
        )
    value = response.get("response")
    check_value(
        value if value is not None else {}, Field(OBJECT), COMPLAIN, f"{path}.functionResponse.response"
    )
    said = (value or {}).get("output", (value or {}).get("result", value))
    return said if isinstance(said, str) else encode(said).decode()


def _media(data: dict[str, Any]) -> int:
    kind = str(data.get("mimeType", ""))
    if not kind:
        raise google_error(400, "Unable to submit request because it must have a mimeType value.")
    if kind.startswith("image/"):
        return image_tokens("google", None)
    return AUDIO_TOKENS if kind.startswith(("audio/", "video/")) else DOCUMENT_TOKENS


def _tools(tools: list[Any]) -> tuple[ToolSpec, ...]:
    found = []
    for number, tool in enumerate(tools):
        check_value(tool, Field(OBJECT), COMPLAIN, f"tools[{number}]")
        check(tool, _TOOL, COMPLAIN, f"tools[{number}].")
        for position, declared in enumerate(tool.get("functionDeclarations") or []):
            where = f"tools[{number}].functionDeclarations[{position}]"
            check(declared, _DECLARATION, COMPLAIN, f"{where}.")
            if declared.get("parameters") is not None and declared.get("parametersJsonSchema") is not None:
                raise google_error(400, "Only one of parameters and parameters_json_schema may be set.")
            if declared.get("parameters") is not None:
                _check_schema(declared["parameters"], f"{where}.parameters")
            schema = declared.get("parametersJsonSchema") or declared.get("parameters") or {}
            if not re.fullmatch(r"[a-zA-Z_][\w.:-]{0,63}", declared["name"]):
                raise google_error(
                    400,
                    f"* GenerateContentRequest.tools[{number}].function_declarations[{position}].name: Invalid function "
                    "name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores "
                    "(_), dots (.), colons (:), or dashes (-), with a maximum length of 64.\n",
                )
            found.append(ToolSpec(declared["name"], declared.get("description") or "", schema))
    return tuple(found)


def _check_schema(schema: Any, path: str) -> None:
    if not isinstance(schema, dict):
        raise COMPLAIN.wrong_type(path, (dict,), schema)
    for name, value in schema.items():
        if name not in _SCHEMA:
            raise COMPLAIN.unknown(f"{path}.{name}")
        if name == "type" and not isinstance(value, str):
            raise COMPLAIN.wrong_type(f"{path}.type", (str,), value)
        if name == "enum" and not all(isinstance(option, str) for option in value):
            raise COMPLAIN.wrong_type(f"{path}.enum", (str,), value)
    for name, inner in (schema.get("properties") or {}).items():
        _check_schema(inner, f"{path}.properties.{name}")
    for inner in [schema.get("items"), *(schema.get("anyOf") or [])]:
        if inner is not None:
            _check_schema(inner, f"{path}.items")


def _choice(body: dict[str, Any], tools: tuple[ToolSpec, ...]) -> tuple[str, tuple[ToolSpec, ...]]:
    config = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    mode = str(config.get("mode") or "AUTO").upper()
    allowed = config.get("allowedFunctionNames")
    if mode not in {"AUTO", "ANY", "NONE", "VALIDATED", "MODE_UNSPECIFIED"}:
        raise COMPLAIN.bad_choice("toolConfig.functionCallingConfig.mode", mode, ())
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
    return {"ANY": "required", "NONE": "none"}.get(mode, "auto"), tools


def _format(config: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    schema = config.get("responseJsonSchema") or config.get("responseSchema")
    is_json = config.get("responseMimeType") == "application/json"
    if config.get("responseSchema") is not None:
        if config.get("responseJsonSchema") is not None:
            raise google_error(400, "Only one of response_schema and response_json_schema may be set.")
        _check_schema(config["responseSchema"], "generationConfig.responseSchema")
    if schema and not is_json:
        raise google_error(
            400,
            "Unable to submit request because a response schema needs response_mime_type application/json.",
        )
    return (schema or None), is_json and not schema
