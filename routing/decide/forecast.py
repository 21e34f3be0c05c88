"""What an answer will take: output tokens, cost in USD and latency in ms, per arm (spec/routing.md §5)."""

from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide.arm_table import ArmTable
from routing.decide.prediction.artefact import Array
from routing.decide.prediction.difficulty import ORDINARY
from routing.decide.prediction.skills import SKILLS, Skill
from routing.language.arms import Arm

Row = npt.NDArray[np.float64]

# Tokens of an ordinary visible answer by skill, and how reasoning compares with the table below. Starting
# values, from the mean output tokens of the dev data (MMLU-Pro 230, GSM8K 190, code 120) and chat models'
# habit of saying more today; traffic replaces them (`Snapshot.output_tokens`).
VISIBLE = {
    Skill.CODING: 600, Skill.AGENTIC_CODING: 1500, Skill.COMPETITION_MATH: 800, Skill.ARITHMETIC: 180,
    Skill.SCIENCE: 350, Skill.HUMANITIES: 250, Skill.PROFESSIONAL: 450, Skill.REASONING: 350,
    Skill.WRITING: 550,
    Skill.CONVERSATION: 120, Skill.EXTRACTION: 150, Skill.SUMMARISING: 250, Skill.TRANSLATION: 150,
    Skill.TOOL_USE: 120, Skill.LONG_CONTEXT: 400,
}  # fmt: skip
THINKING = {
    Skill.CODING: 1.2, Skill.AGENTIC_CODING: 1.8, Skill.COMPETITION_MATH: 2.5, Skill.ARITHMETIC: 0.5,
    Skill.SCIENCE: 1.0, Skill.HUMANITIES: 0.4, Skill.PROFESSIONAL: 0.7, Skill.REASONING: 1.6,
    Skill.WRITING: 0.5,
    Skill.CONVERSATION: 0.2, Skill.EXTRACTION: 0.4, Skill.SUMMARISING: 0.4, Skill.TRANSLATION: 0.4,
    Skill.TOOL_USE: 0.5, Skill.LONG_CONTEXT: 0.8,
}  # fmt: skip
VISIBLE_BY_DIFFICULTY = 0.45  # log tokens per logit: trivial questions get short answers …
THINKING_BY_DIFFICULTY = 0.6  # … and little thought: models decide themselves how much of an effort they use
SPREAD = 0.7  # sd of log reasoning tokens around the forecast
ANSWER_SHARE = 0.5  # of the visible answer (or of a shorter limit) that reasoning must leave room for

CACHE_LIFE = timedelta(minutes=5)  # providers keep a prompt prefix that long at least
CACHE_FROM = 1024  # tokens below which no provider caches, unless the model's quirk says otherwise


class Conversation(msgspec.Struct, frozen=True):
    """Where the conversation's earlier turn went, for the prompt cache: tokens of the prefix it shares."""

    arm: Arm
    prefix_tokens: int
    last_at: datetime


class Output(msgspec.Struct, frozen=True):
    """Tokens, `(n,)` each; `finished`: probability that reasoning leaves room for an answer."""

    visible: Row
    total: Row
    finished: Row


def output(arm_table: ArmTable, mix: Array, difficulty: float, limit: int | None) -> Output:
    weights = mix.astype(np.float64)
    visible = _geometric(weights, VISIBLE) * np.exp(VISIBLE_BY_DIFFICULTY * (difficulty - ORDINARY))
    thinking = float(weights @ [THINKING[s] for s in SKILLS]) * np.exp(THINKING_BY_DIFFICULTY * difficulty)
    reasoning = arm_table.reasoning * thinking
    total = _seen(arm_table, mix, reasoning + visible)
    cap = arm_table.max_output if limit is None else np.minimum(arm_table.max_output, limit)
    room = cap - ANSWER_SHARE * np.minimum(visible, cap)
    return Output(
        visible=np.minimum(visible, cap),
        total=np.minimum(total, cap),
        finished=1
        / (1 + (np.maximum(reasoning, 1e-6) / room) ** (1.7 / SPREAD)),  # logistic form of the tail
    )


def input_cost(
    arm_table: ArmTable, tokens: Row, conversation: Conversation | None, at: datetime
) -> tuple[Row, float]:
    """USD of the input by arm, and how many of them the prompt cache saves on the arm of the earlier turn.

    Leaving that arm forgoes the saving: that is its charge (spec/routing.md §5).
    """
    prices = arm_table.prices(tokens)
    full = tokens * prices.uncached_input
    row = None if conversation is None else _cached_row(arm_table, conversation, at)
    if row is None or conversation is None:
        return full, 0.0
    shared = min(conversation.prefix_tokens, tokens[row])
    discount = shared * (prices.uncached_input[row] - prices.cache_read[row])
    if not discount > 0:
        return full, 0.0
    saved = np.zeros(len(tokens))
    for other, arm in enumerate(arm_table.arms):
        if arm.model == conversation.arm.model:
            saved[other] = discount
    return full - saved, float(discount)


def latency_ms(arm_table: ArmTable, out: Output) -> Row:
    """Time to complete. Time to first token holds the reasoning already; the visible answer is added."""
    return arm_table.ttft_ms + out.visible / arm_table.tokens_per_second * 1000


def _cached_row(arm_table: ArmTable, conversation: Conversation, at: datetime) -> int | None:
    row = next((i for i, arm in enumerate(arm_table.arms) if arm.model == conversation.arm.model), None)
    if row is None or at - conversation.last_at > CACHE_LIFE:
        return None
    least = arm_table.facts[row].quirks.get("prompt_cache_min_tokens", CACHE_FROM)
    return row if conversation.prefix_tokens >= least else None


def _geometric(weights: Row, table: dict[Skill, int]) -> float:
    return float(np.exp(weights @ np.log([table[skill] for skill in SKILLS])))


def _seen(arm_table: ArmTable, mix: Array, guess: Row) -> Row:
    """The guess, replaced by what traffic of the main skill showed where there was some."""
    seen = arm_table.snapshot.output_tokens
    if not seen:
        return guess
    skill = SKILLS[int(mix.argmax())]
    return np.array([seen.get(f"{name}|{skill}", guess[row]) for row, name in enumerate(arm_table.names)])
