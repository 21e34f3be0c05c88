"""The features of a request: the vector of its question, and facts for the trace (counts, never text).

The question is the last user message alone: system text, examples and format instructions say little about
how hard the question is. A question in another language is analysed through a word-by-word translation
(translation.py).
"""

import re
from math import log1p

import msgspec
import numpy as np

from routing.decide.prediction.analysis import Analysis, Marks, analyse, digits_in, english_share
from routing.decide.prediction.artefact import Array, embedding
from routing.decide.prediction.translation import letters_of_other_scripts
from routing.language.chat import Audio, ChatRequest, File, Image, Role, Text

N_EMBEDDING = 256
# Characters of a long question that are embedded. More take longer and are not more accurate.
QUESTION_HEAD, QUESTION_TAIL = 1200, 600
FOLLOW_UP_CHARS = 40  # a shorter message in a conversation ("now in Rust") is read with the one before it

# A regular expression with alternatives would take twenty times as long to count these.
_CODE = Marks((
    "```", "def ", "class ", "function", "=>", "();", "import ", "#include", "SELECT ", "</", "{", "}",
    ");\n",
))  # fmt: skip
_MATH = Marks((*"=<>≤≥^∑∫√π∞±×÷", "\\frac", "\\sum", "\\int", "$", " + ", " * ", "mod "))
_PROOF = frozenset((
    "prove", "proof", "theorem", "lemma", "conjecture", "hypothesis", "derive", "rigorous", "show",
))  # fmt: skip
_CHANGE = frozenset((
    "refactor", "migrate", "repository", "codebase", "architecture", "port", "upgrade", "modules",
))  # fmt: skip
_STEPS = frozenset((
    "step", "steps", "explain", "why", "compare", "analyse", "analyze", "design", "implement", "optimise",
    "optimize", "evaluate",
))  # fmt: skip
_ASKING = frozenset(("what", "who", "when", "where", "which", "how", "is", "are", "does", "do", "can"))
_COUNTED = _PROOF | _CHANGE | _STEPS
_OPTIONS = re.compile(r"\n[A-J]")
HAND_FEATURES = (
    "log_chars", "log_words", "digit_share", "code_marks", "math_marks", "proof_words", "change_words",
    "question_word", "options", "step_words", "lines", "question_marks", "mean_word", "not_latin", "english",
    "short",
)  # fmt: skip


class Summary(msgspec.Struct, frozen=True):
    """Facts of a request a trace may keep: counts and kinds, no text. `script` is "latin" or "other"."""

    chars: int
    words: int
    turns: int
    question_chars: int
    script: str
    english: bool
    code: bool
    math: bool
    tools: int
    images: int
    files: int
    audio: int
    sampled: bool  # the question is longer than its analysed head and tail
    language: str = ""  # the language it was translated from; "" for English
    known: float = 1.0  # share of a foreign script's letters that are known words


class Features(msgspec.Struct, frozen=True):
    vector: Array  # (n_features,)
    summary: Summary


def read(request: ChatRequest, known: Analysis | None = None) -> Features:
    """Read a request. `known`: the analysis of a text, used where that is the question."""
    question, sampled = _question(request)
    analysis = known if known is not None and known.text == question else analyse(question)
    hand = _of(analysis)
    vector = np.concatenate([embedding().embed(analysis.translation.text), hand.values])
    return Features(vector, _summary(request, question, sampled, hand, analysis))


def vector(text: str) -> Array:
    """Return the vector of a bare question, the same as `read` computes; for fitting."""
    analysis = analyse(clipped(text, QUESTION_HEAD, QUESTION_TAIL))
    return np.concatenate([embedding().embed(analysis.translation.text), _of(analysis).values])


def clipped(text: str, head: int, tail: int) -> str:
    """Return a long text's first `head` and last `tail` characters; a shorter one as it is."""
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"


def _question(request: ChatRequest) -> tuple[str, bool]:
    texts = [
        message.text for message in request.messages if message.role is Role.USER and message.text.strip()
    ]
    if not texts:
        texts = [message.text for message in request.messages[-1:]]
    text = texts[-1]
    if len(text) < FOLLOW_UP_CHARS and len(texts) > 1:
        text = f"{texts[-2][-QUESTION_TAIL:]}\n{text}"
    question = clipped(text, QUESTION_HEAD, QUESTION_TAIL)
    return question, len(question) < len(text)


class _Hand(msgspec.Struct, frozen=True):
    values: Array
    words: int
    english: float  # share of English function words
    not_latin: float  # share of the original's word characters that are letters of other scripts
    code: int  # marks of it
    math: int


def _of(analysis: Analysis) -> "_Hand":
    """The word features of the question in English, as far as it is known."""
    text, words = analysis.translation.text, analysis.english_words
    chars = max(len(text), 1)
    n_words, n_letters = max(len(words), 1), max(sum(map(len, words)), 1)
    not_latin = _not_latin(text, n_letters)
    english = english_share(words) if analysis.translation.language else analysis.english
    code, math = _CODE.count(text), _MATH.count(text)
    counted = list(filter(_COUNTED.__contains__, words))
    values = (
        log1p(chars) / 8,
        log1p(n_words) / 6,
        digits_in(text) / chars * 5,
        min(code, 10) / 10,
        min(math, 10) / 10,
        min(_count(counted, _PROOF), 3) / 3,
        min(_count(counted, _CHANGE), 3) / 3,
        1.0 if words and words[0] in _ASKING else 0.0,
        min(len(_OPTIONS.findall(text)), 10) / 10,
        min(_count(counted, _STEPS), 4) / 4,
        log1p(text.count("\n")) / 4,
        min(text.count("?"), 4) / 4,
        n_letters / n_words / 10,
        not_latin,
        english,
        max(0.0, 1 - chars / 80),
    )
    if analysis.translation.language:
        not_latin = _not_latin(analysis.text, max(sum(map(len, analysis.words)), 1))
    return _Hand(np.array(values, np.float32), len(words), english, not_latin, code, math)


def _not_latin(text: str, n_letters: int) -> float:
    return letters_of_other_scripts(text) / n_letters


def _count(words: list[str], among: frozenset[str]) -> int:
    return sum(map(among.__contains__, words))


def _summary(request: ChatRequest, question: str, sampled: bool, hand: _Hand, analysis: Analysis) -> Summary:
    parts = [part for message in request.messages for part in message.parts]
    kinds = list(map(type, parts))
    return Summary(
        chars=sum(len(part.text) for part in parts if type(part) is Text),
        words=hand.words,
        turns=sum(message.role is Role.USER for message in request.messages),
        question_chars=len(question),
        script="other" if hand.not_latin > 0.3 else "latin",
        english=hand.english > 0 and not analysis.translation.language,
        code=hand.code > 1,
        math=hand.math > 1,
        tools=len(request.tools),
        images=kinds.count(Image),
        files=kinds.count(File),
        audio=kinds.count(Audio),
        sampled=sampled,
        language=analysis.translation.language,
        known=round(analysis.translation.known, 2),
    )
