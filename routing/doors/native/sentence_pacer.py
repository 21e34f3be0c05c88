"""The buffered stream's pace: whole sentences, about a tenth of a second apart. Times in seconds."""

import itertools
import re

PACE_S = 0.1
_LONG = 160  # characters: a longer sentence is sent at the end of a word
_SENTENCE = re.compile(r"[.!?…。！？][\"'”’)\]]*(?=\s)|[。！？]|\n")


class SentencePacer:
    """Holds text back until its sentence ends, or until it has waited too long."""

    def __init__(self) -> None:
        self._held = ""
        self._next = 0.0  # the earliest time of the next text
        self._since = 0.0  # when the oldest held text arrived

    def add(self, text: str, now: float) -> None:
        if not self._held:
            self._since = now
        self._held += text

    def due_s(self, now: float) -> float | None:
        """Seconds until the next `take`; None while nothing is held."""
        return max(0.0, max(self._next, self._since + PACE_S) - now) if self._held else None

    def take(self, now: float) -> str:
        """The text to send now; often empty."""
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
        """All text that is held, sentence by sentence."""
        text, self._held = self._held, ""
        ends = [match.end() for match in _SENTENCE.finditer(text)]
        cuts = [0, *ends, len(text)]
        return [text[start:end] for start, end in itertools.pairwise(cuts) if end > start]

    def _end(self, now: float) -> int:
        """The end of the last whole sentence; for text that has waited too long, of the last word."""
        ends = [match.end() for match in _SENTENCE.finditer(self._held)]
        if ends:
            return ends[-1]
        if len(self._held) < _LONG and now - self._since < 3 * PACE_S:
            return 0
        return self._held.rfind(" ") + 1 or (len(self._held) if len(self._held) >= 4 * _LONG else 0)
