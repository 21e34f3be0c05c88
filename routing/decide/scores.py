"""The scores of every arm for one request: predicted success, cost, latency and reasons for removal.

They do not depend on the strategy, which ranks the arms by them later.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from routing.catalog.snapshot import Snapshot
from routing.decide import explanation, filters, forecast, strategy_weights
from routing.decide.arm_table import ArmTable, arm_table_of
from routing.decide.filters import Removal
from routing.decide.inputs import DecisionInput
from routing.decide.prediction import (
    artefact,
    difficulty,
    features,
    item_response,
    skills,
    translation,
)
from routing.decide.prediction.tokens import InputSize
from routing.decide.strategies import Candidates
from routing.language.chat import ChatRequest, Mode, caller_limit
from routing.language.choices import upstream_calls

Row = npt.NDArray[np.float64]


class Scores(msgspec.Struct, frozen=True):
    """Arrays are `(n,)`, by row of the arm table. They are rounded as the trace stores them, so that ranking
    a stored trace again compares the same numbers."""

    decision_input: DecisionInput
    snapshot: str  # the version
    arm_table: ArmTable
    summary: features.Summary
    mix: artefact.Array
    skill: skills.Skill  # the largest in the mix
    difficulty: float
    tokens: Row
    output: Row
    visible: Row  # of the output, without reasoning
    most_output: Row  # the arm's and the request's limit
    starting_visible: Row  # forecast before the corrections from traffic, see forecast.Output
    starting_reasoning: Row
    reasoning: Row  # tokens of the output
    allowance: Row  # of reasoning, on top of a limit of the visible answer
    p_success: Row
    low: Row
    high: Row
    learned: Row
    cost_usd: Row
    latency_ms: Row
    ttft_ms: Row
    retiring: npt.NDArray[np.bool_]  # the model is retired within RETIRING_DAYS
    removed: list[Removal | None]
    notes: tuple[str, ...]

    def candidates(self, rows: list[int]) -> Candidates:
        return Candidates(
            p_success=self.p_success[rows],
            low=self.low[rows],
            cost_usd=self.cost_usd[rows],
            latency_ms=self.latency_ms[rows],
            ttft_ms=self.ttft_ms[rows],
            p_up=self.arm_table.p_up[rows],
            scored=self.arm_table.scored[rows],
            retiring=self.retiring[rows],
        )


def score(decision_input: DecisionInput, snapshot: Snapshot, learning: Mapping[str, float]) -> Scores:
    """Score every arm of the snapshot. `learning`: the account's shifts of P(success) by "arm name|skill"."""
    request, fit = decision_input.request, artefact.fitted()
    arm_table = arm_table_of(snapshot, request.effort)
    size = InputSize(request)
    by_tokenizer = np.array([size.tokens(tokenizer) for tokenizer in arm_table.tokenizers], float)
    tokens: Row = by_tokenizer[arm_table.tokenizer_rows]
    prompt = features.read(request)
    scaled = fit.scale(prompt.vector)
    known = difficulty.familiarity(scaled, fit)
    mix = skills.mix(scaled, prompt.summary.known, prompt.summary.tools, int(by_tokenizer[0]), fit)
    # `hard` is how hard the prompt is for every arm. `better` is how much better each arm is at just this
    # prompt than at its skills on average. Their difference moves the logits of the skill table.
    hard = difficulty.estimate(scaled, prompt.summary.known, known, fit)
    better = item_response.term(scaled, mix, known, arm_table.place, fit)
    p, low, high = _success(arm_table, mix, better - hard)
    # An answer fails too when reasoning uses up the output limit: `finished` multiplies P(success). What the
    # account's own outcomes taught is added afterwards, in points of probability.
    out = forecast.output(arm_table, mix, hard, request.max_output_tokens, request.max_answer_tokens, tokens)
    learned = _learned(arm_table, mix, learning)
    paid, cached = forecast.input_cost(arm_table, tokens, decision_input.conversation, decision_input.at)
    cost = np.round(
        paid * _calls(request, arm_table) + request.n * out.total * arm_table.prices(tokens).output, 9
    )
    return Scores(
        decision_input=decision_input,
        snapshot=snapshot.version,
        arm_table=arm_table,
        summary=prompt.summary,
        mix=mix,
        skill=skills.SKILLS[int(mix.argmax())],
        difficulty=hard,
        tokens=tokens,
        output=np.round(out.total),
        visible=np.asarray(np.round(np.minimum(out.visible, out.total)), np.float64),
        most_output=out.limit,
        starting_visible=np.round(out.starting_visible),
        starting_reasoning=np.round(out.starting_reasoning),
        reasoning=np.round(out.reasoning),
        allowance=out.allowance,
        p_success=_share(p * out.finished + learned),
        low=_share(low * out.finished + learned),
        high=_share(high * out.finished + learned),
        learned=np.round(learned, 4),
        cost_usd=cost,
        latency_ms=np.round(forecast.latency_ms(arm_table, out), 1),
        ttft_ms=np.round(arm_table.ttft_ms, 1),
        retiring=arm_table.shutdown <= decision_input.at.toordinal() + strategy_weights.RETIRING_DAYS,
        removed=filters.removals(arm_table, _rules(decision_input, snapshot), tokens, cost),
        notes=(*decision_input.notes, *_notes(prompt, size, cached)),
    )


def _success(arm_table: ArmTable, mix: artefact.Array, prompt_term: Row) -> tuple[Row, Row, Row]:
    """P(success) and the ends of its 90 % interval, `(n,)` each. `prompt_term`: `(n,)` logits to add.

    Probabilities, not logits, are averaged over skills: where a third of the mix is mathematics, a model that
    cannot do mathematics fails in about a third of cases.
    """
    weights = mix.astype(np.float64)
    at_zero = np.clip(arm_table.success @ weights, 1e-6, 1 - 1e-6)
    logit = np.log(at_zero / (1 - at_zero)) + prompt_term
    sd = arm_table.sd @ weights
    return _sigmoid(logit), _sigmoid(logit - forecast.INTERVAL * sd), _sigmoid(logit + forecast.INTERVAL * sd)


def _sigmoid(logit: Row) -> Row:
    return 1 / (1 + np.exp(-logit))


def _calls(request: ChatRequest, arm_table: ArmTable) -> Row | int:
    """How often each arm's input is paid for: an API with one choice per call is called once for each."""
    if request.n == 1:
        return 1
    arms = zip(arm_table.facts, arm_table.arms, strict=True)
    return np.array([upstream_calls(request, facts, arm.effort) for facts, arm in arms], float)


def _share(p: Row) -> Row:
    return np.asarray(np.round(np.clip(p, 0.0001, 0.9999), 4), np.float64)


def _rules(decision_input: DecisionInput, snapshot: Snapshot) -> filters.Rules:
    smart = decision_input.mode is Mode.SMART
    return filters.Rules(
        needed=filters.needed(decision_input.request)
        | (filters.preferred(decision_input.request) if smart else {}),
        allowed=decision_input.allowed,
        excluded=decision_input.excluded,
        test_mode=decision_input.test_mode and smart,  # no effect in manual mode
        max_cost_usd=decision_input.max_cost_usd,
        budget_left_usd=decision_input.budget_left_usd,
        today=decision_input.at.date(),
        room_for_output=caller_limit(decision_input.request) or 0,
        pinned=None if smart else decision_input.pinned,
        blocked=snapshot.blocked,
    )


def _learned(arm_table: ArmTable, mix: artefact.Array, learning: Mapping[str, float]) -> Row:
    """The account's shift of P(success) for each arm: the mean over skills, weighted by the prompt's mix."""
    shift = np.zeros(len(arm_table.arms))
    if learning:
        for row, name in enumerate(arm_table.names):
            shift[row] = sum(
                share * learning.get(f"{name}|{skill}", 0.0)
                for skill, share in zip(skills.SKILLS, mix.tolist(), strict=True)
            )
    return shift


def _notes(prompt: features.Features, size: InputSize, cached_usd: float) -> list[str]:
    notes = []
    if prompt.summary.sampled:
        notes.append("the question is long: only its beginning and end were analysed")
    if size.sampled:
        notes.append("the input is long: its token count is estimated from samples")
    if prompt.summary.known < translation.READABLE_FROM:
        notes.append("the question is in a script RoutePlex cannot read, so it counts as hard")
    elif prompt.summary.language:
        notes.append("the question was analysed through a word-by-word translation into English")
    if cached_usd > 0:
        notes.append(
            f"staying with the conversation's model saves {explanation.usd(cached_usd)} of cached input"
        )
    return notes
