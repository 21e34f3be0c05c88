"""OpenAI's tools, tool choice, stop and response format into the neutral language, for both chat doors."""

import re
from typing import Any, Literal, cast

from routing.chat import ResponseFormat, Tool, ToolChoice
from routing.doors.parse import Findings, cache_mark, record, text

MAX_TOOLS = 128
MAX_STOPS = 4
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME_RULE = "Must be 1 to 64 letters, digits, underscores or hyphens."


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
    if known.get("type") != "function":
        bad.add(f"{path}.type", 'Must be "function".')
        return None
    function = record(known.get("function"), f"{path}.function", bad)
    name = text(function, "name", f"{path}.function", bad, required=True) if function is not None else None
    return ToolChoice("named", name) if name else None


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], bad: Findings) -> None:
    if choice is None:
        return
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
        schema=record(described.get("schema"), f"{at}.schema", bad),
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
    if known.get("type") != "function":
        bad.add(f"{path}.type", 'Must be "function".')
        return Tool("")
    at = f"{path}.function"
    function = record(known.get("function"), at, bad)
    if function is None:
        return Tool("")
    parameters = function.get("parameters")
    return Tool(
        name=tool_name(function, at, bad) or "",
        description=text(function, "description", at, bad),
        parameters={} if parameters is None else record(parameters, f"{at}.parameters", bad) or {},
        strict=flag(function, "strict", at, bad),
        cache=cache_mark(known, path, bad),
    )


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
