"""Joins the continuation of a cut answer, written by another model, so that both read as one text.

Models that are asked to go on repeat the last words, begin the broken word or the whole answer again, or
leave out the space. The beginning of a continuation is held back until it is clear which of these it is.
"""

import os
import re

from bpe_openai._bindings import tokenizer_for_encoding

from routing.providers.shared.failures import FailureKind, UpstreamFailure

LEAST_OVERLAP = 12  # characters; fewer are a repetition only when they are whole words
LONGEST_OVERLAP = 400
LEAST_RESTART = 24  # characters an answer that begins anew has in common with the first one's beginning
_LONGEST_WORD = 32  # characters; longer without a space is no word, or a script without spaces
_COMMON = 20_000  # of 200,000 tokens, which are numbered by how common they are
_WIDE = 0x2E80  # from here on scripts that put no spaces between words, and a character says more

_WORD = re.compile(r"\w+")
_LAST_WORD = re.compile(r"[^\W_]+$")
_FIRST_WORD = re.compile(r"[^\W_]+")
_END_OF_CLAUSE = re.compile(r"[^\W\d_]{2}[,;:!?.]$")
_CODE = re.compile(r"[(){}\[\]=_/\\<>|@#`\"]")
_o200k = tokenizer_for_encoding("o200k_base")


class ContinuationJoiner:
    """`feed` and `end` give what of a continuation the reader has not read yet.

    Raises UpstreamFailure when it turns out to be another answer from the beginning.
    """

    def __init__(self, said: str) -> None:
        self._said = said
        self._tail = said[-LONGEST_OVERLAP:]
        self._held = ""
        self.joined = not said

    def feed(self, text: str) -> str:
        if self.joined:
            return text
        self._held += text
        return self.end() if self._is_clear() else ""

    def end(self) -> str:
        """Nothing more comes, or enough has: what of the beginning is new."""
        if self.joined:
            return ""
        self.joined = True
        return _new(self._said, self._tail, self._held)

    def _is_clear(self) -> bool:
        held, said = self._held, self._said.lstrip()
        bare = held.lstrip()
        if not bare or said.startswith(bare):
            return False  # may be all of it again
        if _is_restart(said, bare):
            return True
        if held in self._tail or bare in self._tail:
            return False  # lies within the end of what was said: may become an overlap
        word = _WORD.match(bare)
        return word is None or word.end() < len(bare) or word.end() > _LONGEST_WORD


def _new(said: str, tail: str, held: str) -> str:
    bare, begun = held.lstrip(), said.lstrip()
    if bare and _is_restart(begun, bare):
        common = _common(begun, bare)
        if common < len(begun.rstrip()) and common < len(bare):
            raise UpstreamFailure(FailureKind.MALFORMED, "it began another answer instead of going on")
        return bare[common:] if common >= len(begun) else bare[common:].lstrip()
    for one in (held, bare):
        if size := _overlap(tail, one):
            return one[size:]
    ended = tail.rstrip()
    if ended != tail and (size := _overlap(ended, bare)):
        rest = bare[size:]
        space = tail[len(ended) :]
        return rest[len(space) :] if rest.startswith(space) else rest.lstrip(" ")
    return _glued(said, held)


def _is_restart(said: str, bare: str) -> bool:
    common = _common(said, bare)
    return common >= min(LEAST_RESTART, max(4, len(said.rstrip())))


def _overlap(tail: str, text: str) -> int:
    """How much of the text's beginning repeats the end of what was said."""
    for size in range(min(len(tail), len(text)), 0, -1):
        if tail.endswith(text[:size]) and _is_repetition(tail, text, size):
            return size
    return 0


def _is_repetition(tail: str, text: str, size: int) -> bool:
    """Chance and rhythm ("0, 0, 0") are none; the very word again, without a space between, always is one."""
    same = text[:size]
    words = _WORD.findall(same)
    if not words:
        return False
    if len(words) > 1 and len(set(words)) == 1:
        return False
    if sum(2 if ord(one) >= _WIDE else 1 for one in same) >= LEAST_OVERLAP:
        return True
    if _WORD.match(tail[-size - 1 : -size]):
        return False  # the end of another word
    if len(words) > 1:
        return True
    if _WORD.match(text[size : size + 1]):  # the word goes on: it may be the one that was broken
        letters = same.isalpha() and len(same) > 1 and ord(same[0]) < _WIDE
        return letters and (len(same) > 2 or _o200k.count(" " + same) > 1)
    return same.isalpha() or len(words[0]) > 3


def _glued(said: str, held: str) -> str:
    """What has no overlap, with the space between that models leave out or say twice."""
    if said[-1:] == " ":
        return held.lstrip(" ")
    if said.endswith("\n\n"):
        return held.lstrip("\n")
    if not held or said[-1:].isspace() or held[0].isspace():
        return held
    return " " + held if _lacks_a_space(said, held) else held


def _lacks_a_space(said: str, held: str) -> bool:
    before, after = _LAST_WORD.search(said[-_LONGEST_WORD:]), _FIRST_WORD.match(held)
    if after is None or ord(held[0]) >= _WIDE or ord(said[-1]) >= _WIDE:
        return False
    if before is not None:
        return _are_two_words(before.group(), after.group()[:_LONGEST_WORD])
    line = said[said.rfind("\n") + 1 :]
    if said.count("```") % 2 or _CODE.search(line) or not _END_OF_CLAUSE.search(line):
        return False
    return held[0].isupper() if line[-1] == "." else held[0].isalpha()


def _are_two_words(before: str, after: str) -> bool:
    """By a vocabulary of tokens, common ones first: most words are one, the pieces of a broken one not."""
    if before[-1].isdigit() or after[0].isdigit():
        return before[-1].isalpha() != after[0].isalpha() and min(len(before), len(after)) > 1
    whole, first, second = (_o200k.encode(" " + text) for text in (before + after, before, after))
    if len(first) > 1 or len(second) > 1 or len(whole) == 1:
        return False
    return len(whole) > 2 or second[0] < max(_COMMON, whole[-1])


def _common(one: str, other: str) -> int:
    """Length of the common beginning."""
    return len(os.path.commonprefix((one, other)))  # noqa: RUF071 - of text, not of paths
