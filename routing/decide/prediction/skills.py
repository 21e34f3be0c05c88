"""The mix of skills a prompt needs: P(skill | prompt) from a linear classifier, tools and length.

Tool use and long context show in the request and not in its words: fixed rules give their shares.
"""

from enum import StrEnum

import numpy as np

from routing.decide.prediction import translation
from routing.decide.prediction.artefact import Array, Fitted
from routing.decide.prediction.request_model import Judgement


class Skill(StrEnum):
    CODING = "coding"
    AGENTIC_CODING = "agentic_coding"
    COMPETITION_MATH = "competition_math"
    ARITHMETIC = "arithmetic"
    SCIENCE = "science"
    HUMANITIES = "humanities"
    PROFESSIONAL = "professional"
    REASONING = "reasoning"
    WRITING = "writing"
    CONVERSATION = "conversation"
    EXTRACTION = "extraction"
    SUMMARISING = "summarising"
    TRANSLATION = "translation"
    TOOL_USE = "tool_use"
    LONG_CONTEXT = "long_context"


SKILLS = tuple(Skill)
INDEX = {skill: position for position, skill in enumerate(SKILLS)}
COLUMNS = {str(skill): position for skill, position in INDEX.items()}
TEXT_SKILLS = SKILLS[: INDEX[Skill.TOOL_USE]]  # those the classifier tells apart

WORDS = {
    Skill.CODING: "coding",
    Skill.AGENTIC_CODING: "multi-step coding",
    Skill.COMPETITION_MATH: "mathematics",
    Skill.ARITHMETIC: "arithmetic",
    Skill.SCIENCE: "science",
    Skill.HUMANITIES: "general knowledge",
    Skill.PROFESSIONAL: "professional knowledge",
    Skill.REASONING: "reasoning",
    Skill.WRITING: "writing",
    Skill.CONVERSATION: "conversation",
    Skill.EXTRACTION: "extraction",
    Skill.SUMMARISING: "summarising",
    Skill.TRANSLATION: "translation",
    Skill.TOOL_USE: "tool use",
    Skill.LONG_CONTEXT: "long-context",
}

TOOL_SHARE = 0.5  # of the mix when tools are offered: half of it is calling them well, half the task itself
LONG_FROM, LONG_FULL = 16_000, 128_000  # tokens between which reading a long input becomes the main skill
LONG_SHARE = 0.6
# Weight of the question's own logits beside the request model's, for a question without system text and
# history, and for others. With a random third of the rated requests left out, four times, 54, 60, 60 and 55 %
# of the former are right at 0, .15, .3 and .5, and 62, 61, 53 and 41 % of the others (docs/routing-lab.md).
BARE_QUESTION_WEIGHT, QUESTION_WEIGHT = 0.3, 0.1
FLOOR = 1e-4


def mix(
    scaled: Array, read: float, tools: int, input_tokens: int, fit: Fitted, judgement: Judgement | None = None
) -> Array:
    """Return `(n_skills,)` shares that sum to 1. `scaled`: see `Fitted.scale`; `read`: `Summary.known`.

    `judgement`: the request model's, which counts as far as the request is like everyday traffic. A text
    RoutePlex cannot read may need any skill, so all text skills get the same share.
    """
    text = _of_question(scaled, read, fit)
    if judgement is not None:
        weight = BARE_QUESTION_WEIGHT if judgement.bare else QUESTION_WEIGHT
        logs = np.log(judgement.skills + FLOOR) + weight * np.log(text + FLOOR)
        text = judgement.everyday * _normal(logs) + (1 - judgement.everyday) * text
    shares = np.zeros(len(SKILLS), np.float32)
    shares[: len(TEXT_SKILLS)] = text
    if tools:
        shares = _give(shares, Skill.TOOL_USE, TOOL_SHARE)
    if input_tokens > LONG_FROM:
        reach = np.log(input_tokens / LONG_FROM) / np.log(LONG_FULL / LONG_FROM)
        shares = _give(shares, Skill.LONG_CONTEXT, LONG_SHARE * min(1.0, float(reach)))
    return shares


def _of_question(scaled: Array, read: float, fit: Fitted) -> Array:
    if read < translation.READABLE_FROM:
        return np.full(len(TEXT_SKILLS), 1 / len(TEXT_SKILLS), np.float32)
    return _normal(scaled @ fit.skill_weights + fit.skill_bias)


def _normal(logits: Array) -> Array:
    odds = np.exp(logits - np.maximum.reduce(logits))
    return np.asarray(odds / np.add.reduce(odds), np.float32)


def _give(shares: Array, skill: Skill, share: float) -> Array:
    moved = shares * np.float32(1 - share)
    moved[INDEX[skill]] += np.float32(share)
    return moved
