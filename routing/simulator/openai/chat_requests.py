"""Reads a Chat Completions request: every check of the real endpoint, then a Generation."""

from typing import Any

from routing.simulator.model.models import Model
from routing.simulator.openai.chat_messages import read_turns
from routing.simulator.openai.rules import (
    CUSTOM_TOOL,
    FIELD_ERRORS,
    MODES,
    check_caching,
    check_grammar,
    check_output_limit,
    check_sampling,
    check_schema,
    check_tool_name,
    check_tool_schema,
    effort_of,
    model_named,
    tool_kinds,
    unsupported,
)
from routing.simulator.shared.errors import openai_error
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
from routing.simulator.shared.wire import encode

_FIELDS: dict[str, Field] = {
    "model": Field(TEXT, required=True),
    "messages": Field(LIST, low=1, required=True),
    "max_tokens": Field(WHOLE, low=1),
    "max_completion_tokens": Field(WHOLE, low=1),
    "temperature": Field(NUMBER, low=0, high=2),
    "top_p": Field(NUMBER, low=0, high=1),
    "presence_penalty": Field(NUMBER, low=-2, high=2),
    "frequency_penalty": Field(NUMBER, low=-2, high=2),
    "logit_bias": Field(OBJECT),
    "logprobs": Field(BOOL),
    "top_logprobs": Field(WHOLE, low=0, high=20),
    "stop": Field((str, list)),
    "n": Field(WHOLE, low=1, high=128),
    "seed": Field(WHOLE),
    "stream": Field(BOOL),
    "stream_options": Field(OBJECT),
    "tools": Field(LIST, low=1, high=128),
    "tool_choice": Field((str, dict)),
    "parallel_tool_calls": Field(BOOL),
    "response_format": Field(OBJECT),
    "reasoning_effort": Field(TEXT),
    "verbosity": Field(TEXT, choices=("low", "medium", "high")),
    "service_tier": Field(TEXT, choices=("auto", "default", "flex", "scale", "priority", "fast")),
    "metadata": Field(OBJECT, high=16),
    "store": Field(BOOL),
    "user": Field(TEXT),
    "safety_identifier": Field(TEXT, high=64),
    "prompt_cache_key": Field(TEXT),
    "prompt_cache_options": Field(OBJECT),
    "prompt_cache_retention": Field(TEXT),
    "modalities": Field(LIST),
    "audio": Field(ANY),
    "prediction": Field(OBJECT),
    "web_search_options": Field(OBJECT),
    "moderation": Field(ANY),
    "functions": Field(LIST),
    "function_call": Field((str, dict)),
}


@rejecting_invalid_shapes(openai_error(400, "Invalid request: a value has the wrong type."))
def read_request(body: dict[str, Any]) -> Generation:
    check(body, _FIELDS, FIELD_ERRORS)
    model = model_named(body["model"])
    if model.quirks.get("endpoint") == "responses only":
        message = "This model is only supported in v1/responses and not in v1/chat/completions."
        raise openai_error(404, message, param="model")
    effort = effort_of(model, body.get("reasoning_effort"), "reasoning_effort", chat=True)
    _check_quirks(model, body, effort)
    turns = read_turns(body["messages"])
    tools = _tools(body.get("tools") or [], model)
    choice, name, tools = _choice(body, tools)
    schema, json_object = _format(body.get("response_format"), body["messages"])
    stop = body.get("stop")
    for number, sequence in enumerate(stop if isinstance(stop, list) else []):
        check_value(sequence, Field(TEXT), FIELD_ERRORS, f"stop[{number}]")
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    return Generation(
        model=model,
        turns=turns,
        tools=tools,
        choice=choice,
        choice_name=name,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_object=json_object,
        max_tokens=limit,
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        effort=effort,
        n=body.get("n") or 1,
    )


def _check_quirks(model: Model, body: dict[str, Any], effort: str | None) -> None:
    reasons = "reasoning_efforts" in model.quirks
    if body.get("max_tokens") is not None and reasons:
        raise unsupported("max_tokens", "max_completion_tokens")
    for name in ("max_tokens", "max_completion_tokens"):
        check_output_limit(model, name, body.get(name))
    if isinstance(body.get("stop"), list) and len(body["stop"]) > 4:
        raise FIELD_ERRORS.out_of_range("stop", Field(LIST, high=4), body["stop"])
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        message = (
            "Invalid value for 'top_logprobs': must set 'logprobs' to 'true' when 'top_logprobs' is set."
        )
        raise openai_error(400, message, param="top_logprobs")
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise openai_error(400, message, param="stream_options")
    if (body.get("prompt_cache_options") or {}).get("ttl") == "12h":
        raise FIELD_ERRORS.invalid_choice("prompt_cache_options.ttl", "12h", ("30m",))
    if body.get("verbosity") not in {None, "medium"} and not reasons:
        message = (
            f"Unsupported value: 'verbosity' does not support '{body['verbosity']}' "
            "with this model. Supported values are: 'medium'."
        )
        raise openai_error(400, message, param="verbosity", code="unsupported_value")
    rule = str(model.quirks.get("chat_completions_tools", ""))
    if body.get("tools") and (
        rule.startswith("400 always") or (rule.startswith("400 unless") and effort != "none")
    ):
        message = (
            f"Function tools with reasoning_effort are not supported for {body['model']} in "
            "/v1/chat/completions. To use function tools, use /v1/responses or set reasoning_effort to "
            "'none'."
        )
        raise openai_error(400, message, param="reasoning_effort")
    check_sampling(model, body, effort)
    check_caching(model, body)
    if body.get("prediction") is not None and not model.quirks.get("prediction"):
        raise unsupported("prediction")


def _tools(tools: list[Any], model: Model) -> tuple[ToolSpec, ...]:
    specs = []
    for number, tool in enumerate(tools):
        where = f"tools[{number}]"
        check_value(tool, Field(OBJECT), FIELD_ERRORS, where)
        kind = tool.get("type")
        if kind is None:
            raise FIELD_ERRORS.missing(f"{where}.type")
        check_value(kind, Field(TEXT, choices=tool_kinds(model)), FIELD_ERRORS, f"{where}.type")
        inner = tool.get(kind)
        if inner is None:
            raise FIELD_ERRORS.missing(f"{where}.{kind}")
        name = check_tool_name(inner.get("name"), f"{where}.{kind}.name")
        if kind == "custom":
            check(inner, CUSTOM_TOOL, FIELD_ERRORS, f"{where}.custom.")
            grammar = (inner.get("format") or {}).get("grammar")
            check_grammar(inner.get("format"), grammar, f"{where}.custom.format")
            specs.append(ToolSpec(name, inner.get("description") or "", {}, is_custom=True))
            continue
        schema = inner.get("parameters") or {}
        strict = bool(inner.get("strict"))
        check_tool_schema(schema, name, f"{where}.function.parameters", strict=strict)
        specs.append(ToolSpec(name, inner.get("description") or "", schema))
    return tuple(specs)


def _choice(
    body: dict[str, Any], tools: tuple[ToolSpec, ...]
) -> tuple[ToolMode, str | None, tuple[ToolSpec, ...]]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None, tools
    if not tools and choice != "none":
        message = "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified."
        raise openai_error(400, message, param="tool_choice")
    if isinstance(choice, str):
        check_value(choice, Field(TEXT, choices=tuple(MODES)), FIELD_ERRORS, "tool_choice")
        return MODES[choice], None, tools
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        names = {
            (tool.get("function") or tool.get("custom") or {}).get("name")
            for tool in allowed.get("tools") or []
        }
        return MODES[allowed.get("mode", "auto")], None, tuple(tool for tool in tools if tool.name in names)
    name = (choice.get("function") or choice.get("custom") or {}).get("name")
    if name not in {tool.name for tool in tools}:
        message = f"Tool choice '{name}' not found in 'tools' parameter."
        raise openai_error(400, message, param="tool_choice")
    return "named", name, tools


def _format(wanted: dict[str, Any] | None, messages: list[Any]) -> tuple[dict[str, Any] | None, bool]:
    if wanted is None:
        return None, False
    kind = wanted.get("type")
    choices = ("json_object", "json_schema", "text")
    check_value(kind, Field(TEXT, choices=choices), FIELD_ERRORS, "response_format.type")
    if kind == "json_object":
        if b"json" not in encode(messages).lower():
            message = (
                "'messages' must contain the word 'json' in some form, to use "
                "'response_format' of type 'json_object'."
            )
            raise openai_error(400, message, param="messages")
        return None, True
    if kind == "text":
        return None, False
    json_schema = wanted.get("json_schema")
    if json_schema is None:
        raise FIELD_ERRORS.missing("response_format.json_schema")
    name = check_tool_name(json_schema.get("name"), "response_format.json_schema.name")
    schema = json_schema.get("schema") or {}
    strict = bool(json_schema.get("strict"))
    check_schema(schema, f"response_format '{name}'", "response_format", strict=strict)
    return schema, False
