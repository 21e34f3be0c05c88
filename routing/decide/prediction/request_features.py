"""A request as numbers for the request model: hashed words and characters, and about forty measures.

The request is the last user message; the system text and the earlier turns are measured apart from it, since
a long wrapper says little about how hard the request inside it is. Long texts are clipped at both ends, and
the words of other languages that the dictionary knows are read in English.
"""

import re
import sys
from math import log1p
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide.prediction.analysis import Analysis, Marks, analyse, digits_in, words_of
from routing.decide.prediction.artefact import Array
from routing.decide.prediction.features import clipped
from routing.language.chat import ChatRequest, Role

Ids = npt.NDArray[np.uint16]

WORD_BITS, CHAR_BITS = 15, 16  # log2 of the number of hash buckets
SHORTEST, LONGEST = 2, 5  # characters of an n-gram, in UTF-8 bytes
REQUEST_HEAD, REQUEST_TAIL = 3000, 1500  # characters read of a long request
SYSTEM_HEAD, HISTORY_TAIL = 2000, 600  # characters read of the system text and of the earlier turns

MOST_KNOWN_WORDS, LONGEST_KNOWN_WORD = 20_000, 40  # hashes remembered: 3 MB at most; characters

# Multiplicative hashing: the golden ratio of 64 bits spreads the products, FNV's prime joins the parts.
_GOLDEN, _PRIME, _STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3), np.uint64(1)
_TOP = {bits: np.uint64(64 - bits) for bits in (WORD_BITS, CHAR_BITS)}
# 1 + log(count) of counts from 0 up. Few buckets are hit more often than this.
_WEIGHTS = np.concatenate([[0], 1 + np.log(np.arange(1, 4096))]).astype(np.float32)
_NOT_LATIN = re.compile(r"[^\u0000-\u02ff]")
_SENTENCE_ENDS = bytes.maketrans(b"!?\n", b".. ")  # makes all of them ". "
_CODE = Marks(("```", "{", "}", ";", "def ", "class ", "function", "import ", "SELECT ", "=>", "()"))
_MATH = Marks((*"=^\\_∑∫√≤≥<>", "\\frac", "\\sum"))

# Words that show the kind of work, such as proving or translating. Counted in request and system text apart.
CUES: dict[str, frozenset[str]] = {
    "explain": frozenset(("explain", "why", "how", "difference", "mean", "means")),
    "write": frozenset(("write", "draft", "compose", "rewrite", "rephrase", "email", "letter", "story")),
    "translate": frozenset(("translate", "translation", "übersetze", "traduis", "traduce", "перевод")),
    "summarise": frozenset(("summarise", "summarize", "summary", "tl", "dr", "condense", "shorten")),
    "extract": frozenset((
        "extract", "classify", "label", "category", "json", "field", "fields", "parse", "sentiment", "tag",
    )),
    "prove": frozenset((
        "prove", "proof", "show", "derive", "theorem", "lemma", "integer", "integers", "polynomial",
    )),
    "repair": frozenset((
        "fix", "bug", "error", "debug", "fails", "failing", "crash", "leak", "race", "deadlock", "flaky",
    )),
    "design": frozenset((
        "design", "architecture", "architect", "plan", "strategy", "migrate", "migration", "tradeoff",
        "refactor", "optimise", "optimize", "implement", "concurrent", "distributed",
    )),
    "short": frozenset((
        "one", "single", "only", "just", "brief", "briefly", "short", "yes", "no", "word", "sentence", "line",
    )),
    "long": frozenset((
        "each", "every", "all", "list", "table", "step", "steps", "detailed", "comprehensive", "full",
        "complete", "essay", "report",
    )),
    "exact": frozenset((
        "must", "exactly", "least", "most", "without", "except", "never", "constraint", "constraints",
        "invariant", "guarantee", "guarantees", "rigorous", "optimal",
    )),
}  # fmt: skip

_CUES_OF = {
    word: tuple(place for place, among in enumerate(CUES.values()) if word in among)
    for word in frozenset().union(*CUES.values())
}

MEASURES = (
    "log_request", "log_system", "log_history", "messages", "log_lines", "code_block", "questions", "digits",
    "code_marks", "math_marks", "log_words", "distinct_words", "mean_word", "other_script", "starts_lower",
    "not_ascii", "has_system", "has_history", "ends_asking", "numbers", "sentences",
    *(f"{cue}_in_{place}" for cue in CUES for place in ("request", "system")),
)  # fmt: skip


class _Hashes(dict[str, bytes]):
    """The hash of a word, as eight bytes; none for a single letter. Those of short words are remembered."""

    def __missing__(self, word: str) -> bytes:
        if len(word) < 2:
            return b""
        hashed = crc32(word.encode("utf-8", "surrogatepass")).to_bytes(8, sys.byteorder)
        if len(word) <= LONGEST_KNOWN_WORD:
            if len(self) >= MOST_KNOWN_WORDS:
                self.clear()
            self[word] = hashed
        return hashed


_hashes = _Hashes()


class RequestText(msgspec.Struct, frozen=True):
    """The parts of a request that are judged, clipped, and how long they are unclipped (characters)."""

    analysis: Analysis  # of the request
    system: str
    history: str
    messages: int
    lengths: tuple[int, int, int]

    @property
    def request(self) -> str:
        return self.analysis.text

    @property
    def english(self) -> str:
        """The request with known words of other languages in English."""
        return self.analysis.translation.text

    @property
    def bare(self) -> bool:
        return not self.lengths[1] and not self.lengths[2]


class RequestFeatures(msgspec.Struct, frozen=True):
    """Hash buckets with the weight of each, `1 + log(count)`, and the measures, `(len(MEASURES),)`."""

    words: Ids
    word_weights: Array
    chars: Ids
    char_weights: Array
    measures: Array
    bare: bool  # no system text and no earlier turns


def request_text(request: ChatRequest) -> RequestText:
    texts = [(message.role, message.text) for message in request.messages]
    last = max((i for i, (role, text) in enumerate(texts) if role is Role.USER and text.strip()), default=-1)
    question = texts[last][1] if texts else ""
    system = " ".join(text for role, text in texts if role is Role.SYSTEM)
    history = " ".join(
        text for i, (role, text) in enumerate(texts) if role is not Role.SYSTEM and i != last % len(texts)
    )
    return RequestText(
        analysis=analyse(clipped(question, REQUEST_HEAD, REQUEST_TAIL)),
        system=system[:SYSTEM_HEAD],
        history=history[-HISTORY_TAIL:],
        messages=len(texts),
        lengths=(len(question), len(system), len(history)),
    )


def features(text: RequestText) -> RequestFeatures:
    system, history = text.system.lower(), text.history.lower()
    system_words = words_of(system)
    words = [*system_words, *words_of(history), *text.analysis.english_words]
    word_ids, word_weights = _counted(_word_buckets(words))
    char_ids, char_weights = _counted(_char_buckets(f"{system} || {history} || {text.analysis.lower}"))
    measures = _measures(text, system_words)
    return RequestFeatures(word_ids, word_weights, char_ids, char_weights, measures, text.bare)


def _word_buckets(words: list[str]) -> Ids:
    """Single words of two letters or more, and pairs of neighbours."""
    hashes = np.frombuffer(b"".join(map(_hashes.__getitem__, words)), np.uint64)
    pairs = hashes[:-1] * _PRIME + hashes[1:]
    return _buckets(np.concatenate([hashes, pairs]), WORD_BITS)


def _char_buckets(text: str) -> Ids:
    """All n-grams of SHORTEST to LONGEST bytes, with white space folded."""
    folded = " ".join(text.split())
    first, last = " " * text[:1].isspace(), " " * text[-1:].isspace()
    raw = f" {first}{folded}{last} ".encode("utf-8", "surrogatepass")
    codes = np.frombuffer(raw, np.uint8).astype(np.uint64)
    codes += _STEP
    counts = [max(len(codes) - length + 1, 0) for length in range(SHORTEST, LONGEST + 1)]
    all_hashes, hashes, begin = np.empty(sum(counts), np.uint64), codes, 0
    for length, count in enumerate(counts, start=SHORTEST):
        shorter, hashes = hashes[:-1], all_hashes[begin : begin + count]
        np.multiply(shorter, _PRIME, out=hashes)
        hashes += codes[length - 1 :]
        begin += count
    return _buckets(all_hashes, CHAR_BITS)


def _buckets(hashes: npt.NDArray[np.uint64], bits: int) -> Ids:
    products = hashes * _GOLDEN
    products >>= _TOP[bits]
    return products.astype(np.uint16)


def _counted(buckets: Ids) -> tuple[Ids, Array]:
    """The distinct buckets in order, and the weight of each. Numbers of 16 bits are sorted by radix."""
    buckets.sort(kind="stable")
    if not len(buckets):
        return buckets, np.empty(0, np.float32)
    (changes,) = (buckets[1:] != buckets[:-1]).nonzero()
    edges = np.empty(len(changes) + 2, np.intp)
    edges[0], edges[-1] = 0, len(buckets)
    np.add(changes, 1, out=edges[1:-1])
    begins, counts = edges[:-1], edges[1:] - edges[:-1]
    if np.maximum.reduce(counts) < len(_WEIGHTS):
        return buckets.take(begins), _WEIGHTS.take(counts)
    return buckets.take(begins), (1 + np.log(counts)).astype(np.float32)


def _measures(text: RequestText, system_words: list[str]) -> Array:
    request, (n_request, n_system, n_history) = text.request, text.lengths
    sentences = request.encode("utf-8", "surrogatepass").translate(_SENTENCE_ENDS).count(b". ")
    words = text.analysis.english_words
    chars, n_words = max(len(request), 1), max(len(words), 1)
    values = [
        log1p(n_request), log1p(n_system), log1p(n_history), min(text.messages, 20),
        log1p(request.count("\n")), "```" in request, min(request.count("?"), 4),
        digits_in(request) / chars,
        _CODE.count(request) / chars, min(_MATH.count(request), 10),
        log1p(len(words)), len(set(words)) / n_words, sum(map(len, words)) / n_words,
        not request.isascii() and _NOT_LATIN.search(request) is not None, request[:1].islower(),
        0.0 if request.isascii() else (len(request) - len(request.encode("ascii", "ignore"))) / chars,
        n_system > 0, n_history > 0, request.rstrip().endswith("?"),
        sum(map(str.isdigit, words)) / n_words,
        min(sentences, 40),
    ]  # fmt: skip
    in_request, in_system = _cues(words), _cues(system_words)
    for place in range(len(CUES)):
        values += (min(in_request[place], 5), min(in_system[place], 3))
    return np.array(values, np.float32)


def _cues(words: list[str]) -> list[int]:
    """How many of the words belong to each of CUES."""
    counts = [0] * len(CUES)
    for word in filter(_CUES_OF.__contains__, words):
        for place in _CUES_OF[word]:
            counts[place] += 1
    return counts
