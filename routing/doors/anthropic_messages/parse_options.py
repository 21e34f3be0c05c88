"""Parse Anthropic's tools, tool choice, thinking and output settings into the neutral language."""

from typing import Any

import msgspec

from routing.doors.shared.field_errors import MAX_PATH, FieldErrors, record, text
from routing.doors.shared.openai_messages import cache_mark, mark_at
from routing.doors.shared.openai_tools import flag, tool_name
from routing.doors.shared.schema_shape import schema
from routing.doors.shared.wire_types import MAX_TOKENS, MAX_USER
from routing.language.arms import Effort, effort_of_budget
from routing.language.chat import CacheMark, ResponseFormat, Tool, ToolChoice

MAX_TOOLS = 10_000  # the most that Anthropic's tool search takes
MAX_TOOL_NAME = 128  # characters
MAX_STOPS = 16
MIN_BUDGET = 1024  # thinking tokens; the least the Messages API takes
_DISPLAYS = ("summarized", "omitted", "updates")
_LEVELS = (Effort.LOW, Effort.MEDIUM, Effort.HIGH, Effort.XHIGH, Effort.MAX)
_TOOL_FIELDS = frozenset({"type", "name", "description", "input_schema", "strict", "cache_control"})
_SCHEMA_NAME = "answer"  # this API has no names for schemas, and other providers require one


class Choice(msgspec.Struct, frozen=True):
    tool: ToolChoice | None = None
    parallel: bool | None = None


class Thinking(msgspec.Struct, frozen=True):
    """`effort`: None lets the model or the router choose. `shown`: the client takes thinking blocks."""

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
    hosted = [isinstance(tool, dict) and is_hosted(tool.get("type")) for tool in raw]
    parsed: list[Tool] = []
    names: set[str] = set()
    for position, item in enumerate(raw):
        at = f"{path}[{position}]"
        if hosted[position] and not all(hosted):
            errors.ignore(f"{path}[].{item['type']}")
            continue
        tool = _tool(item, at, errors)
        if tool.name and tool.name in names:
            errors.add(f"{at}.name", "There is another tool of this name.")
        names.add(tool.name)
        parsed.append(tool)
    return tuple(parsed)


def is_hosted(kind: Any) -> bool:
    """Return whether the provider would run the tool. Beside a caller's own tools it is left out."""
    return isinstance(kind, str) and kind != "custom"


def tool_choice(raw: Any, errors: FieldErrors, path: str = "tool_choice") -> Choice:
    """Parse the choice alone; `check_tool_choice` compares it with the tools."""
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
    if known.get("display") not in (None, *_DISPLAYS):
        errors.add(f"{path}.display", f"Must be one of: {', '.join(_DISPLAYS)}.")
    if kind == "adaptive":
        return Thinking(shown=True)
    budget = known.get("budget_tokens")
    if not isinstance(budget, int) or isinstance(budget, bool):
        fault = "This field is required." if budget is None else "Must be an integer."
        errors.add(f"{path}.budget_tokens", fault)
        return Thinking(shown=True)
    if not MIN_BUDGET <= budget <= MAX_TOKENS:
        errors.add(f"{path}.budget_tokens", f"Must be between {MIN_BUDGET} and {MAX_TOKENS}.")
    return Thinking(effort_of_budget(budget), shown=True, budget=budget)


def cache(raw: Any, errors: FieldErrors, path: str = "cache_control") -> CacheMark | None:
    """Parse the cache mark for the end of the whole request."""
    return mark_at(raw, errors, path)


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
    response_format = ResponseFormat(
        "json_schema",
        name=_SCHEMA_NAME,
        schema=schema(form.get("schema"), f"{at}.schema", errors),
        strict=True,
    )
    return Output(Effort(effort) if effort else None, response_format)


def tuned(output_config: Any, thinking: Any) -> dict[str, Any]:
    """The settings of the two objects that only betas of Anthropic's API have, by their paths."""
    tuning: dict[str, Any] = {}
    for path, raw, known in (
        ("output_config", output_config, ("effort", "format")),
        ("thinking", thinking, ("type", "budget_tokens", "display")),
    ):
        if isinstance(raw, dict):
            settings = {f"{path}.{name}"[:MAX_PATH]: raw[name] for name in raw if name not in known}
            tuning |= {name: value for name, value in settings.items() if value is not None}
    if isinstance(thinking, dict) and thinking.get("display") == "updates":
        tuning["thinking.display"] = "updates"
    return tuning


def user(raw: Any, errors: FieldErrors, path: str = "metadata") -> str | None:
    """Parse `metadata.user_id`."""
    known = None if raw is None else record(raw, path, errors)
    if known is None:
        return None
    for name in known:
        if name != "user_id":
            errors.add(f"{path}.{name}", "There is no such field.")
    user_id = text(known, "user_id", path, errors)
    if user_id is not None and len(user_id) > MAX_USER:
        errors.add(f"{path}.user_id", f"Must have at most {MAX_USER} characters.")
    return user_id


def stops(raw: Any, errors: FieldErrors, path: str = "stop_sequences") -> tuple[str, ...]:
    if raw is None:
        return ()
    if not isinstance(raw, list):
        errors.add(path, "Must be a list of strings.")
        return ()
    if len(raw) > MAX_STOPS:
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
    if known.get("type") not in (None, "custom"):
        errors.add(
            f"{path}.type", 'Only tools of your own are possible here. Leave the type out, or send "custom".'
        )
        return Tool("")
    errors.ignore_unknown(known, _TOOL_FIELDS, path)
    return Tool(
        name=tool_name(known, path, errors, most=MAX_TOOL_NAME) or "",
        description=text(known, "description", path, errors),
        parameters=schema(known.get("input_schema"), f"{path}.input_schema", errors) or {},
        strict=flag(known, "strict", path, errors),
        cache=cache_mark(known, path, errors),
    )
