"""The features of a request: the vector of its question, and facts for the trace (counts, never text).

The question is the last user message alone: system text, examples and format instructions say little about
how hard the question is. A question in another language is analysed through a word-by-word translation
(translation.py).
"""

import re
from math import log1p

import msgspec
import numpy as np

from routing.decide.prediction import translation
from routing.decide.prediction.artefact import Array, embedding
from routing.language.chat import Audio, ChatRequest, File, Image, Role

N_EMBEDDING = 256
# Characters of a long question that are embedded. More take longer and are not more accurate.
QUESTION_HEAD, QUESTION_TAIL = 1200, 600
FOLLOW_UP_CHARS = 40  # a shorter message in a conversation ("now in Rust") is read with the one before it

# Marks are counted with str.count: a regular expression with alternatives takes twenty times as long.
_CODE = (
    "```", "def ", "class ", "function", "=>", "();", "import ", "#include", "SELECT ", "</", "{", "}",
    ");\n",
)  # fmt: skip
_MATH = (*"=<>≤≥^∑∫√π∞±×÷", "\\frac", "\\sum", "\\int", "$", " + ", " * ", "mod ")
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
_OPTIONS = ("\nA", "\nB", "\nC", "\nD", "\nE", "\nF", "\nG", "\nH", "\nI", "\nJ")
_NOT_LATIN = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff\u0370-\u03ff]")  # Greek is mathematics here
_WORD = re.compile(r"\w+")
_DIGIT = re.compile(r"\d")
_ENGLISH = frozenset((
    "the", "a", "an", "of", "to", "in", "is", "are", "and", "or", "for", "on", "with", "what", "how",
    "why", "who", "when", "which", "this", "that", "it", "my", "me", "i", "you", "please", "write",
    "give", "can", "do", "does", "from", "be", "as", "by", "at", "not", "if", "make", "explain", "your",
))  # fmt: skip

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


def read(request: ChatRequest) -> Features:
    question, sampled = _question(request)
    hand, translated = _translated_question(question)
    vector = np.concatenate([embedding().embed(translated.text), hand.values])
    return Features(vector, _summary(request, question, sampled, hand, translated))


def vector(text: str) -> Array:
    """Return the vector of a bare question, the same as `read` computes; for fitting."""
    hand, translated = _translated_question(_clip(text))
    return np.concatenate([embedding().embed(translated.text), hand.values])


def english_share(words: list[str]) -> float:
    """Return the share of lower-case words that are English function words."""
    return _count(words, _ENGLISH) / max(len(words), 1)


def _translated_question(question: str) -> "tuple[_Hand, translation.Translation]":
    """The translated question and its word features; the share of other scripts is the original's."""
    hand = _hand(question)
    translated = translation.translate(question, hand.english)
    if not translated.language:
        return hand, translated
    return msgspec.structs.replace(_hand(translated.text), not_latin=hand.not_latin), translated


def _question(request: ChatRequest) -> tuple[str, bool]:
    texts = [
        message.text for message in request.messages if message.role is Role.USER and message.text.strip()
    ]
    if not texts:
        texts = [message.text for message in request.messages[-1:]]
    text = texts[-1]
    if len(text) < FOLLOW_UP_CHARS and len(texts) > 1:
        text = f"{texts[-2][-QUESTION_TAIL:]}\n{text}"
    clipped = _clip(text)
    return clipped, len(clipped) < len(text)


def _clip(text: str) -> str:
    if len(text) <= QUESTION_HEAD + QUESTION_TAIL:
        return text
    return f"{text[:QUESTION_HEAD]}\n{text[-QUESTION_TAIL:]}"


class _Hand(msgspec.Struct, frozen=True):
    values: Array
    words: int
    english: float  # share of English function words
    not_latin: float  # share of word characters that are letters of other scripts
    code: int  # marks of it
    math: int


def _hand(text: str) -> _Hand:
    chars = max(len(text), 1)
    words = _WORD.findall(text.lower())
    n_words, n_letters = max(len(words), 1), max(sum(map(len, words)), 1)
    not_latin = 0.0 if text.isascii() else len(_NOT_LATIN.findall(text)) / n_letters
    english = english_share(words)
    code, math = sum(map(text.count, _CODE)), sum(map(text.count, _MATH))
    values = (
        log1p(chars) / 8,
        log1p(n_words) / 6,
        len(_DIGIT.findall(text)) / chars * 5,
        min(code, 10) / 10,
        min(math, 10) / 10,
        min(_count(words, _PROOF), 3) / 3,
        min(_count(words, _CHANGE), 3) / 3,
        1.0 if words and words[0] in _ASKING else 0.0,
        min(sum(map(text.count, _OPTIONS)), 10) / 10,
        min(_count(words, _STEPS), 4) / 4,
        log1p(text.count("\n")) / 4,
        min(text.count("?"), 4) / 4,
        n_letters / n_words / 10,
        not_latin,
        english,
        max(0.0, 1 - chars / 80),
    )
    return _Hand(np.array(values, np.float32), len(words), english, not_latin, code, math)


def _count(words: list[str], among: frozenset[str]) -> int:
    return sum(map(among.__contains__, words))


def _summary(
    request: ChatRequest, question: str, sampled: bool, hand: _Hand, translated: translation.Translation
) -> Summary:
    parts = [part for message in request.messages for part in message.parts]
    return Summary(
        chars=sum(len(message.text) for message in request.messages),
        words=hand.words,
        turns=sum(message.role is Role.USER for message in request.messages),
        question_chars=len(question),
        script="other" if hand.not_latin > 0.3 else "latin",
        english=hand.english > 0 and not translated.language,
        code=hand.code > 1,
        math=hand.math > 1,
        tools=len(request.tools),
        images=sum(isinstance(part, Image) for part in parts),
        files=sum(isinstance(part, File) for part in parts),
        audio=sum(isinstance(part, Audio) for part in parts),
        sampled=sampled,
        language=translated.language,
        known=round(translated.known, 2),
    )
