"""Anthropic's tools, tool choice, thinking and output settings into the neutral language."""

from typing import Any

import msgspec

from routing.doors.shared.field_errors import FieldErrors, record, text
from routing.doors.shared.openai_messages import cache_mark, mark_of
from routing.doors.shared.openai_tools import MAX_TOOLS, flag, tool_name
from routing.doors.shared.schema_shape import schema
from routing.doors.shared.wire_types import MAX_TOKENS, MAX_USER
from routing.language.arms import Effort
from routing.language.chat import CacheMark, ResponseFormat, Tool, ToolChoice

MAX_STOPS = 16
MIN_BUDGET = 1024  # of tokens to think with, as the API has it
# The effort that a budget of at most so many tokens stands for
_EFFORTS = ((1024, Effort.MINIMAL), (4096, Effort.LOW), (12_000, Effort.MEDIUM), (24_000, Effort.HIGH))
_LEVELS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH, Effort.XHIGH, Effort.MAX)
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_SCHEMA_NAME = "answer"  # the dialect has no name for a schema, others demand one


class Choice(msgspec.Struct, frozen=True):
    tool: ToolChoice | None = None
    parallel: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`effort` None: the model's or the router's to choose. `shown`: whether the caller can take thinking."""

    effort: Effort | None = None
    shown: bool = False
    budget: int | None = None  # tokens


class Output(msgspec.Struct, frozen=True):
    effort: Effort | None = None
    format: ResponseFormat | None = None


def tools(raw: Any, errors: FieldErrors, path: str = "tools") -> tuple[Tool, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of tools.")
        return ()
    if len(raw) > MAX_TOOLS:
        errors.add(path, f"At most {MAX_TOOLS} tools are possible.")
        return ()
    hosted = [isinstance(one, dict) and is_hosted(one.get("type")) for one in raw]
    read: list[Tool] = []
    names: set[str] = set()
    for position, one in enumerate(raw):
        at = f"{path}[{position}]"
        if hosted[position] and not all(hosted):
            errors.ignore(f"{path}[].{one['type']}")
            continue
        tool = _tool(one, at, errors)
        if tool.name and tool.name in names:
            errors.add(f"{at}.name", "There is another tool of this name.")
        names.add(tool.name)
        read.append(tool)
    return tuple(read)


def is_hosted(kind: Any) -> bool:
    """As at the Responses door: beside a caller's own tools it can be done without."""
    return isinstance(kind, str) and kind != "custom"


def tool_choice(raw: Any, errors: FieldErrors, path: str = "tool_choice") -> Choice:
    """Whether it fits the tools is for `check_tool_choice`."""
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return Choice()
    alone = flag(known, "disable_parallel_tool_use", path, errors)
    parallel = None if alone is None else not alone
    match known.get("type"):
        case "auto":
            return Choice(ToolChoice("auto"), parallel)
        case "any":
            return Choice(ToolChoice("required"), parallel)
        case "none":
            return Choice(ToolChoice("none"), parallel)
        case "tool":
            name = text(known, "name", path, errors, required=True)
            return Choice(ToolChoice("named", name) if name else None, parallel)
    errors.add(f"{path}.type", 'Must be "auto", "any", "tool" or "none".')
    return Choice()


def check_tool_choice(choice: ToolChoice | None, among: tuple[Tool, ...], errors: FieldErrors) -> None:
    if choice is None:
        return
    if choice.mode == "named" and choice.name not in {tool.name for tool in among}:
        errors.add("tool_choice.name", "None of the tools has this name.")
    elif choice.mode == "required" and not among:
        errors.add("tool_choice", "A tool call can be required only when there are tools.")


def thinking(raw: Any, errors: FieldErrors, path: str = "thinking") -> Thinking:
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return Thinking()
    kind = known.get("type")
    if kind in ("disabled", "between_tools"):
        return Thinking(Effort.NONE)
    if kind not in ("enabled", "adaptive"):
        errors.add(f"{path}.type", 'Must be "enabled", "adaptive", "disabled" or "between_tools".')
        return Thinking()
    if known.get("display") not in (None, "summarized", "omitted"):
        errors.add(f"{path}.display", 'Must be "summarized" or "omitted".')
    if kind == "adaptive":
        return Thinking(shown=True)
    budget = known.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool):
        told = "This field is required." if budget is None else "Must be an integer."
        errors.add(f"{path}.budget_tokens", told)
        return Thinking(shown=True)
    if not MIN_BUDGET <= budget <= MAX_TOKENS:
        errors.add(f"{path}.budget_tokens", f"Must be between {MIN_BUDGET} and {MAX_TOKENS}.")
    effort = next((effort for most, effort in _EFFORTS if budget <= most), Effort.XHIGH)
    return Thinking(effort, shown=True, budget=budget)


def cache(raw: Any, errors: FieldErrors, path: str = "cache_control") -> CacheMark | None:
    """The mark for the end of the whole request."""
    return None if raw is None else mark_of(raw, path, errors)


def output_config(raw: Any, errors: FieldErrors, path: str = "output_config") -> Output:
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return Output()
    effort = known.get("effort")
    if effort is not None and effort not in _LEVELS:
        errors.add(f"{path}.effort", f"Must be one of: {', '.join(_LEVELS)}.")
        effort = None
    wanted, at = known.get("format"), f"{path}.format"
    form = None if wanted is None else record(wanted, at, errors)
    if form is None:
        return Output(Effort(effort) if effort else None)
    if form.get("type") != "json_schema":
        errors.add(f"{at}.type", 'Must be "json_schema".')
    made = ResponseFormat(
        "json_schema",
        name=_SCHEMA_NAME,
        schema=schema(form.get("schema"), f"{at}.schema", errors),
        strict=True,
    )
    return Output(Effort(effort) if effort else None, made)


def user(raw: Any, errors: FieldErrors, path: str = "metadata") -> str | None:
    """`metadata.user_id`."""
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return None
    for name in known:
        if name != "user_id":
            errors.add(f"{path}.{name}", "There is no such field.")
    read = text(known, "user_id", path, errors)
    if read is not None and len(read) > MAX_USER:
        errors.add(f"{path}.user_id", f"Must have at most {MAX_USER} characters.")
    return read


def stops(raw: Any, errors: FieldErrors, path: str = "stop_sequences") -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of strings.")
        return ()
    if len(raw) > MAX_STOPS:
        errors.add(path, f"At most {MAX_STOPS} stop sequences are possible.")
        return ()
    for position, one in enumerate(raw):
        if not isinstance(one, str):
            errors.add(f"{path}[{position}]", "Must be a string.")
        elif not one:
            errors.add(f"{path}[{position}]", "Must not be empty.")
    return tuple(one for one in raw if isinstance(one, str))


def _tool(raw: Any, path: str, errors: FieldErrors) -> Tool:
    known = record(raw, path, errors)
    if known is None:
        return Tool("")
    if known.get("type") not in (None, "custom"):
        errors.add(
            f"{path}.type", 'Only tools of your own are possible here: leave it out, or send "custom".'
        )
        return Tool("")
    errors.ignore_unknown(known, _TOOL_FIELDS, path)
    return Tool(
        name=tool_name(known, path, errors) or "",
        description=text(known, "description", path, errors),
        parameters=schema(known.get("input_schema"), f"{path}.input_schema", errors) or {},
        strict=flag(known, "strict", path, errors),
        cache=cache_mark(known, path, errors),
    )
