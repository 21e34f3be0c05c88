"""Stop sequences that a provider does not take: its answer is cut here, before the first of them.

The provider does not know and writes to its own end; all of its output is counted in the usage and charged.
"""

from collections.abc import Iterator, Sequence

from routing.language.chat import Finished, FinishReason, LogprobsDelta, StreamEvent, TextDelta, ToolCallDelta


class Cutter:
    """Takes events in order; text that may begin a stop sequence is held back until that is clear."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = stops
        self._held: dict[int, str] = {}
        self._cut: dict[int, str] = {}  # choice → the stop sequence that ended it

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        match event:
            case Finished():
                yield from self._rest(event.choice)
                stop = self._cut.get(event.choice)
                yield event if stop is None else Finished(FinishReason.STOP, event.choice, stop)
            case TextDelta() | ToolCallDelta() | LogprobsDelta() if event.choice in self._cut:
                return
            case TextDelta():
                yield from self._text(event.text, event.choice)
            case ToolCallDelta():
                yield from self._rest(event.choice)
                yield event
            case _:
                yield event

    def _text(self, text: str, choice: int) -> Iterator[TextDelta]:
        text = self._held.pop(choice, "") + text
        at, stop = min(
            ((place, stop) for stop in self._stops if (place := text.find(stop)) >= 0), default=(-1, "")
        )
        if at >= 0:
            self._cut[choice] = stop
            self._held.pop(choice, None)
        else:
            at = len(text) - max(_begun(text, stop) for stop in self._stops)
            self._held[choice] = text[at:]
        if at:
            yield TextDelta(text[:at], choice)

    def _rest(self, choice: int) -> Iterator[TextDelta]:
        if held := self._held.pop(choice, ""):
            yield TextDelta(held, choice)


def _begun(text: str, stop: str) -> int:
    """The number of characters at the end of the text that are the start of the stop sequence."""
    most = min(len(text), len(stop) - 1)
    return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)
