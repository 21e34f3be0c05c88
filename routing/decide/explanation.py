"""A decision in words: why this arm was chosen, and what would have changed the choice."""

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from core.numbers.figures import duration, money_places, money_text, percent
from routing.decide import strategy_weights
from routing.decide.prediction.skills import WORDS, Skill
from routing.decide.strategies import Ranking, Row, winners
from routing.language.arms import Effort
from routing.language.chat import Strategy

_EFFORT = {None: "", Effort.NONE.value: " without reasoning"}
_LEVELS = (
    (-3.0, "A trivial"),
    (-1.8, "An easy"),
    (-0.6, "An ordinary"),
    (0.6, "A hard"),
    (99.0, "A very hard"),
)
FLIP_WEIGHTS = np.array(  # factors on the weight of cost, the smallest changes first
    [0.95, 1.1, 0.9, 1.2, 0.8, 1.35, 0.7, 1.5, 0.6, 2, 0.5, 3, 0.3, 5, 0.2, 10, 0.1]
)


class Entry(Protocol):
    """The parts of a candidate that words are about; `trace.Candidate` describes them."""

    @property
    def arm(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def effort(self) -> str | None: ...
    @property
    def cost_usd(self) -> float | None: ...
    @property
    def latency_ms(self) -> float: ...
    @property
    def ttft_ms(self) -> float: ...
    @property
    def utility(self) -> float | None: ...
    @property
    def scored(self) -> bool: ...
    @property
    def competent(self) -> bool: ...
    @property
    def believed(self) -> float: ...
    @property
    def retires(self) -> str | None: ...


class Compared(msgspec.Struct, frozen=True):
    """The candidates that were compared. `rows` and `order` are of the arm table, `order` best first; the
    other arrays are by row of it."""

    rows: npt.NDArray[np.intp]
    order: npt.NDArray[np.intp]
    models: npt.NDArray[np.intp]  # the same number for all rows of a model
    believed: Row
    cost_usd: Row
    competent: npt.NDArray[np.bool_]
    retiring: npt.NDArray[np.bool_] | None  # None: no model is retired soon
    entry: Callable[[int], Entry]


def reason(strategy: Strategy, skill: Skill, difficulty: float, compared: Compared, *, stream: bool) -> str:
    """Return one sentence on why the first candidate was chosen."""
    order, chosen = compared.order, compared.entry(compared.order.item(0))
    prompt = f"{_level(difficulty)} {WORDS[skill]} prompt"
    if len(order) == 1:
        return f"{prompt}: {title(chosen)} is the only model that can answer it."
    is_auto = strategy is Strategy.AUTO
    because = _auto(chosen, compared) if is_auto else _because(strategy, chosen, compared, stream)
    return f"{prompt}: {because}.{_retirement(chosen, compared)}"


def pinned_reason(chosen: Entry) -> str:
    return f"You asked for {title(chosen)}."


def unavailable_reason(pinned: str, why: str, chosen: Entry) -> str:
    return f"You asked for {pinned}, which {why}; {title(chosen)} answers instead."


def title(entry: Entry) -> str:
    """Return the model's name and, when it has one, its effort in words."""
    return entry.name + _EFFORT.get(entry.effort, f" at {entry.effort} effort")


def usd(amount: float | None) -> str:
    """Return an amount as pages write it: "$0.000423"."""
    return "an unknown price" if amount is None else money_text(amount)


def amounts(first: float, second: float) -> tuple[str, str]:
    """Return two amounts in USD with as many digits as show that they differ."""
    places = money_places(Decimal(str(min(first, second))))

    def words(amount: float, further: int) -> str:
        return money_text(amount, places + further if further else None)

    return _apart(first, second, words)


def percents(first: float, second: float) -> tuple[str, str]:
    """Return two shares with as many digits as show that they differ; only 1 is "100%"."""

    def words(share: float, further: int) -> str:
        exact = f"{share:.{1 + further}%}"
        return percent(share) if not further or exact.startswith("100") else exact

    return _apart(first, second, words)


def times(first_ms: float, second_ms: float) -> tuple[str, str]:
    """Return two times with as many digits as show that they differ."""

    def words(ms: float, further: int) -> str:
        if not further:
            return duration(ms)
        return f"{ms:.{further}f} ms" if ms < 999.5 else f"{ms / 1000:.{2 + further}f} s"

    return _apart(first_ms, second_ms, words)


def flip(strategy: Strategy, ranking: Ranking, compared: Compared, *, stream: bool) -> str:
    """Return, in a sentence, the smallest change that would have chosen another model.

    `ranking` is by place in the rows that were compared.
    """
    order, rows, models, entry = compared.order, compared.rows, compared.models, compared.entry
    winner = order.item(0)
    model = models.item(winner)
    others = order[models.take(order) != model].tolist()
    if not others:
        return "Nothing: no other model can answer this request."
    if strategy in (Strategy.AUTO, Strategy.BALANCED):
        for weight, place in zip(FLIP_WEIGHTS.tolist(), winners(ranking, FLIP_WEIGHTS), strict=True):
            other = int(rows[place])
            if models.item(other) != model:
                return f"{title(entry(other))} would have been chosen if cost weighed {_change(weight)}."
        return "No weight of cost between a tenth and ten times its present one would have changed the model."
    preferred = set(rows[ranking.preferred].tolist())
    runner = next((row for row in others if row in preferred), others[0])
    first, second = entry(winner), entry(runner)
    if second.retires and not first.retires:
        would = f"{title(second)} would have been chosen if {title(first)} could not answer"
        return f"{would}: it will be retired on {second.retires}."
    return _runner_up(strategy, first, second, stream=stream)


def _level(difficulty: float) -> str:
    return next(word for bound, word in _LEVELS if difficulty < bound)


def _change(weight: float) -> str:
    if weight < 2:
        return f"{abs(1 - weight):.0%} {'less' if weight < 1 else 'more'}"
    return f"{weight:.0f} times as much"


def _because(strategy: Strategy, chosen: Entry, compared: Compared, stream: bool) -> str:
    sure, cost = _sure(chosen), usd(chosen.cost_usd)
    match strategy:
        case Strategy.QUALITY:
            best = _most_certain(chosen, compared)
            gap = best.believed - chosen.believed
            if gap < 0.0005:
                return f"{title(chosen)} is {sure}, as often as any candidate, for {cost}"
            return f"{title(chosen)} is {sure}, {_within(gap, best)}, for {cost}"
        case Strategy.COST:
            return f"{title(chosen)} is the cheapest that is good enough: {sure}, for {cost}"
        case Strategy.SPEED:
            what, time = ("start", chosen.ttft_ms) if stream else ("finish", chosen.latency_ms)
            return f"{title(chosen)} is expected to {what} first, in {duration(time)}, and is {sure}"
        case _:
            mixed = f"{sure}, for {cost} in {duration(chosen.latency_ms)}"
            return f"{title(chosen)} has the best mix of quality, cost and speed: {mixed}"


def _within(gap: float, best: Entry) -> str:
    return f"within {gap * 100:.1f} points of the best ({title(best)})"


def _most_certain(chosen: Entry, compared: Compared) -> Entry:
    """The competent candidate with the best chance of a good answer, without those that are retired soon."""
    rows = _able(chosen, compared)
    return compared.entry(rows.item(compared.believed.take(rows).argmax())) if len(rows) else chosen


def _able(chosen: Entry, compared: Compared) -> npt.NDArray[np.intp]:
    """The rows of competent candidates in their order, without those retired soon unless one is chosen."""
    able = compared.competent
    if not chosen.retires and compared.retiring is not None:
        able = able & ~compared.retiring
    return compared.order[able.take(compared.order)]


def _retirement(chosen: Entry, compared: Compared) -> str:
    """A further sentence when the coming retirement of a model decided, or did not."""
    if chosen.retires:
        return f" It will be retired on {chosen.retires}, but no other model is good enough."
    if compared.retiring is None:
        return ""
    among = compared.retiring & compared.competent
    entries = [compared.entry(row) for row in compared.order[among.take(compared.order)].tolist()]
    better = [entry for entry in entries if _place(entry) < _place(chosen)]
    if not better:
        return ""
    best = min(better, key=_place)
    return f" {title(best)} would have been preferred, but will be retired on {best.retires}."


def _place(entry: Entry) -> tuple[float, float, float]:
    """The place in the ranking of competent candidates, as `strategies.rank` sorts them; lower is better."""
    utility = -np.inf if entry.utility is None else entry.utility
    return -utility, np.inf if entry.cost_usd is None else entry.cost_usd, entry.latency_ms


def _auto(chosen: Entry, compared: Compared) -> str:
    success = f"{title(chosen)} is {_sure(chosen)}"
    rows = _able(chosen, compared)
    rows = rows[~np.isnan(compared.cost_usd.take(rows))]
    best = cheapest = chosen
    if len(rows):
        best = compared.entry(rows.item(compared.believed.take(rows).argmax()))
        cheapest = compared.entry(rows.item(compared.cost_usd.take(rows).argmin()))
    gap = best.believed - chosen.believed
    if gap >= 0.0005 and (best.cost_usd or 0) > (chosen.cost_usd or 0) > 0:
        less = 1 - (chosen.cost_usd or 0) / (best.cost_usd or 1)
        return f"{success}, {_within(gap, best)}, and costs {percent(less)} less: {usd(chosen.cost_usd)}"
    if cheapest.arm == chosen.arm:
        return f"{success}, as often as any candidate, and is the cheapest at {usd(chosen.cost_usd)}"
    rest = f"{percent(cheapest.believed)} for the cheapest capable model ({title(cheapest)})"
    return f"{success}, compared with {rest}, which is worth its price of {usd(chosen.cost_usd)}"


def _apart(first: float, second: float, word: Callable[[float, int], str]) -> tuple[str, str]:
    for digits in range(10):
        if word(first, digits) != word(second, digits):
            return word(first, digits), word(second, digits)
    return word(first, 0), word(second, 0)


def _runner_up(strategy: Strategy, chosen: Entry, other: Entry, *, stream: bool) -> str:
    would = f"{title(other)} would have been chosen"
    if not other.competent:
        return f"{would} if {title(chosen)} could not answer: the others are not good enough for this prompt."
    match strategy:
        case Strategy.QUALITY if chosen.believed - other.believed <= strategy_weights.QUALITY_TIE:
            return _of_equals(would, "it is within half a point", chosen, other)
        case Strategy.QUALITY:
            gap = (chosen.believed - other.believed) * 100
            return f"{would} if it were expected to succeed {gap:.1f} points more often."
        case Strategy.COST if _is_cheaper(chosen, other):
            own, rival = amounts(other.cost_usd or 0.0, chosen.cost_usd or 0.0)
            return f"{would} if it cost less than {rival}: it costs {own}."
        case Strategy.COST:
            return _of_equals(would, "both cost the same", chosen, other)
        case _:
            own_ms, rival_ms = (
                (other.ttft_ms, chosen.ttft_ms) if stream else (other.latency_ms, chosen.latency_ms)
            )
            when = "start" if stream else "finish"
            if own_ms > rival_ms:
                own, rival = times(own_ms, rival_ms)
                return f"{would} if it were expected to {when} in less than {rival}: it needs {own}."
            return _of_equals(would, f"both are expected to {when} at the same time", chosen, other)


def _of_equals(would: str, equal: str, chosen: Entry, other: Entry) -> str:
    """The flip of two candidates that are equal in what the strategy counts: cost, then time decided."""
    if _is_cheaper(chosen, other):
        own, rival = amounts(other.cost_usd or 0.0, chosen.cost_usd or 0.0)
        return f"{would} if it cost less than {rival}: {equal}, and it costs {own}."
    if other.latency_ms > chosen.latency_ms:
        own, rival = times(other.latency_ms, chosen.latency_ms)
        return f"{would} if it took less than {rival}: {equal}, at the same price, and it takes {own}."
    return f"{would} if its name came first: {equal}, at the same price and speed."


def _is_cheaper(chosen: Entry, other: Entry) -> bool:
    """Return whether both have a price, and the chosen one's is lower."""
    return chosen.cost_usd is not None and other.cost_usd is not None and other.cost_usd > chosen.cost_usd


def _sure(entry: Entry) -> str:
    if entry.scored:
        return f"expected to succeed {percent(entry.believed)} of the time"
    return f"not measured yet, but expected to succeed at least {percent(entry.believed)} of the time"
