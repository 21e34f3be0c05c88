"""A request as numbers for the request model: hashed words and characters, and about forty measures.

The request is the last user message; the system text and the earlier turns are measured apart from it, since
a long wrapper says little about how hard the request inside it is. Long texts are clipped at both ends, and
the words of other languages that the dictionary knows are read in English.
"""

import re
from math import log1p
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide.prediction.artefact import Array
from routing.decide.prediction.features import english_share
from routing.decide.prediction.translation import READABLE_FROM, translate
from routing.language.chat import ChatRequest, Role

Ids = npt.NDArray[np.int64]

WORD_BITS, CHAR_BITS = 15, 16  # log2 of the number of hash buckets
SHORTEST, LONGEST = 2, 5  # characters of an n-gram, in UTF-8 bytes
REQUEST_HEAD, REQUEST_TAIL = 3000, 1500  # characters read of a long request
SYSTEM_HEAD, HISTORY_TAIL = 2000, 600  # characters read of the system text and of the earlier turns

# Multiplicative hashing: the golden ratio of 64 bits spreads the products, FNV's prime joins the parts.
_GOLDEN, _PRIME, _STEP = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3), np.uint64(1)
_SPACE = re.compile(r"\s+")
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_SENTENCE_ENDS = (". ", "! ", "? ", ".\n", "!\n", "?\n")
_CODE = ("```", "{", "}", ";", "def ", "class ", "function", "import ", "SELECT ", "=>", "()")
_MATH = (*"=^\\_∑∫√≤≥<>", "\\frac", "\\sum")

# Words that tell what kind of work is asked for; counted in the request and in the system text.
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

MEASURES = (
    "log_request", "log_system", "log_history", "messages", "log_lines", "code_block", "questions", "digits",
    "code_marks", "math_marks", "log_words", "distinct_words", "mean_word", "other_script", "starts_lower",
    "not_ascii", "has_system", "has_history", "ends_asking", "numbers", "sentences",
    *(f"{cue}_in_{place}" for cue in CUES for place in ("request", "system")),
)  # fmt: skip


class RequestText(msgspec.Struct, frozen=True):
    """The parts of a request that are judged, clipped, and how long they are unclipped (characters)."""

    request: str
    english: str  # the request with known words of other languages in English
    readable: bool  # False: in a script that neither the dictionary nor enough rated requests cover
    system: str
    history: str
    messages: int
    lengths: tuple[int, int, int]

    @property
    def joined(self) -> str:
        return f"{self.system} || {self.history} || {self.english}"


class RequestFeatures(msgspec.Struct, frozen=True):
    """Hash buckets with the weight of each, `1 + log(count)`, and the measures, `(len(MEASURES),)`."""

    words: Ids
    word_weights: Array
    chars: Ids
    char_weights: Array
    measures: Array
    readable: bool


def request_text(request: ChatRequest) -> RequestText:
    texts = [(message.role, message.text) for message in request.messages]
    last = max((i for i, (role, text) in enumerate(texts) if role is Role.USER and text.strip()), default=-1)
    question = texts[last][1] if texts else ""
    system = " ".join(text for role, text in texts if role is Role.SYSTEM)
    history = " ".join(
        text for i, (role, text) in enumerate(texts) if role is not Role.SYSTEM and i != last % len(texts)
    )
    request_part = _clip(question)
    translated = translate(request_part, english_share(_WORD.findall(request_part.lower())))
    return RequestText(
        request=request_part,
        english=translated.text,
        readable=translated.known >= READABLE_FROM,
        system=system[:SYSTEM_HEAD],
        history=history[-HISTORY_TAIL:],
        messages=len(texts),
        lengths=(len(question), len(system), len(history)),
    )


def features(text: RequestText) -> RequestFeatures:
    joined = text.joined.lower()
    words, word_weights = _counted(_word_buckets(_WORD.findall(joined)))
    chars, char_weights = _counted(_char_buckets(joined))
    return RequestFeatures(words, word_weights, chars, char_weights, _measures(text), text.readable)


def _clip(text: str) -> str:
    if len(text) <= REQUEST_HEAD + REQUEST_TAIL:
        return text
    return f"{text[:REQUEST_HEAD]}\n{text[-REQUEST_TAIL:]}"


def _word_buckets(words: list[str]) -> Ids:
    """Single words of two letters or more, and pairs of neighbours."""
    hashes = np.array(
        [crc32(word.encode("utf-8", "surrogatepass")) for word in words if len(word) > 1], np.uint64
    )
    pairs = hashes[:-1] * _PRIME + hashes[1:]
    return _buckets(np.concatenate([hashes, pairs]), WORD_BITS)


def _char_buckets(text: str) -> Ids:
    """All n-grams of SHORTEST to LONGEST bytes, with white space folded."""
    raw = f" {_SPACE.sub(' ', text)} ".encode("utf-8", "surrogatepass")
    codes = np.frombuffer(raw, np.uint8).astype(np.uint64)
    hashes, buckets = codes + _STEP, []
    for length in range(SHORTEST, LONGEST + 1):
        hashes = hashes[:-1] * _PRIME + codes[length - 1 :] + _STEP
        buckets.append(_buckets(hashes, CHAR_BITS))
    return np.concatenate(buckets)


def _buckets(hashes: npt.NDArray[np.uint64], bits: int) -> Ids:
    return ((hashes * _GOLDEN) >> np.uint64(64 - bits)).astype(np.int64)


def _counted(buckets: Ids) -> tuple[Ids, Array]:
    distinct, counts = np.unique(buckets, return_counts=True)
    return distinct, (1 + np.log(counts)).astype(np.float32)


def _measures(text: RequestText) -> Array:
    request, (n_request, n_system, n_history) = text.request, text.lengths
    words = _WORD.findall(text.english.lower())
    system_words = _WORD.findall(text.system.lower())
    chars, n_words = max(len(request), 1), max(len(words), 1)
    values = [
        log1p(n_request), log1p(n_system), log1p(n_history), min(text.messages, 20),
        log1p(request.count("\n")), "```" in request, min(request.count("?"), 4),
        len(_DIGIT.findall(request)) / chars,
        sum(map(request.count, _CODE)) / chars, min(sum(map(request.count, _MATH)), 10),
        log1p(len(words)), len(set(words)) / n_words, sum(map(len, words)) / n_words,
        any(char > "\u02ff" for char in request), request[:1].islower(),
        0.0 if request.isascii() else sum(char > "\x7f" for char in request) / chars,
        n_system > 0, n_history > 0, request.rstrip().endswith("?"),
        sum(word.isdigit() for word in words) / n_words,
        min(sum(map(request.count, _SENTENCE_ENDS)), 40),
    ]  # fmt: skip
    for cue in CUES.values():
        values += (
            min(sum(map(cue.__contains__, words)), 5),
            min(sum(map(cue.__contains__, system_words)), 3),
        )
    return np.array(values, np.float32)
