"""The caller's limit of the visible answer, where the arm may write more because it reasons as well.

The provider's own limit is the visible limit plus the arm's allowance for reasoning. A model that reasons
less than that could write a longer answer than the caller wants, so its text is cut here, in tokens as its
own tokenizer counts them.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from routing.language.chat import Finished, FinishReason, LogprobsDelta, StreamEvent, TextDelta, ToolCallDelta

# A word with the space before it; longer words are cut, because scripts without spaces have words as long as
# sentences.
_PIECE = re.compile(r"\s*\S{1,64}|\s+")
_SEGMENT = 200  # characters after which a segment ends with its word; counts of segments are added


class Counter(NamedTuple):
    """Counts the tokens of a text for one model; `at_most` is a faster upper bound."""

    tokens: Callable[[str], float]
    at_most: Callable[[str], float]


class AnswerLimit:
    """Passes events on until a choice's text reaches the limit; the rest of that choice is dropped."""

    def __init__(self, limit: int, counter: Counter, choices: int) -> None:
        self._limit, self._counter, self._choices = limit, counter, choices
        self._texts: dict[int, _CountedText] = {}
        self._cut: set[int] = set()
        self._ended: set[int] = set()

    @property
    def has_cut(self) -> bool:
        return bool(self._cut)

    @property
    def is_reached(self) -> bool:
        """True when every choice is cut or has ended: the rest of the stream has nothing for the caller."""
        return self.has_cut and len(self._cut | self._ended) >= self._choices

    def of(self, event: StreamEvent) -> Iterator[StreamEvent]:
        match event:
            case Finished():
                self._ended.add(event.choice)
                yield Finished(FinishReason.LENGTH, event.choice) if event.choice in self._cut else event
            case TextDelta() | ToolCallDelta() | LogprobsDelta() if event.choice in self._cut:
                return
            case TextDelta():
                text = self._texts.setdefault(event.choice, _CountedText(self._counter))
                fitting = text.fitting(event.text, self._limit)
                if len(fitting) < len(event.text):
                    self._cut.add(event.choice)
                if fitting:
                    yield TextDelta(fitting, event.choice)
            case _:
                yield event

    def finishes(self) -> Iterator[Finished]:
        """The ends of the choices that the provider had not ended when its call was closed."""
        for choice in sorted(self._cut - self._ended):
            yield Finished(FinishReason.LENGTH, choice)


class _CountedText:
    """The tokens of a text that arrives in pieces.

    Tokens rarely reach over the end of a word, so the text is counted in segments of whole words, whose
    counts are added. A segment is counted exactly only once the bounds of all say that the limit may be near.
    """

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._counted = 0.0  # tokens of the segments that are counted
        self._whole: list[str] = []  # segments that only their bounds are known of
        self._bound = 0.0  # the sum of those
        self._open = ""  # the last segment, which goes on

    def fitting(self, text: str, limit: int) -> str:
        """Add the text and return it, or the beginning of it that fits the limit."""
        end = 0
        for chunk in _chunks(text):
            if not self._fits(chunk, limit):
                sizes = range(len(chunk) - 1, 0, -1)
                return text[: end + next((size for size in sizes if self._fits(chunk[:size], limit)), 0)]
            self._open += chunk
            end += len(chunk)
            if len(self._open) >= _SEGMENT:
                self._whole.append(self._open)
                self._bound += self._counter.at_most(self._open)
                self._open = ""
        return text

    def _fits(self, more: str, limit: int) -> bool:
        segment = self._open + more
        if self._counted + self._bound + self._counter.at_most(segment) <= limit:
            return True
        self._counted += sum(map(self._counter.tokens, self._whole))
        self._whole, self._bound = [], 0.0
        return self._counted + self._counter.tokens(segment) <= limit


def _chunks(text: str) -> Iterator[str]:
    """The text in parts of whole words, each about as long as a segment at most."""
    chunk = ""
    for piece in _PIECE.findall(text):
        if chunk and len(chunk) + len(piece) > _SEGMENT:
            yield chunk
            chunk = ""
        chunk += piece
    if chunk:
        yield chunk
