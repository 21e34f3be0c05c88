"""The Responses API's tools, tool choice, text and reasoning settings into the neutral language."""

from typing import Any, Literal, cast

import msgspec

from routing.arms import Effort
from routing.chat import ResponseFormat, Tool, ToolChoice
from routing.doors.findings import Findings, record, text
from routing.doors.parse_tools import MAX_TOOLS, flag, tool_name

VERBOSITIES = ("low", "medium", "high")
SUMMARIES = ("auto", "concise", "detailed")
_NO_LOGPROBS = "message.output_text.logprobs"


class TextSettings(msgspec.Struct, frozen=True):
    format: ResponseFormat | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    effort: Effort | None = None
    summary: str | None = None  # None: not to be shown


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
            bad.add(f"{path}[{position}].name", "There is another tool of this name.")
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
    name = text(known, "name", path, bad, required=True)
    return ToolChoice("named", name) if name else None


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], bad: Findings) -> None:
    if choice is None:
        return
    if choice.mode == "named" and choice.name not in {tool.name for tool in among}:
        bad.add("tool_choice.name", "None of the tools has this name.")
    elif choice.mode == "required" and not among:
        bad.add("tool_choice", "A tool call can be required only when there are tools.")


def text_settings(raw: Any, bad: Findings, path: str = "text") -> TextSettings:
    known = None if raw is None else record(raw, path, bad)
    if known is None:
        return TextSettings()
    _check_names(known, ("format", "verbosity"), path, bad)
    verbosity = _one_of(known, "verbosity", VERBOSITIES, path, bad)
    wanted = known.get("format")
    return TextSettings(None if wanted is None else _format(wanted, f"{path}.format", bad), verbosity)


def reasoning(raw: Any, bad: Findings, path: str = "reasoning") -> Reasoning:
    known = None if raw is None else record(raw, path, bad)
    if known is None:
        return Reasoning()
    _check_names(known, ("effort", "summary", "generate_summary"), path, bad)
    effort = _one_of(known, "effort", tuple(Effort), path, bad)
    older = _one_of(known, "generate_summary", SUMMARIES, path, bad)
    summary = _one_of(known, "summary", SUMMARIES, path, bad)
    return Reasoning(Effort(effort) if effort else None, summary or older)


def include(raw: Any, bad: Findings, path: str = "include") -> None:
    """Encrypted reasoning always is included; what belongs to hosted tools never comes up."""
    if raw is None:
        return
    if not isinstance(raw, list):
        bad.add(path, "Must be a list of strings.")
        return
    for position, one in enumerate(raw):
        if not isinstance(one, str):
            bad.add(f"{path}[{position}]", "Must be a string.")
        elif one == _NO_LOGPROBS:
            bad.add(f"{path}[{position}]", "Log probabilities are given by /v1/chat/completions only.")


def _format(raw: Any, path: str, bad: Findings) -> ResponseFormat | None:
    known = record(raw, path, bad)
    if known is None:
        return None
    kind = known.get("type")
    if kind in ("text", "json_object"):
        return ResponseFormat(kind)
    if kind != "json_schema":
        bad.add(f"{path}.type", 'Must be "text", "json_object" or "json_schema".')
        return None
    return ResponseFormat(
        "json_schema",
        name=tool_name(known, path, bad),
        description=text(known, "description", path, bad),
        schema=record(known.get("schema"), f"{path}.schema", bad),
        strict=flag(known, "strict", path, bad),
    )


def _tool(raw: Any, path: str, bad: Findings) -> Tool:
    known = record(raw, path, bad)
    if known is None:
        return Tool("")
    kind = known.get("type")
    if kind != "function":
        told = "This field is required." if kind is None else 'Must be "function": no tools are hosted here.'
        bad.add(f"{path}.type", told)
        return Tool("")
    parameters = known.get("parameters")
    return Tool(
        name=tool_name(known, path, bad) or "",
        description=text(known, "description", path, bad),
        parameters={} if parameters is None else record(parameters, f"{path}.parameters", bad) or {},
        strict=flag(known, "strict", path, bad),
    )


def _one_of(raw: dict[str, Any], name: str, among: tuple[str, ...], path: str, bad: Findings) -> str | None:
    value = raw.get(name)
    if value is None or (isinstance(value, str) and value in among):
        return value
    bad.add(f"{path}.{name}", f"Must be one of: {', '.join(among)}.")
    return None


def _check_names(raw: dict[str, Any], known: tuple[str, ...], path: str, bad: Findings) -> None:
    for name in raw:
        if name not in known:
            bad.add(f"{path}.{name}", "There is no such field.")
