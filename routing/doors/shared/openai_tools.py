"""Parse OpenAI's tools, tool choice, stop and response format, for the native and the OpenAI doors."""

import re
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.doors.shared.openai_messages import cache_mark
from routing.doors.shared.schema_shape import schema
from routing.language.chat import Grammar, ResponseFormat, Tool, ToolChoice

MAX_TOOLS = 128
MAX_STOPS = 4
_FIELDS = frozenset({"type", "function", "custom", "cache_control"})
_FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict", "cache_control"})
_CUSTOM_FIELDS = frozenset({"name", "description", "format"})
MAX_TOOL_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9_-]+")


def tools(raw: Any, errors: FieldErrors, path: str = "tools") -> tuple[Tool, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of tools.")
        return ()
    if len(raw) > MAX_TOOLS:
        errors.add(path, f"At most {MAX_TOOLS} tools are possible.")
        return ()
    parsed = [_tool(item, f"{path}[{position}]", errors) for position, item in enumerate(raw)]
    names: set[str] = set()
    for position, tool in enumerate(parsed):
        if tool.name and tool.name in names:
            errors.add(f"{path}[{position}].function.name", "There is another tool of this name.")
        names.add(tool.name)
    return tuple(parsed)


def functions(raw: Any, errors: FieldErrors, path: str = "functions") -> tuple[Tool, ...]:
    """Parse `functions`, the older form of tools."""
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        errors.add(path, "Must be a list of functions.")
        return ()
    if len(raw) > MAX_TOOLS:
        errors.add(path, f"At most {MAX_TOOLS} functions are possible.")
        return ()
    parsed = tuple(function_tool(item, f"{path}[{position}]", errors) for position, item in enumerate(raw))
    if len({tool.name for tool in parsed}) < len(parsed):
        errors.add(path, "Two functions have the same name.")
    return parsed


def function_call(raw: Any, errors: FieldErrors, path: str = "function_call") -> ToolChoice | None:
    """Parse `function_call`, the older form of the tool choice: "auto", "none" or a name."""
    if raw is None or raw in ("auto", "none"):
        return None if raw is None else ToolChoice(raw)
    known = record(raw, path, errors)
    name = text(known, "name", path, errors, required=True) if known is not None else None
    return ToolChoice("named", name) if name else None


def tool_choice(raw: Any, errors: FieldErrors, path: str = "tool_choice") -> ToolChoice | None:
    """Parse the choice alone; `check_tool_choice` compares it with the tools."""
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw in ("auto", "none", "required"):
            return ToolChoice(cast(Literal["auto", "none", "required"], raw))
        errors.add(path, 'Must be "auto", "none", "required" or name a function.')
        return None
    known = record(raw, path, errors)
    if known is None:
        return None
    if known.get("type") == "allowed_tools":
        at = f"{path}.allowed_tools"
        allowed = record(known.get("allowed_tools"), at, errors)
        return None if allowed is None else allowed_tools(allowed, _named, errors, at)
    name = _named(known, path, errors)
    return ToolChoice("named", name) if name else None


def allowed_tools(
    raw: dict[str, Any],
    parse_name: Callable[[dict[str, Any], str, FieldErrors], str | None],
    errors: FieldErrors,
    path: str,
) -> ToolChoice | None:
    """Parse a choice among some of the tools. `parse_name` parses each of them."""
    mode, tools = raw.get("mode"), raw.get("tools")
    if mode not in ("auto", "required"):
        errors.add(f"{path}.mode", 'Must be "auto" or "required".')
        return None
    if not isinstance(tools, list) or not tools:
        errors.add(f"{path}.tools", "Must be a list of at least one tool.")
        return None
    names: list[str] = []
    for position, item in enumerate(tools):
        at = f"{path}.tools[{position}]"
        known = record(item, at, errors)
        name = parse_name(known, at, errors) if known is not None else None
        if name:
            names.append(name)
    if not names and not errors.details:
        errors.add(f"{path}.tools", "None of these tools can be called here.")
    return ToolChoice(mode, allowed=tuple(dict.fromkeys(names)))


def _named(raw: dict[str, Any], path: str, errors: FieldErrors) -> str | None:
    kind = raw.get("type")
    if kind not in ("function", "custom"):
        errors.add(f"{path}.type", 'Must be "function", "custom" or, for several, "allowed_tools".')
        return None
    inner = record(raw.get(kind), f"{path}.{kind}", errors)
    return None if inner is None else text(inner, "name", f"{path}.{kind}", errors, required=True)


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], errors: FieldErrors) -> None:
    if choice is None:
        return
    unknown = set(choice.allowed) - {tool.name for tool in among}
    if unknown:
        errors.add("tool_choice.allowed_tools.tools", f"None of the tools has the name {min(unknown)!r}.")
    if choice.mode == "named" and choice.name not in {tool.name for tool in among}:
        errors.add("tool_choice.function.name", "None of the tools has this name.")
    elif choice.mode == "required" and not among:
        errors.add("tool_choice", "A tool call can be required only when there are tools.")


def response_format(raw: Any, errors: FieldErrors, path: str = "response_format") -> ResponseFormat | None:
    if raw is None:
        return None
    known = record(raw, path, errors)
    if known is None:
        return None
    kind = known.get("type")
    if kind in ("text", "json_object"):
        return ResponseFormat(kind)
    if kind != "json_schema":
        errors.add(f"{path}.type", 'Must be "text", "json_object" or "json_schema".')
        return None
    at = f"{path}.json_schema"
    described = record(known.get("json_schema"), at, errors)
    if described is None:
        return None
    return ResponseFormat(
        "json_schema",
        name=tool_name(described, at, errors),
        description=text(described, "description", at, errors),
        schema=schema(described.get("schema"), f"{at}.schema", errors),
        strict=flag(described, "strict", at, errors),
    )


def stop(raw: Any, errors: FieldErrors, path: str = "stop") -> tuple[str, ...]:
    """Parse a stop sequence, or a list of up to four."""
    if raw is None:
        return ()
    if isinstance(raw, str):
        raw = [raw]
    elif not isinstance(raw, list):
        errors.add(path, "Must be a string or a list of strings.")
        return ()
    elif len(raw) > MAX_STOPS:
        errors.add(path, f"At most {MAX_STOPS} stop sequences are possible.")
        return ()
    for position, word in enumerate(raw):
        if not isinstance(word, str):
            errors.add(f"{path}[{position}]", "Must be a string.")
        elif not word:
            errors.add(f"{path}[{position}]", "Must not be empty.")
    return tuple(word for word in raw if isinstance(word, str))


def _tool(raw: Any, path: str, errors: FieldErrors) -> Tool:
    known = record(raw, path, errors)
    if known is None:
        return Tool("")
    kind = known.get("type")
    if kind not in ("function", "custom"):
        errors.add(f"{path}.type", 'Must be "function" or "custom".')
        return Tool("")
    errors.ignore_unknown(known, _FIELDS, path)
    at = f"{path}.{kind}"
    inner = record(known.get(kind), at, errors)
    if inner is None:
        return Tool("")
    tool = (function_tool if kind == "function" else custom_tool)(inner, at, errors)
    mark = cache_mark(known, path, errors) or cache_mark(inner, at, errors)
    return msgspec.structs.replace(tool, cache=mark)


def function_tool(raw: dict[str, Any], path: str, errors: FieldErrors, *, is_flat: bool = False) -> Tool:
    """Parse a function. `is_flat`: the form of the Responses API, with the type beside the name."""
    errors.ignore_unknown(raw, _FUNCTION_FIELDS | {"type"} if is_flat else _FUNCTION_FIELDS, path)
    parameters = raw.get("parameters")
    return Tool(
        name=tool_name(raw, path, errors) or "",
        description=text(raw, "description", path, errors),
        parameters={} if parameters is None else schema(parameters, f"{path}.parameters", errors) or {},
        strict=flag(raw, "strict", path, errors),
    )


def custom_tool(raw: dict[str, Any], path: str, errors: FieldErrors, *, is_flat: bool = False) -> Tool:
    """Parse a custom tool. `is_flat`: the form of the Responses API, with the grammar in the format."""
    errors.ignore_unknown(raw, _CUSTOM_FIELDS | {"type"} if is_flat else _CUSTOM_FIELDS, path)
    form, at = raw.get("format"), f"{path}.format"
    known = None if form is None else record(form, at, errors)
    inner = None
    if known is not None and known.get("type") == "grammar":
        at = at if is_flat else f"{at}.grammar"
        inner = known if is_flat else record(known.get("grammar"), at, errors)
    elif known is not None and known.get("type") != "text":
        errors.add(f"{at}.type", 'Must be "text" or "grammar".')
    return Tool(
        name=tool_name(raw, path, errors) or "",
        description=text(raw, "description", path, errors),
        is_custom=True,
        grammar=None if inner is None else _grammar(inner, at, errors),
    )


def _grammar(raw: dict[str, Any], path: str, errors: FieldErrors) -> Grammar | None:
    syntax = raw.get("syntax")
    definition = text(raw, "definition", path, errors, required=True)
    if syntax not in ("lark", "regex"):
        errors.add(f"{path}.syntax", 'Must be "lark" or "regex".')
        return None
    return Grammar(syntax, definition or "")


def tool_name(raw: dict[str, Any], path: str, errors: FieldErrors, most: int = MAX_TOOL_NAME) -> str | None:
    """The name of a tool or a schema, of at most `most` characters."""
    name = text(raw, "name", path, errors)
    if name is None:
        if raw.get("name") is None:
            errors.add(f"{path}.name", "This field is required.")
    elif not _NAME.fullmatch(name) or len(name) > most:
        errors.add(f"{path}.name", f"Must be 1 to {most} letters, digits, underscores or hyphens.")
    return name


def flag(raw: dict[str, Any], name: str, path: str, errors: FieldErrors) -> bool | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, bool):
        errors.add(f"{path}.{name}", "Must be true or false.")
        return None
    return value
