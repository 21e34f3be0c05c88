"""Tool forms that only one provider has, in forms that all providers take: custom tools and allowed tools.

A custom tool takes free text. Elsewhere it is a function with one text, which is taken out of the call's
arguments again while they arrive.
"""

import json
import re
from collections.abc import Iterator

import msgspec

from routing.language.arms import ModelFacts
from routing.language.chat import ChatRequest, Finished, Message, StreamEvent, Tool, ToolCall, ToolCallDelta

INPUT = "input"  # the one property of a function that stands for a custom tool
AS_FUNCTIONS = "custom tools are functions with one text"
ONLY_ALLOWED = "tools that may not be called are left out"


class Plain(msgspec.Struct, frozen=True):
    """A request without such forms. `changes`: parameter and change; `customs`: names of custom tools."""

    request: ChatRequest
    changes: tuple[tuple[str, str], ...] = ()
    customs: frozenset[str] = frozenset()


def plain(request: ChatRequest, model: ModelFacts, *, native: bool) -> Plain:
    """The request in forms this model takes. `native`: its API has custom tools and allowed tools itself."""
    changes: list[tuple[str, str]] = []
    choice = request.tool_choice
    if choice is not None and choice.allowed and not native:
        allowed = tuple(tool for tool in request.tools if tool.name in choice.allowed)
        request = msgspec.structs.replace(
            request, tools=allowed, tool_choice=msgspec.structs.replace(choice, allowed=())
        )
        changes.append(("tool_choice", ONLY_ALLOWED))
    if native and model.quirks.get("custom_tools"):
        return Plain(request, tuple(changes))
    customs = custom_names(request.tools)
    if customs:
        changes.append(("tools", AS_FUNCTIONS))
    if customs or any(call.is_custom for message in request.messages for call in message.tool_calls):
        request = msgspec.structs.replace(
            request,
            tools=tuple(_function(tool) if tool.is_custom else tool for tool in request.tools),
            messages=tuple(map(_with_functions, request.messages)),
        )
    return Plain(request, tuple(changes), customs)


def custom_names(tools: tuple[Tool, ...]) -> frozenset[str]:
    return frozenset(tool.name for tool in tools if tool.is_custom)


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
    """Turns calls of functions that stand for custom tools back into calls of custom tools."""

    def __init__(self, customs: frozenset[str]) -> None:
        self._customs = customs
        self._open: dict[tuple[int, int], FreeText] = {}  # by choice and index

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        match event:
            case ToolCallDelta():
                if event.name is not None:
                    yield from self._rests(event.choice)
                yield self._unwrapped(event)
            case Finished():
                yield from self._rests(event.choice)
                yield event
            case _:
                yield event

    def _rests(self, choice: int) -> Iterator[ToolCallDelta]:
        """The text that the calls so far hold back, when the next call begins or the answer ends."""
        for (of, index), text in self._open.items():
            if of == choice and (rest := text.rest()):
                yield ToolCallDelta(index, arguments=rest, choice=choice)

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


_START = re.compile(rf'\s*\{{\s*"{INPUT}"\s*:\s*"')
# The part of a JSON string that can be decoded before the next piece: no half escape or surrogate pair.
_READABLE = re.compile(
    r'(?:[^"\\]|\\["\\/bfnrt]'
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    r"|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4})*"
)
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_HIGH_HALF_OF_A_PAIR = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u(?:[dD](?:[c-fC-F][0-9a-fA-F]?)?)?)?)?"
)
_BEGUN_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{0,3})?")


class FreeText:
    """The text in `{"input": "…"}`, decoded while it arrives; invalid JSON in it is kept unchanged."""

    def __init__(self) -> None:
        self._raw = ""  # not decoded yet
        self._begun = self._ended = False
        self._is_over = False  # no more pieces follow

    def add(self, piece: str) -> str:
        """The text that can be decoded with this piece."""
        self._raw += piece
        if not self._begun and (start := _START.match(self._raw)):
            self._begun = True
            self._raw = self._raw[start.end() :]
        return self._read() if self._begun and not self._ended else ""

    def rest(self) -> str:
        """The text still held back, or the raw text if the model wrote no such object."""
        self._is_over = True
        if self._begun:
            return "" if self._ended else self._read()
        raw, self._raw = self._raw, ""
        try:
            value = msgspec.json.decode(raw)
        except ValueError:
            return raw
        if isinstance(value, dict) and isinstance(value.get(INPUT), str):
            return str(value[INPUT])
        return value if isinstance(value, str) else raw

    def _read(self) -> str:
        """Up to the end of the string, or to an escape that more characters may complete."""
        decoded: list[str] = []
        while True:
            readable = _READABLE.match(self._raw)
            assert readable is not None, "it matches nothing as well"
            decoded.append(json.loads(f'"{readable[0]}"', strict=False))
            self._raw = self._raw[readable.end() :]
            if not self._raw.startswith("\\") or self._may_become_valid():
                self._ended = self._raw.startswith('"')
                return "".join(decoded)
            is_half = _HALF_PAIR.match(self._raw) is not None
            size = 6 if is_half else 2
            decoded.append("\ufffd" if is_half else self._raw[:size])
            self._raw = self._raw[size:]

    def _may_become_valid(self) -> bool:
        """Return whether the next escape is incomplete and more characters may complete it."""
        if self._is_over:
            return False
        begun = _BEGUN_ESCAPE.fullmatch(self._raw) or _HIGH_HALF_OF_A_PAIR.fullmatch(self._raw)
        return begun is not None
