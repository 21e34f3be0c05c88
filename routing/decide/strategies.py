"""The five strategies: each ranks the candidates by a utility of its own (higher is better).

- quality: highest P(success); within half a point of the best, the cheapest.
- cost: lowest cost among candidates above the competence floor.
- speed: least time to the first token for a stream, to the last token otherwise.
- balanced: P(success), less a fixed charge for each doubling of cost and of time.
- auto: expected value of a right answer in USD, minus its cost and a charge for time. A model that fails at
  times costs the time of its failed attempts. On an easy request candidates that are nearly as likely to
  succeed as the best count as equal to it.

In every strategy a model that is retired soon ranks behind all competent ones that are not.

All take the same arrays, so a stored trace can be ranked again, also under another strategy.
"""

from functools import cached_property

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide import strategy_weights
from routing.language.chat import Strategy

Row = npt.NDArray[np.float64]


class Health(msgspec.Struct, frozen=True, dict=True):
    """How often candidates answer at all."""

    p_up: Row

    @cached_property
    def fit(self) -> npt.NDArray[np.bool_]:
        return self.p_up >= strategy_weights.HEALTHY

    @cached_property
    def are_all_fit(self) -> bool:
        return bool(self.fit.all())

    @cached_property
    def are_ordinary(self) -> bool:
        """No candidate fails more often than is ordinary."""
        lowest = self.p_up.min()
        few: bool = (1 - lowest) / lowest <= strategy_weights.ORDINARY_FAILURES if lowest > 0 else False
        return few and lowest >= strategy_weights.HEALTHY

    @cached_property
    def lost_s(self) -> Row:
        """Seconds that failed attempts cost before an answer."""
        p_up = np.maximum(self.p_up, 0.01)  # a model that never answers is no candidate for long
        expected = (1 - p_up) / p_up  # failures before an answer
        failures = np.maximum(expected - strategy_weights.ORDINARY_FAILURES, 0.0)
        return np.asarray(failures * strategy_weights.FAILED_ATTEMPT_S)


class Candidates(msgspec.Struct, frozen=True, dict=True):
    """The numbers strategies compare, for each candidate that passed the filters; all `(n,)`."""

    p_success: Row
    low: Row  # lower end of P(success)'s interval
    cost_usd: Row  # NaN: unpriced
    latency_ms: Row
    ttft_ms: Row
    p_up: Row
    scored: npt.NDArray[np.bool_]  # the model has published scores
    retiring: npt.NDArray[np.bool_] | None = None  # the model is retired within RETIRING_DAYS; None: none is
    tolerance: float = 0.0  # difference of P(success) that `auto` counts as none

    @cached_property
    def health(self) -> Health:
        return Health(self.p_up)

    @cached_property
    def believed(self) -> Row:
        """P(success); for a model without published scores the lower end of its interval, so that it is not
        preferred until there is evidence."""
        return np.where(self.scored, self.p_success, self.low)

    @cached_property
    def cost_or_inf(self) -> Row:
        return np.where(np.isnan(self.cost_usd), np.inf, self.cost_usd)

    @cached_property
    def value_usd(self) -> float:
        """V of `auto`: the value of a right answer to this prompt, in USD.

        It is a multiple of the median candidate's cost. A fixed sum would buy the best model for every short
        prompt and the cheapest for every long one.
        """
        priced = self.cost_usd.copy()
        priced.sort()  # those without a price are last
        known = priced.searchsorted(np.nan)
        return strategy_weights.AUTO_VALUE * float(priced[known // 2]) if known else 1.0


class Ranking(msgspec.Struct, frozen=True):
    """`order`: the preferred, best first; then other competent ones; then those under the competence floor.

    `utility`: in the strategy's unit, a candidate's `worth` less its `price`.
    """

    order: npt.NDArray[np.intp]
    utility: Row
    competent: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.bool_]  # competent and not retired soon; all competent ones if none is left
    worth: Row
    price: Row | float


def rank(strategy: Strategy, candidates: Candidates, *, stream: bool) -> Ranking:
    """Rank by competence, then retirement, then utility.

    Equal utilities go to the cheaper, then to the faster candidate.
    """
    competent = _competent(candidates)
    preferred = _preferred(candidates, competent)
    worth, price = _parts(strategy, candidates, preferred, stream=stream)
    utility = worth - price
    # The last key sorts first. One key for the groups takes half the time of two.
    group = 2 - competent.astype(np.int8) - preferred
    order = np.lexsort((candidates.latency_ms, candidates.cost_or_inf, -utility, group))
    return Ranking(order, utility, competent, preferred, worth, price)


def winners(ranking: Ranking, cost_weights: Row) -> list[int]:
    """Return the place of the winner for each of `cost_weights`, which multiply the weight of cost."""
    utility = np.where(ranking.preferred, ranking.worth - cost_weights[:, None] * ranking.price, -np.inf)
    return utility.argmax(axis=1).tolist()  # type: ignore[no-any-return]


def near_ties(ranking: Ranking, value: float) -> list[int]:
    """Return the preferred candidates whose utility is within the exploration margin of the winner's.

    `value`: V of `auto` in USD.
    """
    best = int(ranking.order[0])
    close = ranking.preferred & (
        ranking.utility >= ranking.utility[best] - strategy_weights.EXPLORE_MARGIN * value
    )
    return [place for place in np.flatnonzero(close).tolist() if place != best]


def recovering(strategy: Strategy, candidates: Candidates, ranking: Ranking, *, stream: bool) -> int | None:
    """Return the preferred candidate that would win if no model had failed lately; None: the winner."""
    if candidates.health.are_ordinary:
        return None  # no utility depends on so few failures
    healthy = msgspec.structs.replace(candidates, p_up=np.ones_like(candidates.p_up))
    worked_out = {name: value for name, value in candidates.__dict__.items() if name != "health"}
    healthy.__dict__.update(worked_out)
    if candidates.health.are_all_fit:  # then health decides nothing but the utility
        first = _first(strategy, healthy, ranking.preferred, stream=stream)
    else:
        first = _first(strategy, healthy, _preferred(healthy, _competent(healthy)), stream=stream)
    return first if first != int(ranking.order[0]) and ranking.preferred[first] else None


def _first(
    strategy: Strategy, candidates: Candidates, preferred: npt.NDArray[np.bool_], *, stream: bool
) -> int:
    """The place that `rank` would put first, of the preferred candidates."""
    worth, price = _parts(strategy, candidates, preferred, stream=stream)
    utility = np.where(preferred, worth - price, -np.inf)
    tied = np.flatnonzero(preferred & (utility == utility.max()))
    if len(tied) == 1:
        return int(tied[0])
    return int(tied[np.lexsort((candidates.latency_ms[tied], candidates.cost_or_inf[tied]))[0]])


def _competent(candidates: Candidates) -> npt.NDArray[np.bool_]:
    # The floor is relative to the best healthy candidate: the same share then fits easy prompts, where all
    # succeed, and hard ones, where none does. When no candidate is healthy, health does not matter.
    healthy = candidates.health.fit
    if candidates.health.are_all_fit:
        return np.asarray(
            candidates.believed >= strategy_weights.COMPETENCE_FLOOR * np.maximum.reduce(candidates.believed),
            np.bool_,
        )
    if not healthy.any():
        healthy = np.ones_like(healthy)
    good: npt.NDArray[np.bool_] = (
        candidates.believed >= strategy_weights.COMPETENCE_FLOOR * candidates.believed[healthy].max()
    )
    return good & healthy


def _preferred(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if candidates.retiring is None:
        return competent
    if not candidates.retiring.any():
        return competent
    staying: npt.NDArray[np.bool_] = competent & ~candidates.retiring
    return staying if staying.any() else competent


def _parts(
    strategy: Strategy, candidates: Candidates, competent: npt.NDArray[np.bool_], *, stream: bool
) -> tuple[Row, Row | float]:
    """Utility in two parts: a candidate's worth and its price. `winners` varies only the price."""
    match strategy:
        case Strategy.QUALITY:
            return _quality(candidates, competent), 0.0
        case Strategy.COST:
            return np.zeros_like(candidates.cost_usd), candidates.cost_or_inf
        case Strategy.SPEED:
            return -(candidates.ttft_ms if stream else candidates.latency_ms), 0.0
        case Strategy.BALANCED:
            return _balanced(candidates)
        case Strategy.AUTO:
            seconds = candidates.latency_ms / 1000 + candidates.health.lost_s
            late = strategy_weights.AUTO_PER_SECOND * seconds
            success = _tied(candidates.believed, competent, candidates.tolerance)
            return candidates.value_usd * (success - late), candidates.cost_or_inf


def _quality(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> Row:
    """P(success); candidates within QUALITY_TIE of the best get its value, and cost decides among them."""
    return _tied(candidates.believed, competent, strategy_weights.QUALITY_TIE)


def _tied(success: Row, competent: npt.NDArray[np.bool_], tie: float) -> Row:
    """P(success), where candidates within `tie` of the best get its value."""
    best = np.maximum.reduce(success[competent])
    return np.where(success >= best - tie, best, success)


def _balanced(candidates: Candidates) -> tuple[Row, Row]:
    # A doubling of cost or time weighs the same anywhere, hence the logarithms. Other candidates do not
    # count: adding or removing one never reverses the order of two.
    seconds = np.log2(np.maximum(candidates.latency_ms, 1) / 1000)
    cost = np.log2(np.maximum(candidates.cost_or_inf, 1e-12))
    return (
        candidates.believed - strategy_weights.BALANCED_PER_DOUBLED_TIME * seconds,
        strategy_weights.BALANCED_PER_DOUBLED_COST * cost,
    )
