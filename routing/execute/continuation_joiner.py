"""Joins the continuation of a cut answer, written by another model, so that both read as one text.

Models that are asked to continue may repeat the last words, begin the broken word or the whole answer again,
or leave out the space. The beginning of a continuation is held back until it is clear which of these it does.
"""

import os
import re

from routing.language import o200k
from routing.providers.shared.failures import FailureKind, UpstreamFailure

LEAST_OVERLAP = 12  # characters; a shorter overlap is a repetition only if it consists of whole words
LONGEST_OVERLAP = 400
LEAST_RESTART = 24  # characters that a restarted answer has in common with the beginning of the first
_LONGEST_WORD = 32  # characters; more without a space are no word, or a script without spaces
_COMMON = 20_000  # of 200,000 tokens, numbered from common to rare
_WIDE = 0x2E80  # from this code point on, scripts have no spaces, and a character counts for two

_WORD = re.compile(r"\w+")
_LAST_WORD = re.compile(r"[^\W_]+$")
_FIRST_WORD = re.compile(r"[^\W_]+")
_END_OF_CLAUSE = re.compile(r"[^\W\d_]{2}[,;:!?.]$")
_CODE = re.compile(r"[(){}\[\]=_/\\<>|@#`\"]")


class ContinuationJoiner:
    """`feed` and `end` return the part of a continuation that the reader does not have yet.

    The first pieces are collected until they are unambiguous. They are ambiguous while they could be the
    whole answer again, lie within the end of the delivered text, or are a word that may go on. From then on,
    `joined` is true and text passes through. Raises UpstreamFailure for another answer from the beginning.
    """

    def __init__(self, delivered: str) -> None:
        self._delivered = delivered
        self._begun = delivered.lstrip()
        self._tail = delivered[-LONGEST_OVERLAP:]
        self._pieces: list[str] = []
        self._matched = 0  # characters of the continuation that repeat the beginning of the answer
        self._is_prefix = True  # all of it so far, leading spaces aside
        self.joined = not delivered

    def feed(self, text: str) -> str:
        if self.joined:
            return text
        self._pieces.append(text)
        if self._is_prefix and self._extends_prefix(text):
            return ""  # may be the whole answer again
        return self.end() if self._is_clear() else ""

    def end(self) -> str:
        """Decide now, because the text has ended or is unambiguous: return the new part of its beginning."""
        if self.joined:
            return ""
        self.joined = True
        return _new(self._delivered, self._tail, "".join(self._pieces))

    def _extends_prefix(self, text: str) -> bool:
        """Compare a further piece with the beginning of the answer; each character is compared once."""
        if not self._matched:
            text = text.lstrip()
        if self._begun.startswith(text, self._matched):
            self._matched += len(text)
            return True
        self._is_prefix = False
        self._matched += _common(self._begun[self._matched : self._matched + len(text)], text)
        return False

    def _is_clear(self) -> bool:
        if self._matched >= _least_restart(self._begun):
            return True
        held = "".join(self._pieces)  # short: no restart, within the tail or a word
        bare = held.lstrip()
        if held in self._tail or bare in self._tail:
            return False  # lies within the end of what was delivered: may become an overlap
        word = _WORD.match(bare)
        return word is None or word.end() < len(bare) or word.end() > _LONGEST_WORD


def _new(delivered: str, tail: str, held: str) -> str:
    """The part of `held` that follows the delivered text.

    The order matters: a restart shares the beginning of the answer and would also look like text without an
    overlap. An overlap is tried with the leading space, without it, and without the space at the end of
    the delivered text. Only text without any overlap may need a space in between.
    """
    bare, begun = held.lstrip(), delivered.lstrip()
    if bare and _is_restart(begun, bare):
        common = _common(begun, bare)
        if common < len(begun.rstrip()) and common < len(bare):
            raise UpstreamFailure(FailureKind.MALFORMED, "it began another answer instead of continuing")
        return bare[common:] if common >= len(begun) else bare[common:].lstrip()
    for text in (held, bare):
        if size := _overlap(tail, text):
            return text[size:]
    ended = tail.rstrip()
    if ended != tail and (size := _overlap(ended, bare)):
        rest = bare[size:]
        space = tail[len(ended) :]
        return rest[len(space) :] if rest.startswith(space) else rest.lstrip(" ")
    return _glued(delivered, held)


def _is_restart(delivered: str, bare: str) -> bool:
    return _common(delivered, bare) >= _least_restart(delivered)


def _least_restart(delivered: str) -> int:
    return min(LEAST_RESTART, max(4, len(delivered.rstrip())))


def _overlap(tail: str, text: str) -> int:
    """Length of the text's beginning that repeats the end of the delivered text."""
    for size in range(min(len(tail), len(text)), 0, -1):
        if tail.endswith(text[:size]) and _is_repetition(tail, text, size):
            return size
    return 0


def _is_repetition(tail: str, text: str, size: int) -> bool:
    """Return whether equal text is a repetition, rather than chance or rhythm ("0, 0, 0").

    Long overlaps and several whole words are one. A short overlap whose word goes on is one when it can be
    the beginning of that word, broken by the cut.
    """
    same = text[:size]
    words = _WORD.findall(same)
    if not words:
        return False
    if len(words) > 1 and len(set(words)) == 1:
        return False
    if sum(2 if ord(char) >= _WIDE else 1 for char in same) >= LEAST_OVERLAP:
        return True
    if _WORD.match(tail[-size - 1 : -size]):
        return False  # the end of another word
    if len(words) > 1:
        return True
    if _WORD.match(text[size : size + 1]):  # the word goes on: it may be the broken one
        letters = same.isalpha() and len(same) > 1 and ord(same[0]) < _WIDE
        return letters and (len(same) > 2 or o200k.count(" " + same) > 1)
    return same.isalpha() or len(words[0]) > 3


def _glued(delivered: str, held: str) -> str:
    """Text without an overlap, with the space in between that models leave out or repeat."""
    if delivered[-1:] == " ":
        return held.lstrip(" ")
    if delivered.endswith("\n\n"):
        return held.lstrip("\n")
    if not held or delivered[-1:].isspace() or held[0].isspace():
        return held
    return " " + held if _lacks_a_space(delivered, held) else held


def _lacks_a_space(delivered: str, held: str) -> bool:
    before, after = _LAST_WORD.search(delivered[-_LONGEST_WORD:]), _FIRST_WORD.match(held)
    if after is None or ord(held[0]) >= _WIDE or ord(delivered[-1]) >= _WIDE:
        return False
    if before is not None:
        return _are_two_words(before.group(), after.group()[:_LONGEST_WORD])
    line = delivered[delivered.rfind("\n") + 1 :]
    if delivered.count("```") % 2 or _CODE.search(line) or not _END_OF_CLAUSE.search(line):
        return False
    return held[0].isupper() if line[-1] == "." else held[0].isalpha()


def _are_two_words(before: str, after: str) -> bool:
    """Return whether these are two words rather than one broken in two, by a tokenizer's vocabulary.

    Most words are one token, common words have low numbers, and the pieces of a broken word are rarely
    tokens.
    """
    if before[-1].isdigit() or after[0].isdigit():
        return before[-1].isalpha() != after[0].isalpha() and min(len(before), len(after)) > 1
    whole, first, second = (o200k.encode(" " + text) for text in (before + after, before, after))
    if len(first) > 1 or len(second) > 1 or len(whole) == 1:
        return False
    return len(whole) > 2 or second[0] < max(_COMMON, whole[-1])


def _common(text: str, other: str) -> int:
    """Length of the common beginning."""
    return len(os.path.commonprefix((text, other)))  # noqa: RUF071 - of text, not of paths
