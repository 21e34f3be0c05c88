"""Forms of tools that one dialect alone knows, in words that all know: custom tools and allowed tools.

A custom tool takes free text. Elsewhere it is a function with one text, which is taken out of the call's
arguments again while they arrive.
"""

import re
from collections.abc import Iterator

import msgspec

from routing.arms import ModelFacts
from routing.chat import ChatRequest, Finished, Message, StreamEvent, Tool, ToolCall, ToolCallDelta

INPUT = "input"  # the one property of a function that stands for a custom tool
AS_FUNCTIONS = "custom tools are functions with one text"
ONLY_ALLOWED = "tools that may not be called are left out"


class Plain(msgspec.Struct, frozen=True):
    """A request without such forms; `changes`: parameter and what was changed; `customs`: names of tools."""

    request: ChatRequest
    changes: tuple[tuple[str, str], ...] = ()
    customs: frozenset[str] = frozenset()


def plain(request: ChatRequest, model: ModelFacts) -> Plain:
    """The request as this model can be told it."""
    native = model.dialect == "openai"
    changes: list[tuple[str, str]] = []
    choice = request.tool_choice
    if choice is not None and choice.allowed and not native:
        kept = tuple(tool for tool in request.tools if tool.name in choice.allowed)
        request = msgspec.structs.replace(
            request, tools=kept, tool_choice=msgspec.structs.replace(choice, allowed=())
        )
        changes.append(("tool_choice", ONLY_ALLOWED))
    if native and model.quirks.get("custom_tools"):
        return Plain(request, tuple(changes))
    customs = frozenset(tool.name for tool in request.tools if tool.is_custom)
    if customs:
        changes.append(("tools", AS_FUNCTIONS))
    if customs or any(call.is_custom for message in request.messages for call in message.tool_calls):
        request = msgspec.structs.replace(
            request,
            tools=tuple(_function(tool) if tool.is_custom else tool for tool in request.tools),
            messages=tuple(map(_with_functions, request.messages)),
        )
    return Plain(request, tuple(changes), customs)


def _function(tool: Tool) -> Tool:
    described = "The text that the tool takes."
    if tool.grammar is not None:
        described = f"Must match this {tool.grammar.syntax} grammar:\n{tool.grammar.definition}"
    return msgspec.structs.replace(
        tool,
        parameters={
            "type": "object",
            "properties": {INPUT: {"type": "string", "description": described}},
            "required": [INPUT],
            "additionalProperties": False,
        },
        is_custom=False,
        grammar=None,
    )


def _with_functions(message: Message) -> Message:
    if not any(call.is_custom for call in message.tool_calls):
        return message
    return msgspec.structs.replace(message, tool_calls=tuple(map(_call, message.tool_calls)))


def _call(call: ToolCall) -> ToolCall:
    if not call.is_custom:
        return call
    arguments = msgspec.json.encode({INPUT: call.arguments}).decode()
    return msgspec.structs.replace(call, arguments=arguments, is_custom=False)


class Unwrapper:
    """Calls of functions that stand for custom tools become calls of these; `of` each event in order."""

    def __init__(self, customs: frozenset[str]) -> None:
        self._customs = customs
        self._open: dict[tuple[int, int], FreeText] = {}  # by choice and index

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        match event:
            case ToolCallDelta():
                yield self._unwrapped(event)
            case Finished():
                for (choice, index), text in list(self._open.items()):
                    if choice == event.choice:
                        del self._open[choice, index]
                        if rest := text.rest():
                            yield ToolCallDelta(index, arguments=rest, choice=choice)
                yield event
            case _:
                yield event

    def _unwrapped(self, delta: ToolCallDelta) -> ToolCallDelta:
        place = (delta.choice, delta.index)
        if delta.name in self._customs:
            self._open[place] = FreeText()
        text = self._open.get(place)
        if text is None:
            return delta
        return msgspec.structs.replace(
            delta, arguments=text.add(delta.arguments), is_custom=delta.name is not None
        )


_OPENING = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
# What of a JSON string can be read before the next piece comes: no half escape, no half surrogate pair.
_READABLE = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(?![dD][89abAB])[0-9a-fA-F]{4})*"
)


class FreeText:
    """The text in `{"input": "…"}`, read while it arrives."""

    def __init__(self) -> None:
        self._raw = ""  # what was not read yet
        self._begun = self._ended = False

    def add(self, piece: str) -> str:
        """What of the text can be read now."""
        self._raw += piece
        if not self._begun and (opening := _OPENING.match(self._raw)):
            self._begun = True
            self._raw = self._raw[opening.end() :]
        if not self._begun or self._ended:
            return ""
        readable = _READABLE.match(self._raw)
        assert readable is not None, "it matches nothing as well"
        self._raw, self._ended = self._raw[readable.end() :], self._raw[readable.end() :].startswith('"')
        return _string(readable[0])

    def rest(self) -> str:
        """What was written instead of such an object, as legible as it is."""
        if self._begun or not self._raw:
            return ""
        try:
            value = msgspec.json.decode(self._raw)
        except ValueError:
            return self._raw
        if isinstance(value, dict) and isinstance(value.get(INPUT), str):
            return str(value[INPUT])
        return value if isinstance(value, str) else self._raw


def _string(content: str) -> str:
    try:
        return msgspec.json.decode(f'"{content}"', type=str)
    except ValueError:  # a control character, or a lone surrogate
        return content
