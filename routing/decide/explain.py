"""A decision in words a person understands: why this arm, and what would have changed the choice."""

import numpy as np

from routing.arms import Effort
from routing.chat import Strategy
from routing.decide.skills import WORDS, Skill
from routing.decide.strategies import Candidates, Ranking, rank
from routing.decide.trace import Entry

_EFFORT = {None: "", Effort.NONE.value: " without reasoning"}
_LEVELS = (
    (-3.0, "A trivial"),
    (-1.8, "An easy"),
    (-0.6, "An ordinary"),
    (0.6, "A hard"),
    (99.0, "A very hard"),
)
FLIP_WEIGHTS = tuple(
    np.round(np.concatenate([np.arange(0.95, 0.0, -0.05), [1.1, 1.25, 1.5, 2, 3, 5, 10]]), 2)
)


def reason(strategy: Strategy, skill: Skill, difficulty: float, ranked: list[Entry], *, stream: bool) -> str:
    """One sentence. `ranked` is what passed the filters, best first."""
    chosen = ranked[0]
    prompt = f"{_level(difficulty)} {WORDS[skill]} prompt"
    if len(ranked) == 1:
        return f"{prompt}: {title(chosen)} is the only model that can answer it."
    return f"{prompt}: {_because(strategy, ranked, stream=stream)}."


def pinned_reason(chosen: Entry) -> str:
    return f"You asked for {title(chosen)}."


def unavailable_reason(asked: str, why: str, chosen: Entry) -> str:
    return f"You asked for {asked}, which {why}; {title(chosen)} stands in for it."


def title(entry: Entry) -> str:
    """The model's name and, when it has one, its effort in words."""
    return entry.name + _EFFORT.get(entry.effort, f" at {entry.effort} effort")


def usd(amount: float | None) -> str:
    """A small amount a person can read: "$0.00042"."""
    if amount is None:
        return "an unknown price"
    if amount == 0:
        return "$0"
    digits = max(2, 1 - int(np.floor(np.log10(abs(amount)))))
    return f"${amount:.{digits}f}"


def flip(strategy: Strategy, seen: Candidates, entries: list[Entry], made: Ranking, *, stream: bool) -> str:
    """The smallest change that would have chosen another model. `entries` are in the order of `seen`."""
    winner = int(made.order[0])
    if len({entry.model for entry in entries}) < 2:
        return "Nothing: no other model can answer this request."
    if strategy in (Strategy.AUTO, Strategy.BALANCED):
        for weight in sorted(FLIP_WEIGHTS, key=lambda w: abs(np.log(w))):
            other = int(rank(strategy, seen, stream=stream, cost_weight=float(weight)).order[0])
            if entries[other].model != entries[winner].model:
                change = f"{abs(1 - weight):.0%} {'less' if weight < 1 else 'more'}"
                return f"Would have gone to {title(entries[other])} if cost weighed {change}."
        return "No weight of cost between a twentieth and ten times today's would have changed the model."
    runner = next(int(i) for i in made.order[1:] if entries[int(i)].model != entries[winner].model)
    return _runner_up(strategy, entries[winner], entries[runner], stream=stream)


def _level(difficulty: float) -> str:
    return next(word for bound, word in _LEVELS if difficulty < bound)


def _because(strategy: Strategy, ranked: list[Entry], *, stream: bool) -> str:
    chosen = ranked[0]
    best = max((e for e in ranked if e.competent), key=lambda e: e.p_success, default=chosen)
    sure = f"expected to succeed {_percent(chosen.p_success)} of the time"
    match strategy:
        case Strategy.QUALITY:
            return f"{title(chosen)} is {sure}, as well as any candidate, for {usd(chosen.cost_usd)}"
        case Strategy.COST:
            return f"{title(chosen)} is the cheapest that is good enough: {sure}, for {usd(chosen.cost_usd)}"
        case Strategy.SPEED:
            what, time = ("start", chosen.ttft_ms) if stream else ("finish", chosen.latency_ms)
            return f"{title(chosen)} is expected to {what} first, in {time / 1000:.1f} s, and is {sure}"
        case Strategy.BALANCED:
            return (
                f"{title(chosen)} has the best mix of quality, cost and speed: {sure}, for {usd(chosen.cost_usd)}"
                f" in {chosen.latency_ms / 1000:.1f} s"
            )
        case Strategy.AUTO:
            return _auto(ranked, chosen, best, sure)


def _auto(ranked: list[Entry], chosen: Entry, best: Entry, sure: str) -> str:
    cost = usd(chosen.cost_usd)
    if best.model == chosen.model or best.p_success - chosen.p_success <= 0.0005:
        cheapest = min(
            (e for e in ranked if e.cost_usd is not None), key=lambda e: e.cost_usd or 0, default=chosen
        )
        if cheapest.model == chosen.model:
            return f"{title(chosen)} is {sure}, as well as any, and is also the cheapest at {cost}"
        return (
            f"{title(chosen)} is {sure}, against {_percent(cheapest.p_success)} for the cheapest ({title(cheapest)}),"
            f" which is worth its {cost}"
        )
    gap = (best.p_success - chosen.p_success) * 100
    cheaper = ""
    if chosen.cost_usd and best.cost_usd and best.cost_usd > chosen.cost_usd:
        cheaper = f" and costs {_times(best.cost_usd / chosen.cost_usd)} less"
    return (
        f"{title(chosen)} is {sure}, within {gap:.1f} points of the best ({title(best)}){cheaper}, for {cost}"
    )


def _runner_up(strategy: Strategy, chosen: Entry, other: Entry, *, stream: bool) -> str:
    would = f"Would have gone to {title(other)}"
    if strategy is Strategy.QUALITY:
        gap = (chosen.p_success - other.p_success) * 100
        if gap <= 0 and other.cost_usd is not None and chosen.cost_usd is not None:
            return f"{would}, equally good, if it were cheaper than {usd(chosen.cost_usd)} instead of {usd(other.cost_usd)}."
        return f"{would} if it were expected to succeed {max(gap, 0.1):.1f} points more often."
    if strategy is Strategy.COST:
        if other.cost_usd and chosen.cost_usd is not None and other.cost_usd > 0:
            return f"{would} if it were {max(1 - chosen.cost_usd / other.cost_usd, 0):.0%} cheaper."
        return f"{would} if its price were known."
    gap = other.ttft_ms - chosen.ttft_ms if stream else other.latency_ms - chosen.latency_ms
    return f"{would} if it were {max(gap, 0):.0f} ms faster."


def _percent(share: float) -> str:
    return f"{share:.0%}" if share < 0.985 else f"{min(share, 0.999):.1%}"


def _times(ratio: float) -> str:
    return f"{1 - 1 / ratio:.0%}"
