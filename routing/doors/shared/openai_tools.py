"""OpenAI's tools, tool choice, stop and response format into the neutral language, for both chat doors."""

import re
from collections.abc import Callable
from typing import Any, Literal, cast

import msgspec

from routing.doors.shared.openai_messages import Findings, cache_mark, record, text
from routing.doors.shared.schema_shape import schema
from routing.language.chat import Grammar, ResponseFormat, Tool, ToolChoice

MAX_TOOLS = 128
MAX_STOPS = 4
_FIELDS = frozenset({"type", "function", "custom", "cache_control"})
_FUNCTION_FIELDS = frozenset({"name", "description", "parameters", "strict"})
_CUSTOM_FIELDS = frozenset({"name", "description", "format"})
MAX_TOOL_NAME = 64
_NAME = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_TOOL_NAME}}}")
_NAME_RULE = f"Must be 1 to {MAX_TOOL_NAME} letters, digits, underscores or hyphens."


def tools(raw: Any, bad: Findings, path: str = "tools") -> tuple[Tool, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        bad.add(path, "Must be a list of tools.")
        return ()
    if len(raw) > MAX_TOOLS:
        bad.add(path, f"At most {MAX_TOOLS} tools are possible.")
        return ()
    read = [_tool(one, f"{path}[{position}]", bad) for position, one in enumerate(raw)]
    names: set[str] = set()
    for position, tool in enumerate(read):
        if tool.name and tool.name in names:
            bad.add(f"{path}[{position}].function.name", "There is another tool of this name.")
        names.add(tool.name)
    return tuple(read)


def functions(raw: Any, bad: Findings, path: str = "functions") -> tuple[Tool, ...]:
    """The older form of tools."""
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        bad.add(path, "Must be a list of functions.")
        return ()
    if len(raw) > MAX_TOOLS:
        bad.add(path, f"At most {MAX_TOOLS} functions are possible.")
        return ()
    read = tuple(function_tool(one, f"{path}[{position}]", bad) for position, one in enumerate(raw))
    if len({tool.name for tool in read}) < len(read):
        bad.add(path, "Two functions have the same name.")
    return read


def function_call(raw: Any, bad: Findings, path: str = "function_call") -> ToolChoice | None:
    """The older form of the tool choice: "auto", "none" or a name."""
    if raw is None or raw in ("auto", "none"):
        return None if raw is None else ToolChoice(raw)
    known = record(raw, path, bad)
    name = text(known, "name", path, bad, required=True) if known is not None else None
    return ToolChoice("named", name) if name else None


def tool_choice(raw: Any, bad: Findings, path: str = "tool_choice") -> ToolChoice | None:
    """Whether it fits the tools is for `check_tool_choice`."""
    if raw is None:
        return None
    if isinstance(raw, str):
        if raw in ("auto", "none", "required"):
            return ToolChoice(cast(Literal["auto", "none", "required"], raw))
        bad.add(path, 'Must be "auto", "none", "required" or name a function.')
        return None
    known = record(raw, path, bad)
    if known is None:
        return None
    if known.get("type") == "allowed_tools":
        at = f"{path}.allowed_tools"
        allowed = record(known.get("allowed_tools"), at, bad)
        return None if allowed is None else allowed_tools(allowed, _named, bad, at)
    name = _named(known, path, bad)
    return ToolChoice("named", name) if name else None


def allowed_tools(
    raw: dict[str, Any],
    named: Callable[[dict[str, Any], str, Findings], str | None],
    bad: Findings,
    path: str,
) -> ToolChoice | None:
    """Some of the tools; `named` reads one."""
    mode, tools = raw.get("mode"), raw.get("tools")
    if mode not in ("auto", "required"):
        bad.add(f"{path}.mode", 'Must be "auto" or "required".')
        return None
    if not isinstance(tools, list) or not tools:
        bad.add(f"{path}.tools", "Must be a list of at least one tool.")
        return None
    names: list[str] = []
    for position, one in enumerate(tools):
        at = f"{path}.tools[{position}]"
        known = record(one, at, bad)
        name = named(known, at, bad) if known is not None else None
        if name:
            names.append(name)
    if not names and not bad.found:
        bad.add(f"{path}.tools", "None of these tools can be called here.")
    return ToolChoice(mode, allowed=tuple(dict.fromkeys(names)))


def _named(raw: dict[str, Any], path: str, bad: Findings) -> str | None:
    kind = raw.get("type")
    if kind not in ("function", "custom"):
        bad.add(f"{path}.type", 'Must be "function", "custom" or, for several, "allowed_tools".')
        return None
    inner = record(raw.get(kind), f"{path}.{kind}", bad)
    return None if inner is None else text(inner, "name", f"{path}.{kind}", bad, required=True)


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], bad: Findings) -> None:
    if choice is None:
        return
    unknown = set(choice.allowed) - {tool.name for tool in among}
    if unknown:
        bad.add("tool_choice.allowed_tools.tools", f"None of the tools has the name {min(unknown)!r}.")
    if choice.mode == "named" and choice.name not in {tool.name for tool in among}:
        bad.add("tool_choice.function.name", "None of the tools has this name.")
    elif choice.mode == "required" and not among:
        bad.add("tool_choice", "A tool call can be required only when there are tools.")


def response_format(raw: Any, bad: Findings, path: str = "response_format") -> ResponseFormat | None:
    if raw is None:
        return None
    known = record(raw, path, bad)
    if known is None:
        return None
    kind = known.get("type")
    if kind in ("text", "json_object"):
        return ResponseFormat(kind)
    if kind != "json_schema":
        bad.add(f"{path}.type", 'Must be "text", "json_object" or "json_schema".')
        return None
    at = f"{path}.json_schema"
    described = record(known.get("json_schema"), at, bad)
    if described is None:
        return None
    return ResponseFormat(
        "json_schema",
        name=tool_name(described, at, bad),
        description=text(described, "description", at, bad),
        schema=schema(described.get("schema"), f"{at}.schema", bad),
        strict=flag(described, "strict", at, bad),
    )


def stop(raw: Any, bad: Findings, path: str = "stop") -> tuple[str, ...]:
    """A string or up to four."""
    if raw is None:
        return ()
    if isinstance(raw, str):
        raw = [raw]
    elif not isinstance(raw, list):
        bad.add(path, "Must be a string or a list of strings.")
        return ()
    elif len(raw) > MAX_STOPS:
        bad.add(path, f"At most {MAX_STOPS} stop sequences are possible.")
        return ()
    for position, one in enumerate(raw):
        if not isinstance(one, str):
            bad.add(f"{path}[{position}]", "Must be a string.")
        elif not one:
            bad.add(f"{path}[{position}]", "Must not be empty.")
    return tuple(one for one in raw if isinstance(one, str))


def _tool(raw: Any, path: str, bad: Findings) -> Tool:
    known = record(raw, path, bad)
    if known is None:
        return Tool("")
    kind = known.get("type")
    if kind not in ("function", "custom"):
        bad.add(f"{path}.type", 'Must be "function" or "custom".')
        return Tool("")
    bad.leave(known, _FIELDS, path)
    at = f"{path}.{kind}"
    inner = record(known.get(kind), at, bad)
    if inner is None:
        return Tool("")
    read = (function_tool if kind == "function" else custom_tool)(inner, at, bad)
    return msgspec.structs.replace(read, cache=cache_mark(known, path, bad))


def function_tool(raw: dict[str, Any], path: str, bad: Findings, *, is_flat: bool = False) -> Tool:
    """`is_flat`: as the Responses API has it, with the type beside the name."""
    bad.leave(raw, _FUNCTION_FIELDS | {"type"} if is_flat else _FUNCTION_FIELDS, path)
    parameters = raw.get("parameters")
    return Tool(
        name=tool_name(raw, path, bad) or "",
        description=text(raw, "description", path, bad),
        parameters={} if parameters is None else schema(parameters, f"{path}.parameters", bad) or {},
        strict=flag(raw, "strict", path, bad),
    )


def custom_tool(raw: dict[str, Any], path: str, bad: Findings, *, is_flat: bool = False) -> Tool:
    """`is_flat`: as the Responses API has it, the type beside the name, and the grammar in the format."""
    bad.leave(raw, _CUSTOM_FIELDS | {"type"} if is_flat else _CUSTOM_FIELDS, path)
    form, at = raw.get("format"), f"{path}.format"
    known = None if form is None else record(form, at, bad)
    inner = None
    if known is not None and known.get("type") == "grammar":
        at = at if is_flat else f"{at}.grammar"
        inner = known if is_flat else record(known.get("grammar"), at, bad)
    elif known is not None and known.get("type") != "text":
        bad.add(f"{at}.type", 'Must be "text" or "grammar".')
    return Tool(
        name=tool_name(raw, path, bad) or "",
        description=text(raw, "description", path, bad),
        is_custom=True,
        grammar=None if inner is None else _grammar(inner, at, bad),
    )


def _grammar(raw: dict[str, Any], path: str, bad: Findings) -> Grammar | None:
    syntax = raw.get("syntax")
    definition = text(raw, "definition", path, bad, required=True)
    if syntax not in ("lark", "regex"):
        bad.add(f"{path}.syntax", 'Must be "lark" or "regex".')
        return None
    return Grammar(syntax, definition or "")


def tool_name(raw: dict[str, Any], path: str, bad: Findings) -> str | None:
    name = text(raw, "name", path, bad)
    if name is None:
        if raw.get("name") is None:
            bad.add(f"{path}.name", "This field is required.")
    elif not _NAME.fullmatch(name):
        bad.add(f"{path}.name", _NAME_RULE)
    return name


def flag(raw: dict[str, Any], name: str, path: str, bad: Findings) -> bool | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, bool):
        bad.add(f"{path}.{name}", "Must be true or false.")
        return None
    return value
