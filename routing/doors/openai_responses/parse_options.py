"""Parse the Responses API's tools, tool choice, text and reasoning settings into the neutral language."""

import hashlib
from collections.abc import Iterator
from typing import Any, Literal, cast

import msgspec

from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.doors.shared.openai_tools import (
    MAX_TOOL_NAME,
    MAX_TOOLS,
    allowed_tools,
    custom_tool,
    flag,
    function_tool,
    tool_name,
)
from routing.doors.shared.schema_shape import schema
from routing.language.arms import Effort
from routing.language.chat import ResponseFormat, Tool, ToolChoice

VERBOSITIES = ("low", "medium", "high")
SUMMARIES = ("auto", "concise", "detailed")
OWN = ("function", "custom", "namespace")  # the types of tools that callers run themselves
LOGPROBS = "message.output_text.logprobs"
# Settings of `reasoning` that tune only OpenAI's models; they are ignored, as the receipt reports
_UNHEEDED = ("context", "mode")


class TextSettings(msgspec.Struct, frozen=True):
    format: ResponseFormat | None = None
    verbosity: str | None = None


class Reasoning(msgspec.Struct, frozen=True):
    effort: Effort | None = None
    summary: str | None = None  # None: not to be shown


def has_own(raw: Any) -> bool:
    """Return whether the caller runs at least one of the tools."""
    return isinstance(raw, list) and any(isinstance(tool, dict) and tool.get("type") in OWN for tool in raw)


def tools(
    raw: Any, errors: FieldErrors, path: str = "tools", *, beside_own: bool | None = None
) -> tuple[Tool, ...]:
    """Parse a list of tools.

    `beside_own` says whether the caller runs a tool of this list or another; None: look at this list only.
    """
    if raw is None:
        return ()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of tools.")
        return ()
    if len(raw) > MAX_TOOLS:
        errors.add(path, f"At most {MAX_TOOLS} tools are possible.")
        return ()
    ignores_hosted = has_own(raw) if beside_own is None else beside_own
    parsed: list[Tool] = []
    names: set[str] = set()
    for position, item in enumerate(raw):
        at = f"{path}[{position}]"
        if ignores_hosted and isinstance(item, dict) and is_hosted(item.get("type")):
            errors.ignore(f"{path}[].{item['type']}")
            continue
        for tool in _tools_of(item, at, errors):
            if tool.name and tool.name in names:
                errors.add(f"{at}.name", "There is another tool of this name.")
            names.add(tool.name)
            parsed.append(tool)
    return tuple(parsed)


def is_hosted(kind: Any) -> bool:
    """Return whether OpenAI would run the tool.

    Agents offer such tools beside their own, where they are ignored. On its own, a hosted tool is what the
    answer should come from, so it is refused.
    """
    return isinstance(kind, str) and kind not in OWN


def namespaces(raw: Any) -> dict[str, tuple[str, str]]:
    """Namespace and name of each tool in a namespace, by its flat name. `raw` must be free of errors."""
    return {
        flat(group["name"], tool["name"]): (group["name"], tool["name"])
        for group in raw or ()
        if group.get("type") == "namespace"
        for tool in group["tools"]
    }


def flat(namespace: str, name: str) -> str:
    """One name for namespace and name, short enough for every provider."""
    joined = f"{namespace}__{name}"
    if len(joined) <= MAX_TOOL_NAME:
        return joined
    digest = hashlib.blake2b(joined.encode(), digest_size=4).hexdigest()
    return f"{joined[: MAX_TOOL_NAME - 9]}_{digest}"


def additional(items: Any) -> Iterator[tuple[str, Any]]:
    """The paths and lists of tools that agents send among the input items."""
    for position, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict) and item.get("type") == "additional_tools":
            yield f"input[{position}].tools", item.get("tools")


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
        return allowed_tools(known, _allowed, errors, path)
    name = _named(known, path, errors)
    return ToolChoice("named", name) if name else None


def _named(raw: dict[str, Any], path: str, errors: FieldErrors) -> str | None:
    if raw.get("type") not in ("function", "custom"):
        errors.add(f"{path}.type", 'Must be "function", "custom" or, for several, "allowed_tools".')
        return None
    return full_name(raw, path, errors)


def _allowed(raw: dict[str, Any], path: str, errors: FieldErrors) -> str | None:
    """The name of an allowed tool; None for a hosted one, which is ignored as in the list of tools."""
    return None if is_hosted(raw.get("type")) else _named(raw, path, errors)


def full_name(raw: dict[str, Any], path: str, errors: FieldErrors) -> str | None:
    """The flat name of a tool, with its namespace."""
    name = text(raw, "name", path, errors, required=True)
    namespace = text(raw, "namespace", path, errors)
    return flat(namespace, name) if namespace and name else name


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], errors: FieldErrors) -> None:
    if choice is None:
        return
    unknown = set(choice.allowed) - {tool.name for tool in among}
    if unknown:
        errors.add("tool_choice.tools", f"None of the tools has the name {min(unknown)!r}.")
    if choice.mode == "named" and choice.name not in {tool.name for tool in among}:
        errors.add("tool_choice.name", "None of the tools has this name.")
    elif choice.mode == "required" and not among:
        errors.add("tool_choice", "A tool call can be required only when there are tools.")


def text_settings(raw: Any, errors: FieldErrors, path: str = "text") -> TextSettings:
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return TextSettings()
    _check_names(known, ("format", "verbosity"), path, errors)
    verbosity = _one_of(known, "verbosity", VERBOSITIES, path, errors)
    wanted = known.get("format")
    return TextSettings(None if wanted is None else _format(wanted, f"{path}.format", errors), verbosity)


def reasoning(raw: Any, errors: FieldErrors, path: str = "reasoning") -> Reasoning:
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return Reasoning()
    _check_names(known, ("effort", "summary", "generate_summary", *_UNHEEDED), path, errors)
    errors.ignore_unknown(known, frozenset({"effort", "summary", "generate_summary"}), path)
    effort = _one_of(known, "effort", tuple(Effort), path, errors)
    older = _one_of(known, "generate_summary", SUMMARIES, path, errors)
    summary = _one_of(known, "summary", SUMMARIES, path, errors)
    return Reasoning(Effort(effort) if effort else None, summary or older)


def include(raw: Any, errors: FieldErrors, path: str = "include") -> frozenset[str]:
    """Parse `include`. Encrypted reasoning is always included, and outputs of hosted tools never exist."""
    if raw is None:
        return frozenset()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of strings.")
        return frozenset()
    for position, name in enumerate(raw):
        if not isinstance(name, str):
            errors.add(f"{path}[{position}]", "Must be a string.")
    return frozenset(name for name in raw if isinstance(name, str))


def _format(raw: Any, path: str, errors: FieldErrors) -> ResponseFormat | None:
    known = record(raw, path, errors)
    if known is None:
        return None
    kind = known.get("type")
    if kind in ("text", "json_object"):
        return ResponseFormat(kind)
    if kind != "json_schema":
        errors.add(f"{path}.type", 'Must be "text", "json_object" or "json_schema".')
        return None
    return ResponseFormat(
        "json_schema",
        name=tool_name(known, path, errors),
        description=text(known, "description", path, errors),
        schema=schema(known.get("schema"), f"{path}.schema", errors),
        strict=flag(known, "strict", path, errors),
    )


def _tools_of(raw: Any, path: str, errors: FieldErrors) -> Iterator[Tool]:
    """Parse a tool, or the tools of a namespace, which get flat names."""
    if not isinstance(raw, dict) or raw.get("type") != "namespace":
        yield _tool(raw, path, errors)
        return
    name, inner = tool_name(raw, path, errors) or "", raw.get("tools")
    about = text(raw, "description", path, errors)
    if not isinstance(inner, list):
        errors.add(f"{path}.tools", "Must be a list of tools.")
        return
    if len(inner) > MAX_TOOLS:
        errors.add(f"{path}.tools", f"At most {MAX_TOOLS} tools are possible.")
        return
    for position, item in enumerate(inner):
        tool = _tool(item, f"{path}.tools[{position}]", errors)
        description = "\n\n".join(filter(None, [about, tool.description])) or None
        yield msgspec.structs.replace(tool, name=flat(name, tool.name), description=description)


def _tool(raw: Any, path: str, errors: FieldErrors) -> Tool:
    known = record(raw, path, errors)
    if known is None:
        return Tool("")
    kind = known.get("type")
    if kind == "custom":
        return custom_tool(known, path, errors, is_flat=True)
    if kind != "function":
        fault = 'Must be "function" or "custom": no tools are hosted here.'
        errors.add(f"{path}.type", "This field is required." if kind is None else fault)
        return Tool("")
    return function_tool(known, path, errors, is_flat=True)


def _one_of(
    raw: dict[str, Any], name: str, among: tuple[str, ...], path: str, errors: FieldErrors
) -> str | None:
    value = raw.get(name)
    if value is None or (isinstance(value, str) and value in among):
        return value
    errors.add(f"{path}.{name}", f"Must be one of: {', '.join(among)}.")
    return None


def _check_names(raw: dict[str, Any], known: tuple[str, ...], path: str, errors: FieldErrors) -> None:
    for name in raw:
        if name not in known:
            errors.add(f"{path}.{name}", "There is no such field.")
