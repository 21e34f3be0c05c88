"""One question seen against one snapshot: every arm's numbers, before anybody is preferred."""

from collections.abc import Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from routing.catalog.snapshot import Snapshot
from routing.decide import explanation as explain
from routing.decide import filters, forecast
from routing.decide.arm_table import Board, board_of
from routing.decide.filters import Removal
from routing.decide.inputs import Question
from routing.decide.prediction import (
    artefact,
    difficulty,
    features,
    item_response,
    quality,
    skills,
)
from routing.decide.prediction import (
    translation as gloss,
)
from routing.decide.prediction.tokens import InputSize
from routing.decide.strategies import Candidates
from routing.language.chat import ChatRequest, Mode
from routing.language.choices import upstream_calls

Row = npt.NDArray[np.float64]


class View(msgspec.Struct, frozen=True):
    """Arrays are by row of the board, `(n,)`, rounded as the trace shows them: what is ranked is recorded."""

    question: Question
    snapshot: str  # its version
    board: Board
    summary: features.Summary
    mix: artefact.Array
    skill: skills.Skill  # the largest in the mix
    difficulty: float
    tokens: Row
    output: Row
    p_success: Row
    low: Row
    high: Row
    learned: Row
    cost_usd: Row
    latency_ms: Row
    ttft_ms: Row
    removed: list[Removal | None]
    notes: tuple[str, ...]

    def candidates(self, rows: list[int]) -> Candidates:
        return Candidates(
            p_success=self.p_success[rows],
            low=self.low[rows],
            cost_usd=self.cost_usd[rows],
            latency_ms=self.latency_ms[rows],
            ttft_ms=self.ttft_ms[rows],
            p_up=self.board.p_up[rows],
            scored=self.board.scored[rows],
        )


def look(question: Question, snapshot: Snapshot, learning: Mapping[str, float]) -> View:
    request, fit = question.request, artefact.fitted()
    board = board_of(snapshot, request.effort)
    size = InputSize(request)
    by_tokenizer = np.array([size.tokens(tokenizer) for tokenizer in board.tokenizers], float)
    tokens: Row = by_tokenizer[board.tokenizer_rows]
    seen = features.read(request)
    scaled = fit.scale(seen.vector)
    known = difficulty.familiarity(scaled, fit)
    mix = skills.mix(scaled, seen.summary.known, seen.summary.tools, int(by_tokenizer[0]), fit)
    hard = difficulty.estimate(scaled, seen.summary.known, known, fit)
    better = item_response.term(scaled, mix, known, board.place, fit)
    p, low, high = quality.success(board, mix, better - hard)
    out = forecast.output(board, mix, hard, request.max_output_tokens)
    learned = _learned(board, mix, learning)
    paid, cached = forecast.input_cost(board, tokens, question.conversation, question.at)
    cost = np.round(paid * _calls(request, board) + request.n * out.total * board.prices(tokens).output, 9)
    return View(
        question=question,
        snapshot=snapshot.version,
        board=board,
        summary=seen.summary,
        mix=mix,
        skill=skills.SKILLS[int(mix.argmax())],
        difficulty=hard,
        tokens=tokens,
        output=np.round(out.total),
        p_success=_share(p * out.finished + learned),
        low=_share(low * out.finished + learned),
        high=_share(high * out.finished + learned),
        learned=np.round(learned, 4),
        cost_usd=cost,
        latency_ms=np.round(forecast.latency_ms(board, out), 1),
        ttft_ms=np.round(board.ttft_ms, 1),
        removed=filters.removals(board, _rules(question, snapshot), tokens, cost),
        notes=(*question.notes, *_notes(seen, size, cached)),
    )


def _calls(request: ChatRequest, board: Board) -> Row | int:
    """By row, how many times the input is paid for: an API that gives one choice is asked for each."""
    if request.n == 1:
        return 1
    arms = zip(board.facts, board.arms, strict=True)
    return np.array([upstream_calls(request, facts, arm.effort) for facts, arm in arms], float)


def _share(p: Row) -> Row:
    return np.asarray(np.round(np.clip(p, 0.0001, 0.9999), 4), np.float64)


def _rules(question: Question, snapshot: Snapshot) -> filters.Rules:
    smart = question.mode is Mode.SMART
    return filters.Rules(
        needed=filters.needed(question.request) | (filters.preferred(question.request) if smart else {}),
        allowed=question.allowed,
        test_mode=question.test_mode and smart,  # spec/api.md: no effect in manual mode
        max_cost_usd=question.max_cost_usd,
        budget_left_usd=question.budget_left_usd,
        today=question.at.date(),
        room_for_output=question.request.max_output_tokens or 0,
        pinned=None if smart else question.pinned,
        blocked=snapshot.blocked,
    )


def _learned(board: Board, mix: artefact.Array, learning: Mapping[str, float]) -> Row:
    """The account's shifts of P(success), by "arm name|skill", weighed by the prompt's skills."""
    shift = np.zeros(len(board.arms))
    if learning:
        for row, name in enumerate(board.names):
            shift[row] = sum(
                share * learning.get(f"{name}|{skill}", 0.0)
                for skill, share in zip(skills.SKILLS, mix.tolist(), strict=True)
            )
    return shift


def _notes(seen: features.Features, size: InputSize, cached_usd: float) -> list[str]:
    notes = []
    if seen.summary.sampled:
        notes.append("the question is long: its head and tail were looked at")
    if size.sampled:
        notes.append("the input is long: its tokens were counted on samples")
    if seen.summary.known < gloss.READ_FROM:
        notes.append("a script RoutePlex cannot read: taken as hard, whatever it asks")
    elif seen.summary.language:
        notes.append("the question was read word by word in English")
    if cached_usd > 0:
        notes.append(f"staying with the conversation's model saves {explain.usd(cached_usd)} of cached input")
    return notes
