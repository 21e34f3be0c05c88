"""Parse how much to reason: `reasoning_effort`, and `reasoning`, `thinking` of other gateways."""

from typing import Any, NamedTuple

from routing.doors.shared.field_errors import FieldErrors, record
from routing.doors.shared.wire_types import MAX_TOKENS
from routing.language.arms import Effort, effort_of_budget

OBJECTS = ("reasoning", "thinking")
_SWITCHES = {
    "reasoning": frozenset({"effort", "max_tokens", "enabled"}),
    "thinking": frozenset({"effort", "budget_tokens", "type"}),
}


class Reasoning(NamedTuple):
    """`budget`: thinking tokens, where the caller states its effort so."""

    effort: Effort | None = None
    budget: int | None = None


def reasoning(effort: Effort | None, raw: dict[str, Any], errors: FieldErrors) -> Reasoning:
    """The effort that the request pins: of `reasoning_effort`, `reasoning`, `thinking`, the first.

    `raw`: the whole body. Other settings of the two objects are ignored, as the receipt reports.
    """
    pinned = Reasoning(effort)
    for name in OBJECTS:
        if raw.get(name) is None:
            continue
        known = record(raw[name], name, errors)
        if known is None:
            continue
        errors.ignore_unknown(known, _SWITCHES[name], name)
        parsed = _parsed(known, name, errors)
        if pinned == Reasoning():
            pinned = parsed
    return pinned


def _parsed(known: dict[str, Any], path: str, errors: FieldErrors) -> Reasoning:
    effort = known.get("effort")
    if effort is not None:
        if effort in tuple(Effort):
            return Reasoning(Effort(effort))
        errors.add(f"{path}.effort", f"Must be one of: {', '.join(Effort)}.")
        return Reasoning()
    if known.get("enabled") is False or known.get("type") == "disabled":
        return Reasoning(Effort.NONE)
    name = "max_tokens" if path == "reasoning" else "budget_tokens"
    budget = known.get(name)
    if budget is None:
        return Reasoning()
    if not isinstance(budget, int) or isinstance(budget, bool) or not 1 <= budget <= MAX_TOKENS:
        errors.add(f"{path}.{name}", f"Must be an integer between 1 and {MAX_TOKENS}.")
        return Reasoning()
    return Reasoning(effort_of_budget(budget), budget)
