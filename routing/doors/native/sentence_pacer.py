"""The buffered stream's pace: whole sentences, about a tenth of a second apart. Times in seconds."""

import itertools
import re

PACE_S = 0.1
_LONG = 160  # characters: without a sentence's end by then, a word's end will do
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)\]]*(?=\s)|[。！？]|\n")


class SentencePacer:
    """Holds text back until a sentence is whole, or until it has waited for long."""

    def __init__(self) -> None:
        self._held = ""
        self._next = 0.0  # not before then
        self._since = 0.0  # the oldest held text came then

    def add(self, text: str, now: float) -> None:
        if not self._held:
            self._since = now
        self._held += text

    def due_s(self, now: float) -> float | None:
        """In how many seconds to look again; None: nothing is held."""
        return max(0.0, max(self._next, self._since + PACE_S) - now) if self._held else None

    def take(self, now: float) -> str:
        """What may go out now; often nothing."""
        if not self._held or now < self._next:
            return ""
        end = self._end(now)
        if end:
            text, self._held = self._held[:end], self._held[end:]
            self._next = self._since = now
            self._next += PACE_S
            return text
        self._next = max(self._next, now + PACE_S / 2)
        return ""

    def rest(self) -> list[str]:
        """All that is held, sentence by sentence."""
        text, self._held = self._held, ""
        ends = [match.end() for match in _SENTENCE.finditer(text)]
        cuts = [0, *ends, len(text)]
        return [text[start:end] for start, end in itertools.pairwise(cuts) if end > start]

    def _end(self, now: float) -> int:
        """Where the last whole sentence ends; for text that waits long, where the last word does."""
        ends = [match.end() for match in _SENTENCE.finditer(self._held)]
        if ends:
            return ends[-1]
        if len(self._held) < _LONG and now - self._since < 3 * PACE_S:
            return 0
        return self._held.rfind(" ") + 1 or (len(self._held) if len(self._held) >= 4 * _LONG else 0)
