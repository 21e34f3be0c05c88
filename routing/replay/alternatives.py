"""Answers "why not that one?" from a trace: the fact that made an obvious alternative lose, in words.

Alternatives are the likeliest to succeed, the cheapest, the runner-up, and every candidate that is cheaper
and likelier to succeed than the chosen one. The deciding fact is found by ranking again: when an alternative
would have won if it equalled the chosen candidate in one fact, that fact decided.
Everything is computed from the numbers of the trace, so older records get reasons too.
"""

from enum import StrEnum
from math import inf, isclose
from typing import Any

import msgspec
import numpy as np

from routing.decide import strategy_weights
from routing.decide.explanation import amounts, percents, times, title
from routing.decide.strategies import Candidates, Row, rank
from routing.decide.trace import Candidate, Trace
from routing.language.chat import Strategy
from routing.replay.replay import columns, compared


class Role(StrEnum):
    """Why a candidate is an obvious alternative."""

    BEST = "best"  # the likeliest to succeed
    CHEAPEST = "cheapest"
    RUNNER_UP = "runner_up"
    BETTER = "cheaper_and_likelier"


class Fact(StrEnum):
    """The facts that can decide against an alternative."""

    PINNED = "pinned"
    CHANCE = "chance"
    RETIREMENT = "retirement"
    COMPETENCE = "competence"
    NO_SCORES = "no_scores"
    AVAILABILITY = "availability"
    EQUAL = "counts_as_equal"
    SUCCESS = "success"
    COST = "cost"
    LATENCY = "latency"
    ORDER = "order"  # equal in all facts
    RULES = "rules"  # the record is older than the rules of today, by which it would have won


class Alternative(msgspec.Struct, frozen=True):
    """A candidate that was not chosen. `facts` decided against it; `reason` is one sentence about them."""

    arm: str
    roles: tuple[Role, ...]
    facts: tuple[Fact, ...]
    reason: str


_COUNTED = {  # the facts in a strategy's utility
    Strategy.AUTO: (Fact.NO_SCORES, Fact.AVAILABILITY, Fact.SUCCESS, Fact.COST, Fact.LATENCY),
    Strategy.BALANCED: (Fact.NO_SCORES, Fact.SUCCESS, Fact.COST, Fact.LATENCY),
    Strategy.QUALITY: (Fact.NO_SCORES, Fact.SUCCESS),
    Strategy.COST: (Fact.COST,),
    Strategy.SPEED: (Fact.LATENCY,),
}


def alternatives(trace: Trace) -> tuple[Alternative, ...]:
    """Return the obvious alternatives in the order of the ranking, each with the reason why it lost."""
    ranked = [entry for entry in trace.candidates if entry.removed is None]
    chosen = next((entry for entry in ranked if entry.arm == trace.chain[0]), None)
    if chosen is None:
        return ()
    comparison = _Comparison(trace, chosen)
    named: dict[str, list[Role]] = {entry.arm: [] for entry in ranked if entry is not chosen}
    for role, entry in _obvious(ranked, chosen):
        if entry is not chosen:
            named[entry.arm].append(role)
    return tuple(
        Alternative(entry.arm, tuple(named[entry.arm]), *comparison.reason(entry))
        for entry in ranked
        if named.get(entry.arm)
    )


def reasons(stored: Any) -> dict[str, str]:
    """By arm, why each ranked candidate of a stored trace lost; empty when its shape is no longer known."""
    try:
        trace = Trace.of(stored)
    except msgspec.ValidationError:
        return {}
    ranked = [entry for entry in trace.candidates if entry.removed is None]
    chosen = next((entry for entry in ranked if trace.chain and entry.arm == trace.chain[0]), None)
    if chosen is None:
        return {}
    comparison = _Comparison(trace, chosen)
    return {entry.arm: comparison.reason(entry)[1] for entry in ranked if entry is not chosen}


def of_stored(stored: Any) -> tuple[Alternative, ...]:
    """As `alternatives`, of a trace as the ledger stores it; none when its shape is no longer known."""
    try:
        trace = Trace.of(stored)
    except msgspec.ValidationError:
        return ()
    return alternatives(trace) if trace.chain else ()


def _obvious(ranked: list[Candidate], chosen: Candidate) -> list[tuple[Role, Candidate]]:
    best = max(ranked, key=lambda entry: entry.p_success)
    cheapest = min(ranked, key=_cost)
    return [
        (Role.BEST, best),
        (Role.CHEAPEST, cheapest),
        *((Role.RUNNER_UP, entry) for entry in [entry for entry in ranked if entry is not chosen][:1]),
        *(
            (Role.BETTER, entry)
            for entry in ranked
            if entry.p_success > chosen.p_success and _cost(entry) < _cost(chosen)
        ),
    ]


def _cost(entry: Candidate) -> float:
    return inf if entry.cost_usd is None else entry.cost_usd


class _Comparison:
    """The chosen candidate of a trace against the others."""

    def __init__(self, trace: Trace, chosen: Candidate) -> None:
        self._trace, self._chosen = trace, chosen
        entries = compared(trace)
        self._candidates = columns(trace, entries)
        self._places = {entry.arm: place for place, entry in enumerate(entries)}
        self._pinned = next((entry for entry in entries if entry.arm == trace.pinned), None)

    def reason(self, other: Candidate) -> tuple[tuple[Fact, ...], str]:
        facts = self._facts(other)
        if facts == (Fact.PINNED,) and self._pinned is not None:
            return facts, f"You asked for {title(self._pinned)}."
        if facts == (Fact.CHANCE,):
            tried = f"{title(self._chosen)} was tried by chance, to learn from its outcome"
            return facts, f"{title(other)} was nearly tied, and {tried}."
        clauses = ", and ".join(f"it {self._clause(fact, other)}" for fact in facts)
        advantages = self._advantages(other)
        if not advantages:
            return facts, f"{title(other)} was not chosen: {clauses}."
        return facts, f"{title(other)} is {advantages}, but {clauses}."

    def _facts(self, other: Candidate) -> tuple[Fact, ...]:
        """The fewest facts without which `other` would have been chosen."""
        trace, chosen = self._trace, self._chosen
        if self._pinned is not None and self._pinned.model in (chosen.model, other.model):
            return (Fact.PINNED,)
        if chosen.competent and not other.competent:
            unhealthy = other.p_up < strategy_weights.HEALTHY <= self._candidates.p_up.max()
            return (Fact.AVAILABILITY if unhealthy else Fact.COMPETENCE,)
        if other.retires and not chosen.retires:
            return (Fact.RETIREMENT,)
        candidates, place = self._candidates, self._places[other.arm]
        order = rank(trace.strategy, candidates, stream=trace.stream).order.tolist()
        if order.index(place) < order.index(self._places[chosen.arm]):
            return (Fact.CHANCE,) if trace.explored else (Fact.RULES,)
        equal = self._as_equal(other)
        if self._lead(candidates, place) == 0:
            return (*equal, self._tie_break(other))
        leads = {
            fact: self._lead(self._level(candidates, fact, place), place)
            for fact in _COUNTED[trace.strategy]
            if self._is_behind(fact, other)
        }
        by_weight = sorted(leads, key=leads.__getitem__, reverse=True)
        decided: list[Fact] = []
        for fact in by_weight:  # the weightiest alone, or as many as it takes
            decided.append(fact)
            candidates = self._level(candidates, fact, place)
            if self._lead(candidates, place) >= 0:
                break
        return (*equal, *decided)

    def _tie_break(self, other: Candidate) -> Fact:
        if _cost(other) > _cost(self._chosen):
            return Fact.COST
        return Fact.LATENCY if other.latency_ms > self._chosen.latency_ms else Fact.ORDER

    def _as_equal(self, other: Candidate) -> tuple[Fact, ...]:
        """EQUAL, when `other` would succeed more often, but by too little to count."""
        gap = other.believed - self._chosen.believed
        counts_as_best = self._chosen.believed >= self._best - self._tie
        return (Fact.EQUAL,) if gap > 0 and self._tie and counts_as_best else ()

    @property
    def _best(self) -> float:
        """The greatest P(success) of all candidates."""
        return float(self._candidates.believed.max())

    @property
    def _tie(self) -> float:
        """The difference of P(success) that the strategy counts as none."""
        match self._trace.strategy:
            case Strategy.QUALITY:
                return strategy_weights.QUALITY_TIE
            case Strategy.AUTO:
                return self._trace.tolerance
            case _:
                return 0.0

    def _is_behind(self, fact: Fact, other: Candidate) -> bool:
        chosen = self._chosen
        match fact:
            case Fact.NO_SCORES:
                return not other.scored and other.low < min(other.p_success, chosen.believed)
            case Fact.AVAILABILITY:
                return other.p_up < chosen.p_up
            case Fact.SUCCESS:
                return other.p_success < chosen.believed
            case Fact.COST:
                return _cost(other) > _cost(chosen)
            case _:
                return other.latency_ms > chosen.latency_ms or other.ttft_ms > chosen.ttft_ms

    def _level(self, candidates: Candidates, fact: Fact, place: int) -> Candidates:
        """The candidates, where the one at `place` is not behind the chosen one in this fact."""
        chosen = self._chosen

        def at_least(values: Row, least: float) -> Row:
            return np.where(np.arange(values.size) == place, np.maximum(values, least), values)

        def at_most(values: Row, most: float) -> Row:
            return np.where(np.arange(values.size) == place, np.fmin(values, most), values)

        match fact:
            case Fact.NO_SCORES:
                scored = candidates.scored | (np.arange(candidates.scored.size) == place)
                return msgspec.structs.replace(candidates, scored=scored)
            case Fact.AVAILABILITY:
                return msgspec.structs.replace(candidates, p_up=at_least(candidates.p_up, chosen.p_up))
            case Fact.SUCCESS:
                p_success = at_least(candidates.p_success, chosen.believed)
                return msgspec.structs.replace(candidates, p_success=p_success)
            case Fact.COST:
                cost_usd = at_most(candidates.cost_usd, _cost(chosen))
                return msgspec.structs.replace(candidates, cost_usd=cost_usd)
            case _:
                return msgspec.structs.replace(
                    candidates,
                    latency_ms=at_most(candidates.latency_ms, chosen.latency_ms),
                    ttft_ms=at_most(candidates.ttft_ms, chosen.ttft_ms),
                )

    def _lead(self, candidates: Candidates, place: int) -> float:
        """The utility at `place` less that of the chosen candidate; 0 when they are equal."""
        utility = rank(self._trace.strategy, candidates, stream=self._trace.stream).utility
        own, chosen = float(utility[place]), float(utility[self._places[self._chosen.arm]])
        return 0.0 if isclose(own, chosen, rel_tol=1e-9) else own - chosen

    def _advantages(self, other: Candidate) -> str:
        cheaper = _cost(other) < _cost(self._chosen)
        likelier = other.p_success > self._chosen.p_success
        words = [*["cheaper"] * cheaper, *["likelier to succeed"] * likelier]
        return " and ".join(words)

    def _clause(self, fact: Fact, other: Candidate) -> str:
        """Continues "it"."""
        chosen, strategy = self._chosen, self._trace.strategy
        match fact:
            case Fact.RETIREMENT:
                return f"will be retired on {other.retires}, and ranks behind the models that stay"
            case Fact.COMPETENCE:
                return self._under_floor(other)
            case Fact.NO_SCORES:
                counts, instead = percents(other.low, other.p_success)
                return (
                    "has no published scores, so the lower end of its interval counts: "
                    f"{counts} instead of {instead}"
                )
            case Fact.AVAILABILITY if not other.competent:
                share, half = percents(other.p_up, strategy_weights.HEALTHY)
                return f"is available only {share} of the time, and below {half} it is a last resort"
            case Fact.AVAILABILITY:
                share, rival = percents(other.p_up, chosen.p_up)
                return f"is available {share} of the time, compared with {rival}"
            case Fact.EQUAL:
                return f"is within the {self._tie * 100:.1f} points of success that count as equal"
            case Fact.SUCCESS if self._tie and other.believed < self._best - self._tie <= chosen.believed:
                share, best = percents(other.p_success, self._best)
                below = f"more than {self._tie * 100:.1f} points below the best candidate's {best}"
                return f"is expected to succeed {share} of the time, {below}"
            case Fact.SUCCESS:
                share, rival = percents(other.p_success, chosen.believed)
                return f"is expected to succeed {share} of the time, compared with {rival}"
            case Fact.COST:
                return "is as fast and " * (strategy is Strategy.SPEED) + _dearer(other, chosen)
            case Fact.LATENCY:
                breaks_tie = strategy in (Strategy.COST, Strategy.QUALITY)
                return "costs the same and " * breaks_tie + self._later(other)
            case Fact.RULES:
                return "is what today's rules would choose, which differ from those of the time"
            case _:
                return "is equal in all that counts, and the order of names decided"

    def _under_floor(self, other: Candidate) -> str:
        candidates = self._candidates
        healthy = candidates.p_up >= strategy_weights.HEALTHY
        best = float(candidates.believed[healthy].max() if healthy.any() else candidates.believed.max())
        share, floor = percents(other.believed, strategy_weights.COMPETENCE_FLOOR * best)
        of_best = f"{strategy_weights.COMPETENCE_FLOOR:.0%} of the best candidate's"
        under = f"{share} is below the floor of {floor}, {of_best}"
        if other.scored:
            return f"is not good enough for this prompt: a predicted success of {under}"
        return f"has no published scores, so the lower end of its interval counts, and {under}"

    def _later(self, other: Candidate) -> str:
        chosen = self._chosen
        if self._trace.strategy is Strategy.SPEED and self._trace.stream and other.ttft_ms > chosen.ttft_ms:
            return "starts after {}, compared with {}".format(*times(other.ttft_ms, chosen.ttft_ms))
        return "takes {}, compared with {}".format(*times(other.latency_ms, chosen.latency_ms))


def _dearer(other: Candidate, chosen: Candidate) -> str:
    if other.cost_usd is None or chosen.cost_usd is None:
        return "has no known price"
    return "costs {}, compared with {}".format(*amounts(other.cost_usd, chosen.cost_usd))
