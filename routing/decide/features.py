"""What a request shows: the question in it, its vector, and the facts a trace may tell (never text).

The question is the last user message, not the wrapper: system text, examples and format instructions mislead
(spec/routing.md §2).
"""

import re

import msgspec
import numpy as np

from routing.chat import Audio, ChatRequest, File, Image, Role
from routing.decide.artefact import Array, embedding

QUESTION_HEAD, QUESTION_TAIL = (
    1200,
    600,
)  # characters embedded of a long question; more costs time, not accuracy
FOLLOW_UP_CHARS = 40  # a shorter message in a conversation ("now in Rust") leans on the one before it

_CODE = re.compile(
    r"```|\bdef |\bclass |\bfunction\b|=>|;\s*$|\bimport |#include|\bSELECT\b|</\w+>|\w+\(\w*\)|[{}]\s*$",
    re.M,
)
_MATH = re.compile(r"[=<>≤≥^∑∫√π∞±×÷]|\\frac|\\sum|\\int|\$[^$\n]+\$|\b\d+\s*[-+*/^]\s*\d+")
_PROOF = re.compile(r"\b(prove|proof|theorem|lemma|conjecture|hypothesis|derive|rigorous)\b", re.I)
_CHANGE = re.compile(r"\b(refactor|migrate|repository|codebase|architecture|port|upgrade)\w*\b", re.I)
_QUESTION_WORD = re.compile(r"^\W*(what|who|when|where|which|how many|is|are|does|do|can)\b", re.I)
_OPTIONS = re.compile(r"^\s*\(?[A-J][.)]\s", re.M)
_STEPS = re.compile(
    r"\b(step|explain|why|compare|analy[sz]e|design|implement|optimi[sz]e|evaluate)\w*\b", re.I
)
_NOT_LATIN = re.compile(r"[^\W\d_\u0000-\u024f\u1e00-\u1eff\u0370-\u03ff]")  # Greek is mathematics here
_LETTER = re.compile(r"[^\W\d_]")
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
    sampled: bool  # the question was longer than what is looked at


class Features(msgspec.Struct, frozen=True):
    vector: Array  # (n_features,)
    summary: Summary


def read(request: ChatRequest) -> Features:
    question, sampled = _question(request)
    hand, english, not_latin = _hand(question)
    vector = np.concatenate([embedding().embed(question), hand])
    return Features(vector, _summary(request, question, sampled, english=english > 0, not_latin=not_latin))


def vector(text: str) -> Array:
    """The vector of a bare question, as `read` makes it; for fitting."""
    question = _clip(text)
    return np.concatenate([embedding().embed(question), _hand(question)[0]])


def _question(request: ChatRequest) -> tuple[str, bool]:
    asked = [
        message.text for message in request.messages if message.role is Role.USER and message.text.strip()
    ]
    if not asked:
        asked = [message.text for message in request.messages[-1:]]
    text = asked[-1]
    if len(text) < FOLLOW_UP_CHARS and len(asked) > 1:
        text = f"{asked[-2][-QUESTION_TAIL:]}\n{text}"
    clipped = _clip(text)
    return clipped, len(clipped) < len(text)


def _clip(text: str) -> str:
    if len(text) <= QUESTION_HEAD + QUESTION_TAIL:
        return text
    return f"{text[:QUESTION_HEAD]}\n{text[-QUESTION_TAIL:]}"


def _hand(text: str) -> tuple[Array, float, float]:
    """The hand features, and of them the share of English function words and of letters not Latin."""
    chars = max(len(text), 1)
    words = _WORD.findall(text)
    n_words = max(len(words), 1)
    letters = max(len(_LETTER.findall(text)), 1)
    not_latin = len(_NOT_LATIN.findall(text)) / letters
    english = sum(word.lower() in _ENGLISH for word in words) / n_words
    values = (
        np.log1p(chars) / 8,
        np.log1p(n_words) / 6,
        len(_DIGIT.findall(text)) / chars * 5,
        min(len(_CODE.findall(text)), 10) / 10,
        min(len(_MATH.findall(text)), 10) / 10,
        min(len(_PROOF.findall(text)), 3) / 3,
        min(len(_CHANGE.findall(text)), 3) / 3,
        1.0 if _QUESTION_WORD.search(text) else 0.0,
        min(len(_OPTIONS.findall(text)), 10) / 10,
        min(len(_STEPS.findall(text)), 4) / 4,
        np.log1p(text.count("\n")) / 4,
        min(text.count("?"), 4) / 4,
        sum(map(len, words)) / n_words / 10,
        not_latin,
        english,
        max(0.0, 1 - chars / 80),
    )
    return np.array(values, np.float32), english, not_latin


def _summary(
    request: ChatRequest, question: str, sampled: bool, *, english: bool, not_latin: float
) -> Summary:
    parts = [part for message in request.messages for part in message.parts]
    text = sum(len(message.text) for message in request.messages)
    return Summary(
        chars=text,
        words=len(_WORD.findall(question)),
        turns=sum(message.role is Role.USER for message in request.messages),
        question_chars=len(question),
        script="other" if not_latin > 0.3 else "latin",
        english=english,
        code=_CODE.search(question) is not None,
        math=_MATH.search(question) is not None,
        tools=len(request.tools),
        images=sum(isinstance(part, Image) for part in parts),
        files=sum(isinstance(part, File) for part in parts),
        audio=sum(isinstance(part, Audio) for part in parts),
        sampled=sampled,
    )
