"""The scores of every arm for one request: predicted success, cost, latency and reasons for removal.

They do not depend on the strategy, which ranks the arms by them later.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from routing.catalog.snapshot import Snapshot
from routing.decide import explanation, filters, forecast, strategy_weights
from routing.decide.arm_table import ArmTable, Prices, Retirement, arm_table_of
from routing.decide.filters import Removals
from routing.decide.inputs import DecisionInput
from routing.decide.prediction import (
    artefact,
    difficulty,
    features,
    item_response,
    request_features,
    request_model,
    skills,
    translation,
)
from routing.decide.prediction.tokens import InputSize
from routing.decide.strategies import Candidates, Health
from routing.language.chat import ChatRequest, Mode, caller_limit
from routing.language.choices import upstream_calls

Row = npt.NDArray[np.float64]
Rows = npt.NDArray[np.intp]


class Field(msgspec.Struct, frozen=True):
    """The rows of the arm table that compete, with what no request changes of them."""

    rows: Rows
    others: npt.NDArray[np.uint16]  # the rows of candidates that are not ranked
    n: int  # rows of the table up to the last candidate: `ArmTable.listed` or all
    ttft_ms: Row
    p_up: Row
    scored: npt.NDArray[np.bool_]
    retiring: npt.NDArray[np.bool_] | None  # None: no model is retired soon
    health: Health


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
    judgement: request_model.Judgement
    answer_tokens: float  # of a good visible answer
    tokens: Row
    output: Row
    visible: Row  # of the output, without reasoning
    most_output: Row  # the arm's and the request's limit
    starting_visible: Row  # forecast before the corrections from traffic, see forecast.Output
    starting_reasoning: Row
    reasoning: Row  # tokens of the output
    allowance: Row  # of reasoning, on top of a limit of the visible answer
    rates: Row  # (3, n): the next three
    p_success: Row
    low: Row
    high: Row
    believed: Row  # P(success), or `low` for a model without scores, as strategies.Candidates has it
    learned: Row
    cost_usd: Row
    prices: Prices
    latency_ms: Row
    retiring: Retirement | None  # within RETIRING_DAYS; None: no model is
    removed: Removals
    notes: tuple[str, ...]
    complexity: float  # how often an average model without much reasoning fails on such a request, 0 to 1

    def field(self, pinned: int | None = None) -> Field:
        """Return the rows that can answer. `pinned`: a row that is compared in any case, as the first."""
        field: Field | None = self.removed.shared.get(pinned)
        if field is None:
            field = self.removed.shared[pinned] = self._field(pinned)
        return field

    def candidates(self, field: Field) -> Candidates:
        rows = field.rows
        candidates = Candidates(
            p_success=self.p_success.take(rows),
            low=self.low.take(rows),
            cost_usd=self.cost_usd.take(rows),
            latency_ms=self.latency_ms.take(rows),
            ttft_ms=field.ttft_ms,
            p_up=field.p_up,
            scored=field.scored,
            retiring=field.retiring,
            tolerance=strategy_weights.tolerance(self.complexity),
        )
        candidates.__dict__["health"] = field.health
        candidates.__dict__["believed"] = self.believed.take(rows)
        return candidates

    def _field(self, pinned: int | None) -> Field:
        table, rows = self.arm_table, self.removed.eligible
        if pinned is not None:
            rows = np.concatenate([[pinned], rows[rows != pinned]])
        # A shadowed row is a candidate only if it is compared.
        among = self.removed.places != 0
        among[table.listed :] = False
        among[rows] = False
        if pinned is not None:
            same = rows[table.model_numbers.take(rows) == table.model_numbers[pinned]]
            among[same] = True
            among[pinned] = self.removed[pinned] is not None
        retiring = None if self.retiring is None else self.retiring.rows.take(rows)
        return Field(
            rows=rows,
            others=np.flatnonzero(among).astype(np.uint16),
            n=table.listed if rows.max(initial=0) < table.listed else len(table.arms),
            ttft_ms=table.ttft_ms_rounded.take(rows),
            p_up=table.p_up.take(rows),
            scored=table.scored.take(rows),
            retiring=retiring if retiring is not None and retiring.any() else None,
            health=Health(table.p_up.take(rows)),
        )


def score(decision_input: DecisionInput, snapshot: Snapshot, learning: Mapping[str, float]) -> Scores:
    """Score every arm of the snapshot. `learning`: the account's shifts of P(success) by "arm name|skill"."""
    request, fit = decision_input.request, artefact.fitted()
    arm_table = arm_table_of(snapshot, request.effort)
    size = InputSize(request, decision_input.text_tokens)
    by_tokenizer = np.array([size.tokens(tokenizer) for tokenizer in arm_table.tokenizers], float)
    tokens: Row = by_tokenizer.take(arm_table.tokenizer_rows)
    text = decision_input.text or request_features.request_text(request)
    prompt = features.read(request, text.analysis)
    scaled = fit.scale(prompt.vector)
    known = difficulty.familiarity(scaled, fit)
    judgement = decision_input.judgement or request_model.judge(text)
    read, tools = prompt.summary.known, prompt.summary.tools
    mix = skills.mix(scaled, read, tools, int(by_tokenizer[0]), fit, judgement)
    # `hard` is how hard the prompt is for every arm. `better` is how much better each arm is at just this
    # prompt than at its skills on average. Their difference moves the logits of the skill table.
    hard = difficulty.estimate(scaled, read, known, fit, judgement)
    better = item_response.term(scaled, mix, known, arm_table.place, fit)
    success = _success(arm_table, mix, better - difficulty.cautious(hard, read))
    # An answer fails too when reasoning uses up the output limit: `finished` multiplies P(success). What the
    # account's own outcomes taught is added afterwards, in points of probability.
    answer = forecast.answer_tokens(mix, hard, judgement)
    limits = request.max_output_tokens, request.max_answer_tokens
    out = forecast.output(arm_table, mix, hard, answer, *limits, tokens)
    total = np.rint(out.total)
    learned = _learned(arm_table, mix, learning)
    rates = _share(success * out.finished + learned)
    p, low, high = rates
    prices = arm_table.prices(tokens)
    paid, cached = forecast.input_cost(
        arm_table, prices, tokens, decision_input.conversation, decision_input.at
    )
    cost = forecast.rounded(paid * _calls(request, arm_table) + request.n * total * prices.output, 9)
    return Scores(
        decision_input=decision_input,
        snapshot=snapshot.version,
        arm_table=arm_table,
        summary=prompt.summary,
        mix=mix,
        skill=skills.SKILLS[int(mix.argmax())],
        difficulty=hard,
        judgement=judgement,
        answer_tokens=answer,
        tokens=tokens,
        output=total,
        visible=out.visible,
        most_output=out.limit,
        starting_visible=out.starting_visible,
        starting_reasoning=out.starting_reasoning,
        reasoning=out.reasoning,
        allowance=out.allowance,
        rates=rates,
        p_success=p,
        low=low,
        high=high,
        believed=np.where(arm_table.scored, p, low),
        learned=forecast.rounded(learned, 4) if learning else learned,
        cost_usd=cost,
        prices=prices,
        latency_ms=forecast.rounded(forecast.latency_ms(arm_table, out), 1),
        retiring=arm_table.retiring(decision_input.at.toordinal() + strategy_weights.RETIRING_DAYS),
        removed=filters.removals(arm_table, _rules(decision_input, snapshot), tokens, cost),
        notes=(*decision_input.notes, *_notes(prompt, size, cached)),
        complexity=round(difficulty.failure_rate(hard), 3),
    )


def _success(arm_table: ArmTable, mix: artefact.Array, prompt_term: Row) -> Row:
    """P(success) and the ends of its 90 % interval, `(3, n)`. `prompt_term`: `(n,)` logits to add.

    Probabilities, not logits, are averaged over skills: where a third of the mix is mathematics, a model that
    cannot do mathematics fails in about a third of cases.
    """
    weights = mix.astype(np.float64)
    at_zero = np.minimum(np.maximum(arm_table.success @ weights, 1e-6), 1 - 1e-6)
    logit = np.log(at_zero / (1 - at_zero)) + prompt_term
    reach = forecast.INTERVAL * (arm_table.sd @ weights)
    logits = np.empty((3, len(logit)))
    logits[0] = logit
    np.subtract(logit, reach, out=logits[1])
    np.add(logit, reach, out=logits[2])
    return np.asarray(1 / (1 + np.exp(-logits)), np.float64)


def _calls(request: ChatRequest, arm_table: ArmTable) -> Row | int:
    """How often each arm's input is paid for: an API with one choice per call is called once for each."""
    if request.n == 1:
        return 1
    arms = zip(arm_table.facts, arm_table.arms, strict=True)
    return np.array([upstream_calls(request, facts, arm.effort) for facts, arm in arms], float)


def _share(p: Row) -> Row:
    return forecast.rounded(np.minimum(np.maximum(p, 0.0001), 0.9999), 4)


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
    if not learning:
        return arm_table.zeros
    shift = np.zeros(len(arm_table.arms))
    shares = mix.tolist()
    for key, by in learning.items():
        name, _, skill = key.rpartition("|")
        row, column = arm_table.rows_by_name.get(name), skills.COLUMNS.get(skill)
        if row is not None and column is not None:
            shift[row] += by * shares[column]
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
