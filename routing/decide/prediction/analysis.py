"""A text analysed once, for both sets of features: its words, its share of English, its translation."""

import re
from collections.abc import Sequence

import msgspec

from routing.decide.prediction.translation import Translation, beyond_latin, translate

_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
# Every ASCII character that is not part of a word. Splitting there is four times as fast as the expression.
_BREAKS = str.maketrans({chr(code): " " for code in range(128) if not _WORD.match(chr(code))})
_ENGLISH = frozenset((
    "the", "a", "an", "of", "to", "in", "is", "are", "and", "or", "for", "on", "with", "what", "how",
    "why", "who", "when", "which", "this", "that", "it", "my", "me", "i", "you", "please", "write",
    "give", "can", "do", "does", "from", "be", "as", "by", "at", "not", "if", "make", "explain", "your",
))  # fmt: skip


class Analysis(msgspec.Struct, frozen=True):
    """A text and its words in lower case, as written and in English as far as they are known."""

    text: str
    words: list[str]
    english: float  # share of the words that are English function words
    translation: Translation
    lower: str  # the translation in lower case
    english_words: list[str]


def analyse(text: str) -> Analysis:
    lower = text.lower()
    words = words_of(lower)
    english = english_share(words)
    translation = translate(text, english, words)
    if not translation.language:
        return Analysis(text, words, english, translation, lower, words)
    translated = translation.text.lower()
    return Analysis(text, words, english, translation, translated, words_of(translated))


def words_of(lower: str) -> list[str]:
    """Return the words of a text in lower case."""
    return lower.translate(_BREAKS).split() if lower.isascii() else _WORD.findall(lower)


def english_share(words: list[str]) -> float:
    """Return the share of lower-case words that are English function words."""
    return sum(map(_ENGLISH.__contains__, words)) / max(len(words), 1)


def digits_in(text: str) -> int:
    return _ASCII_DIGITS.count(text) + len(_DIGIT.findall(beyond_latin(text)))


class Marks:
    """Marks to count in a text. Single ASCII characters are counted in one pass over its bytes."""

    def __init__(self, marks: Sequence[str]) -> None:
        self._single = "".join(mark for mark in marks if len(mark) == 1 and mark.isascii()).encode()
        self._others = tuple(mark for mark in marks if len(mark) > 1 or not mark.isascii())
        self._ascii_others = tuple(filter(str.isascii, self._others))

    def count(self, text: str) -> int:
        raw = text.encode("utf-8", "surrogatepass")
        others = self._ascii_others if text.isascii() else self._others
        return len(raw) - len(raw.translate(None, self._single)) + sum(map(text.count, others))


_ASCII_DIGITS = Marks("0123456789")
