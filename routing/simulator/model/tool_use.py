"""The tool calls of a simulated model: which tools it calls, and with which arguments."""

import re

from routing.simulator.model.structured_output import example
from routing.simulator.shared.prompt import Call, Generation, ToolSpec

# Words of tool names that do not describe the tool's purpose.
_EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        "get set find list make call tool function fetch query run the for and with from",
    )
)
_PAIR = re.compile(r"\b([A-Z][\w'-]+) and ([A-Z][\w'-]+)")


def calls_for(generation: Generation) -> tuple[Call, ...]:
    """The calls of this turn: forced by the choice, or wanted by the prompt; none after a result."""
    if not generation.tools or generation.choice == "none":
        return ()
    if generation.choice == "named":
        chosen = [tool for tool in generation.tools if tool.name == generation.choice_name][:1]
    elif generation.fresh_results:
        chosen = []
    else:
        chosen = [tool for tool in generation.tools if _is_wanted(tool, generation.prompt)]
        if not chosen and generation.choice == "required":
            chosen = [generation.tools[0]]
    calls = [call for tool in chosen for call in _calls_of(tool, generation)]
    return tuple(calls if generation.parallel else calls[:1])


def _is_wanted(tool: ToolSpec, prompt: str) -> bool:
    lowered = prompt.lower()
    if tool.name.lower() in lowered:
        return True
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", tool.name).lower())
    telling = [word for word in words if len(word) > 2 and word not in _EMPTY_WORDS]
    return any(re.search(rf"\b{word}", lowered) for word in telling)


def _calls_of(tool: ToolSpec, generation: Generation) -> list[Call]:
    """One call; two when the prompt names a pair ("Paris and London")."""
    pair = _PAIR.search(generation.prompt)
    if pair is None:
        return [_call(tool, generation.prompt)]
    around = generation.prompt[: pair.start()], generation.prompt[pair.end() :]
    return [_call(tool, around[0] + name + around[1]) for name in pair.groups()]


def _call(tool: ToolSpec, prompt: str) -> Call:
    if tool.is_custom:
        return Call(tool.name, {}, f"for: {prompt[-200:]}")
    return Call(tool.name, _arguments(tool, prompt))


def _arguments(tool: ToolSpec, prompt: str) -> dict[str, object]:
    arguments = example(tool.schema, prompt) if tool.schema else {}
    return arguments if isinstance(arguments, dict) else {}
