"""Reads a Responses request: every check of the real endpoint, then a Generation."""

from typing import Any

from routing.simulator.model.models import Model
from routing.simulator.model.usage import DOCUMENT_TOKENS, image_tokens
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
from routing.simulator.shared.prompt import Generation, Speaker, ToolMode, ToolSpec, Turn
from routing.simulator.shared.wire import encode

_FIELDS: dict[str, Field] = {
    "model": Field(TEXT, required=True),
    "input": Field((str, list), low=1, required=True),
    "instructions": Field((str, list)),
    "max_output_tokens": Field(WHOLE, low=16),
    "max_tool_calls": Field(WHOLE, low=1),
    "tools": Field(LIST, high=128),
    "tool_choice": Field((str, dict)),
    "parallel_tool_calls": Field(BOOL),
    "text": Field(OBJECT),
    "reasoning": Field(OBJECT),
    "include": Field(LIST),
    "store": Field(BOOL),
    "stream": Field(BOOL),
    "stream_options": Field(OBJECT),
    "temperature": Field(NUMBER, low=0, high=2),
    "top_p": Field(NUMBER, low=0, high=1),
    "top_logprobs": Field(WHOLE, low=0, high=20),
    "previous_response_id": Field(TEXT),
    "conversation": Field(ANY),
    "truncation": Field(TEXT, choices=("auto", "disabled")),
    "service_tier": Field(TEXT, choices=("auto", "default", "flex", "scale", "priority", "fast")),
    "metadata": Field(OBJECT, high=16),
    "user": Field(TEXT),
    "safety_identifier": Field(TEXT, high=64),
    "prompt_cache_key": Field(TEXT),
    "prompt_cache_options": Field(OBJECT),
    "prompt_cache_retention": Field(TEXT),
    "background": Field(BOOL),
    "prompt": Field(OBJECT),
    "moderation": Field(ANY),
}
_REASONING = {name: Field() for name in ("effort", "summary", "context", "mode", "generate_summary")}
_TEXT = {"format": Field(OBJECT), "verbosity": Field(TEXT, choices=("low", "medium", "high"))}
_TOOL = {
    "type": Field(TEXT, required=True),
    "name": Field(TEXT, required=True),
    "description": Field(TEXT),
    "parameters": Field(OBJECT),
    "strict": Field(BOOL),
}
_ROLES: dict[str, Speaker] = {
    "assistant": "assistant",
    "system": "system",
    "developer": "system",
    "user": "user",
}
_ITEMS = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "item_reference",
)
_PARTS = ("input_text", "input_image", "input_file", "output_text", "refusal")


@rejecting_invalid_shapes(openai_error(400, "Invalid request: a value has the wrong type."))
def read_request(body: dict[str, Any]) -> Generation:
    check(body, _FIELDS, FIELD_ERRORS)
    model = model_named(body["model"])
    reasoning = body.get("reasoning") or {}
    check(reasoning, _REASONING, FIELD_ERRORS, "reasoning.")
    effort = effort_of(model, reasoning.get("effort"), "reasoning.effort", chat=False)
    check_sampling(model, body, effort)
    check_caching(model, body)
    check_output_limit(model, "max_output_tokens", body.get("max_output_tokens"))
    if body.get("previous_response_id") is not None:
        name = body["previous_response_id"]
        message = f"Previous response with id '{name}' not found."
        raise openai_error(400, message, param="previous_response_id", code="previous_response_not_found")
    tools = _tools(body.get("tools") or [], model)
    choice, name, tools = _choice(body, tools)
    schema, json_object = _format(body.get("text") or {})
    return Generation(
        model=model,
        turns=_instructions(body.get("instructions")) + _turns(body["input"]),
        tools=tools,
        choice=choice,
        choice_name=name,
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_object=json_object,
        max_tokens=body.get("max_output_tokens"),
        effort=effort,
    )


def _instructions(value: Any) -> tuple[Turn, ...]:
    return (Turn("system", value),) if isinstance(value, str) and value else ()


def _turns(value: Any) -> tuple[Turn, ...]:
    if isinstance(value, str):
        return (Turn("user", value),)
    turns: list[Turn] = []
    called: set[str] = set()
    answered: set[str] = set()
    for number, item in enumerate(value):
        where = f"input[{number}]"
        check_value(item, Field(OBJECT), FIELD_ERRORS, where)
        kind = item.get("type") or "message"
        match kind:
            case "message":
                turns.append(_message(item, where))
            case "function_call" | "custom_tool_call":
                written = "arguments" if kind == "function_call" else "input"
                for needed in ("call_id", "name", written):
                    if item.get(needed) is None:
                        raise FIELD_ERRORS.missing(f"{where}.{needed}")
                called.add(item["call_id"])
                function_call = {"name": item["name"], "arguments": item[written]}
                turns.append(Turn("assistant", calls=(encode(function_call).decode(),)))
            case "function_call_output" | "custom_tool_call_output":
                turns.append(_output(item, where, called))
                answered.add(item["call_id"])
            case "reasoning" | "item_reference":
                continue
            case _:
                raise FIELD_ERRORS.invalid_choice(f"{where}.type", str(kind), _ITEMS)
    for call in called - answered:
        raise openai_error(400, f"No tool output found for function call {call}.", param="input")
    return tuple(turns)


def _message(item: dict[str, Any], where: str) -> Turn:
    role = item.get("role")
    if role is None:
        raise FIELD_ERRORS.missing(f"{where}.role")
    check_value(role, Field(TEXT, choices=tuple(_ROLES)), FIELD_ERRORS, f"{where}.role")
    content = item.get("content")
    if content is None:
        raise FIELD_ERRORS.missing(f"{where}.content")
    neutral = _ROLES[role]
    if isinstance(content, str):
        return Turn(neutral, content)
    check_value(content, Field((str, list)), FIELD_ERRORS, f"{where}.content")
    texts: list[str] = []
    media = 0
    for number, part in enumerate(content):
        path = f"{where}.content[{number}]"
        check_value(part, Field(OBJECT), FIELD_ERRORS, path)
        kind = part.get("type")
        allowed = _PARTS[3:] if role == "assistant" else _PARTS[:3]
        if kind not in allowed:
            raise FIELD_ERRORS.invalid_choice(path + ".type", str(kind), allowed)
        match kind:
            case "input_image":
                media += image_tokens("openai", None, part.get("detail"))
            case "input_file":
                media += DOCUMENT_TOKENS
            case _:
                texts.append(str(part.get("text", part.get("refusal", ""))))
    return Turn(neutral, "\n".join(texts), media=media)


def _output(item: dict[str, Any], where: str, called: set[str]) -> Turn:
    for needed in ("call_id", "output"):
        if item.get(needed) is None:
            raise FIELD_ERRORS.missing(f"{where}.{needed}")
    if item["call_id"] not in called:
        message = f"No tool call found for function call output with call_id {item['call_id']}."
        raise openai_error(400, message, param="input")
    output = item["output"]
    text = output if isinstance(output, str) else "\n".join(str(part.get("text", "")) for part in output)
    return Turn("tool", results=(text,))


def _tools(tools: list[Any], model: Model) -> tuple[ToolSpec, ...]:
    specs = []
    for number, tool in enumerate(tools):
        where = f"tools[{number}]"
        check_value(tool, Field(OBJECT), FIELD_ERRORS, where)
        if tool.get("type") is None:
            raise FIELD_ERRORS.missing(f"{where}.type")
        check_value(tool["type"], Field(TEXT, choices=tool_kinds(model)), FIELD_ERRORS, f"{where}.type")
        if tool["type"] == "custom":
            check(tool, CUSTOM_TOOL, FIELD_ERRORS, f"{where}.")
            check_grammar(tool.get("format"), tool.get("format"), f"{where}.format")
            name = check_tool_name(tool["name"], f"{where}.name")
            specs.append(ToolSpec(name, tool.get("description") or "", {}, is_custom=True))
            continue
        check(tool, _TOOL, FIELD_ERRORS, f"{where}.")
        name = check_tool_name(tool["name"], f"{where}.name")
        schema = tool.get("parameters") or {}
        strict = tool.get("strict") is not False  # the real API's default is true
        check_tool_schema(schema, name, f"{where}.parameters", strict=strict)
        specs.append(ToolSpec(name, tool.get("description") or "", schema))
    return tuple(specs)


def _choice(
    body: dict[str, Any], tools: tuple[ToolSpec, ...]
) -> tuple[ToolMode, str | None, tuple[ToolSpec, ...]]:
    choice = body.get("tool_choice")
    if choice is None:
        return "auto", None, tools
    if isinstance(choice, str):
        check_value(choice, Field(TEXT, choices=tuple(MODES)), FIELD_ERRORS, "tool_choice")
        if choice == "required" and not tools:
            message = "Tool choice 'required' must be specified with 'tools' parameter."
            raise openai_error(400, message, param="tool_choice")
        return MODES[choice], None, tools
    if choice.get("type") == "allowed_tools":
        names = {tool.get("name") for tool in choice.get("tools") or []}
        return MODES[choice.get("mode", "auto")], None, tuple(tool for tool in tools if tool.name in names)
    name = choice.get("name")
    if name not in {tool.name for tool in tools}:
        message = f"Tool choice '{name}' not found in 'tools' parameter."
        raise openai_error(400, message, param="tool_choice")
    return "named", name, tools


def _format(text: dict[str, Any]) -> tuple[dict[str, Any] | None, bool]:
    check(text, _TEXT, FIELD_ERRORS, "text.")
    wanted = text.get("format") or {"type": "text"}
    kinds = ("text", "json_schema", "json_object")
    check_value(wanted.get("type"), Field(TEXT, choices=kinds), FIELD_ERRORS, "text.format.type")
    if wanted["type"] != "json_schema":
        return None, wanted["type"] == "json_object"
    for needed in ("name", "schema"):
        if wanted.get(needed) is None:
            raise FIELD_ERRORS.missing(f"text.format.{needed}")
    what = f"response_format '{wanted['name']}'"
    check_schema(wanted["schema"], what, "text.format.schema", strict=bool(wanted.get("strict")))
    return wanted["schema"], False
