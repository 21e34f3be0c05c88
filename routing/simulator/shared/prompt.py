"""The request to a model and its answer, in one form for all APIs of the simulator."""

from typing import Any, Literal

import msgspec

from routing.simulator.model.models import Model

BLOCK_PHRASE = "simulate a blocked prompt"
"""In a user's text: the provider refuses the prompt before a model sees it."""

LONG_PHRASE = "simulate a long decode"
"""In a user's text: a model that returns long answers in legs returns this one in three."""

REFUSAL_PHRASE = "simulate a refusal"
"""In a user's text: the model answers, but declines."""


Speaker = Literal["system", "user", "assistant", "tool"]
ToolMode = Literal["auto", "none", "required", "named"]


class ToolSpec(msgspec.Struct, frozen=True):
    """A function; `is_custom`: a tool that takes free text instead of arguments."""

    name: str
    description: str
    schema: dict[str, Any]
    is_custom: bool = False


class Turn(msgspec.Struct, frozen=True):
    """One message, flattened. `results` are the texts of tool results in it; `media` counts tokens."""

    role: Speaker
    text: str = ""
    results: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()  # the assistant's calls, as JSON text
    media: int = 0


class Generation(msgspec.Struct, frozen=True):
    """One generation. `max_tokens` includes reasoning; `effort` None where the model doesn't reason."""

    model: Model
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    choice: ToolMode = "auto"
    choice_name: str | None = None
    parallel: bool = True
    schema: dict[str, Any] | None = None
    json_object: bool = False
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    effort: str | None = None
    n: int = 1
    leg: int = 0  # number of legs already returned of a long answer
    continues: str = ""  # a trailing assistant turn to continue

    @property
    def prompt(self) -> str:
        """The last text of the user."""
        return next((turn.text for turn in reversed(self.turns) if turn.role == "user" and turn.text), "")

    @property
    def system(self) -> str:
        return "\n".join(turn.text for turn in self.turns if turn.role == "system")

    @property
    def fresh_results(self) -> tuple[str, ...]:
        """Tool results after the assistant's last turn; none if the user has written since."""
        results: list[str] = []
        for turn in reversed(self.turns):
            if turn.role == "assistant":
                break
            if turn.role == "user" and turn.text and not turn.results:
                return ()
            results[:0] = turn.results
        return tuple(results)


class Call(msgspec.Struct, frozen=True):
    """A tool call. `text`: the input of a custom tool."""

    name: str
    arguments: dict[str, Any]
    text: str | None = None

    @property
    def written(self) -> str:
        """The call's input as the model writes it."""
        return msgspec.json.encode(self.arguments).decode() if self.text is None else self.text


class Answer(msgspec.Struct, frozen=True):
    """One choice of an answer. `output_tokens` includes `reasoning_tokens`."""

    text: str
    reasoning: str
    reasoning_tokens: int
    output_tokens: int
    finish: Literal["stop", "length", "stop_sequence", "tool_calls", "refusal", "continuation"]
    calls: tuple[Call, ...] = ()
    stop_sequence: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts: `input_tokens` includes cached and cache writes; `output_tokens` includes reasoning."""

    input_tokens: int = 0
    cached: int = 0
    cache_write: int = 0
    output_tokens: int = 0
    reasoning: int = 0
