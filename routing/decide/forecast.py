"""Forecasts of an answer per arm: output tokens, cost in USD and latency in ms."""

from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt

from routing.catalog.length_ratios import OFFSET, band_of
from routing.decide.arm_table import ArmTable, Prices
from routing.decide.prediction.artefact import Array
from routing.decide.prediction.difficulty import ORDINARY
from routing.decide.prediction.request_model import Judgement
from routing.decide.prediction.skills import SKILLS, Skill
from routing.language.arms import Arm

Row = npt.NDArray[np.float64]

# Starting values, which traffic corrects (`Snapshot.output_tokens`). VISIBLE: tokens of an ordinary
# visible answer by skill, from the mean output of the dev data (MMLU-Pro 230, GSM8K 190, code 120), raised
# because today's chat models write more. THINKING: factor on `arm_table.REASONING` by skill.
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
_LOG_VISIBLE = np.log([VISIBLE[skill] for skill in SKILLS])
_THINKING = np.array([THINKING[skill] for skill in SKILLS])
VISIBLE_BY_DIFFICULTY = 0.45  # log tokens per logit: trivial questions get short answers …
THINKING_BY_DIFFICULTY = 0.6  # … and little thought: models decide themselves how much of an effort they use
INTERVAL = 1.64  # standard deviations: 90 %
SPREAD = 0.7  # sd of log reasoning tokens around the forecast
ANSWER_SHARE = 0.5  # of the visible answer (or of a shorter limit) that reasoning must leave room for

# Room to reason on top of a limit of the visible answer: enough in 95 % of cases (1.64 sd), never less than
# LEAST_ALLOWANCE tokens, which is also the smallest thinking budget that providers take.
ALLOWANCE_FACTOR = float(np.exp(1.64 * SPREAD))
LEAST_ALLOWANCE = 1024

CACHE_LIFE = timedelta(minutes=5)  # providers cache a prompt prefix for at least this long
CACHE_FROM = 1024  # tokens below which no provider caches, unless the model's quirk says otherwise


class Conversation(msgspec.Struct, frozen=True):
    """The arm that answered the conversation's previous turn, and the tokens of prompt both turns share."""

    arm: Arm
    prefix_tokens: int
    last_at: datetime


class Output(msgspec.Struct, frozen=True):
    """Tokens, `(n,)` each; `finished`: probability that reasoning leaves room for an answer."""

    visible: Row
    reasoning: Row
    total: Row
    allowance: Row  # reasoning that is allowed on top of a limit of the visible answer; else 0
    finished: Row
    limit: Row
    starting_visible: Row  # before the corrections from traffic and the limit, which are learnt against these
    starting_reasoning: Row


def answer_tokens(mix: Array, difficulty: float, judgement: Judgement) -> float:
    """Return the expected length of a good visible answer in tokens.

    For everyday traffic it is the request model's estimate, for benchmark questions that of skill and
    difficulty.
    """
    typical = float(np.exp(mix.astype(np.float64) @ _LOG_VISIBLE)) * np.exp(
        VISIBLE_BY_DIFFICULTY * (difficulty - ORDINARY)
    )
    everyday = judgement.everyday
    return float(np.exp(everyday * np.log(judgement.answer_tokens) + (1 - everyday) * np.log(typical)))


def output(
    arm_table: ArmTable,
    mix: Array,
    difficulty: float,
    expected_answer: float,
    limit: int | None,
    answer_limit: int | None = None,
    input_tokens: Row | float = 0.0,
) -> Output:
    """Forecast output tokens. `expected_answer`: tokens of a good visible answer (`answer_tokens`).

    `limit`: of the whole output; `answer_limit`: of the visible answer alone.

    Reasoning and the visible answer share the limit. When reasoning uses it up, the answer is cut or empty,
    which counts as a failure: `finished` is the chance that reasoning stays below what the answer needs.
    A limit of the visible answer alone is raised by each arm's allowance for reasoning.
    """
    weights = mix.astype(np.float64)
    thinking = float(weights @ _THINKING) * np.exp(THINKING_BY_DIFFICULTY * difficulty)
    starting_visible, starting_reasoning = (
        np.full(len(arm_table.arms), expected_answer),
        arm_table.reasoning * thinking,
    )
    cell = int(mix.argmax()), band_of(difficulty)
    visible = _corrected(starting_visible, arm_table.visible_ratio[cell])
    reasoning = np.where(
        starting_reasoning > 0, _corrected(starting_reasoning, arm_table.reasoning_ratio[cell]), 0.0
    )
    cap = arm_table.max_output if limit is None else np.minimum(arm_table.max_output, limit)
    allowance = np.zeros(len(arm_table.arms))
    if answer_limit is not None:
        visible = np.minimum(visible, answer_limit)
        allowance = _allowance(arm_table, reasoning, answer_limit, input_tokens)
        cap = np.minimum(cap, answer_limit + allowance)
    total = reasoning + visible
    visible = np.minimum(visible, cap)
    room = cap - ANSWER_SHARE * visible
    return Output(
        visible=visible,
        reasoning=np.minimum(reasoning, cap),
        total=np.minimum(total, cap),
        allowance=allowance,
        finished=1
        / (1 + (np.maximum(reasoning, 1e-6) / room) ** (1.7 / SPREAD)),  # logistic form of the tail
        limit=cap,
        starting_visible=starting_visible,
        starting_reasoning=starting_reasoning,
    )


def interval(tokens: float, most: float, spread: float = SPREAD) -> tuple[float, float]:
    """Return the 90 % interval of an output forecast, at most `most` tokens.

    `spread`: sd of log tokens. SPREAD is an assumption about reasoning; the visible part varies less.
    """
    factor = float(np.exp(INTERVAL * spread))
    return tokens / factor, min(tokens * factor, max(most, tokens))


def _allowance(arm_table: ArmTable, reasoning: Row, answer_limit: int, input_tokens: Row | float) -> Row:
    """The reasoning tokens each arm is allowed, within its own output limit and its context window."""
    wanted = np.where(arm_table.thinks, np.maximum(LEAST_ALLOWANCE, ALLOWANCE_FACTOR * reasoning), 0)
    left = np.minimum(arm_table.max_output, arm_table.window - input_tokens) - answer_limit
    allowance: Row = np.floor(np.clip(wanted, 0, np.maximum(left, 0)))
    return allowance


def input_cost(
    arm_table: ArmTable, prices: Prices, tokens: Row, conversation: Conversation | None, at: datetime
) -> tuple[Row, float]:
    """Return the input's cost in USD by arm, and the USD the prompt cache saves on the previous turn's model.

    The previous turn's model has the shared prefix in its cache and charges less for it, so that staying with
    it is cheaper. No other penalty is put on changing the model.
    """
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


def rounded(numbers: Row, decimals: int) -> Row:
    """As `np.round`, which takes twice as long for a few hundred numbers."""
    scale = 10.0**decimals
    return np.rint(numbers * scale) / scale


def latency_ms(arm_table: ArmTable, out: Output) -> Row:
    """Return the time to the last token. Time to first token already contains the reasoning."""
    return arm_table.ttft_ms + out.visible / arm_table.tokens_per_second * 1000


def _cached_row(arm_table: ArmTable, conversation: Conversation, at: datetime) -> int | None:
    row = next((i for i, arm in enumerate(arm_table.arms) if arm.model == conversation.arm.model), None)
    if row is None or at - conversation.last_at > CACHE_LIFE:
        return None
    least = arm_table.facts[row].quirks.get("prompt_cache_min_tokens", CACHE_FROM)
    return row if conversation.prefix_tokens >= least else None


def _corrected(tokens: Row, ratio: Row) -> Row:
    """Tokens times what traffic showed of such answers, as `length_ratios.ratios` learnt it."""
    return np.asarray(np.maximum((tokens + OFFSET) * ratio - OFFSET, 1.0))
