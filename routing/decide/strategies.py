"""The five strategies: each ranks the candidates by a utility of its own (higher is better).

- quality: highest P(success); within half a point of the best, the cheapest.
- cost: lowest cost among candidates above the competence floor.
- speed: least time to the first token for a stream, to the last token otherwise.
- balanced: weighted mean of quality, cost and speed, scaled over the candidates.
- auto: expected value of a right answer in USD, minus its cost and a charge for time.

In every strategy a model that is retired soon ranks behind all competent ones that are not.

All take the same arrays, so a stored trace can be ranked again, also under another strategy.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide import strategy_weights
from routing.language.chat import Strategy

Row = npt.NDArray[np.float64]


class Candidates(msgspec.Struct, frozen=True):
    """The numbers strategies compare, for each candidate that passed the filters; all `(n,)`."""

    p_success: Row
    low: Row  # lower end of P(success)'s interval
    cost_usd: Row  # NaN: unpriced
    latency_ms: Row
    ttft_ms: Row
    p_up: Row
    scored: npt.NDArray[np.bool_]  # the model has published scores
    retiring: npt.NDArray[np.bool_] | None = None  # the model is retired within RETIRING_DAYS; None: none is

    @property
    def believed(self) -> Row:
        """P(success); for a model without published scores the lower end of its interval, so that it is not
        preferred until there is evidence."""
        return np.where(self.scored, self.p_success, self.low)


class Ranking(msgspec.Struct, frozen=True):
    """`order`: the preferred, best first; then other competent ones; then those under the competence floor.

    `utility`: in the strategy's unit.
    """

    order: npt.NDArray[np.intp]
    utility: Row
    competent: npt.NDArray[np.bool_]
    preferred: npt.NDArray[np.bool_]  # competent and not retired soon; all competent ones if none is left


def rank(strategy: Strategy, candidates: Candidates, *, stream: bool) -> Ranking:
    """Rank by competence, then retirement, then utility.

    Equal utilities go to the cheaper, then to the faster candidate.
    """
    competent = _competent(candidates)
    preferred = _preferred(candidates, competent)
    worth, price = _parts(strategy, candidates, preferred, stream=stream)
    utility = worth - price
    keys = (candidates.latency_ms, _cost_or_inf(candidates), -utility, ~preferred, ~competent)
    order = np.lexsort(keys)  # the last key sorts first
    return Ranking(order=order, utility=utility, competent=competent, preferred=preferred)


def winners(strategy: Strategy, candidates: Candidates, cost_weights: Row, *, stream: bool) -> list[int]:
    """Return the place of the winner for each of `cost_weights`, which multiply the weight of cost."""
    preferred = _preferred(candidates, _competent(candidates))
    worth, price = _parts(strategy, candidates, preferred, stream=stream)
    utility = np.where(preferred, worth - cost_weights[:, None] * price, -np.inf)
    return [int(best) for best in utility.argmax(axis=1)]


def near_ties(ranking: Ranking, value: float) -> list[int]:
    """Return the preferred candidates whose utility is within the exploration margin of the winner's.

    `value`: V of `auto` in USD, see `value_usd`.
    """
    best = int(ranking.order[0])
    close = ranking.preferred & (
        ranking.utility >= ranking.utility[best] - strategy_weights.EXPLORE_MARGIN * value
    )
    return [int(i) for i in np.flatnonzero(close) if int(i) != best]


def value_usd(candidates: Candidates) -> float:
    """Return V of `auto`: the value of a right answer to this prompt, in USD.

    It is a multiple of the median candidate's cost. A fixed sum would buy the best model for every short
    prompt and the cheapest for every long one.
    """
    priced = np.sort(candidates.cost_usd[~np.isnan(candidates.cost_usd)])
    return strategy_weights.AUTO_VALUE * float(priced[priced.size // 2]) if priced.size else 1.0


def _competent(candidates: Candidates) -> npt.NDArray[np.bool_]:
    # The floor is relative to the best healthy candidate: the same share then fits easy prompts, where all
    # succeed, and hard ones, where none does. When no candidate is healthy, health does not matter.
    healthy = candidates.p_up >= strategy_weights.HEALTHY
    if not healthy.any():
        healthy = np.ones_like(healthy)
    good: npt.NDArray[np.bool_] = (
        candidates.believed >= strategy_weights.COMPETENCE_FLOOR * candidates.believed[healthy].max()
    )
    return good & healthy


def _preferred(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    if candidates.retiring is None:
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
            return np.zeros_like(candidates.cost_usd), _cost_or_inf(candidates)
        case Strategy.SPEED:
            return -(candidates.ttft_ms if stream else candidates.latency_ms), 0.0
        case Strategy.BALANCED:
            return _balanced(candidates, competent)
        case Strategy.AUTO:
            late = strategy_weights.AUTO_PER_SECOND * candidates.latency_ms / 1000
            return value_usd(candidates) * (candidates.believed * candidates.p_up - late), _cost_or_inf(
                candidates
            )


def _cost_or_inf(candidates: Candidates) -> Row:
    return np.where(np.isnan(candidates.cost_usd), np.inf, candidates.cost_usd)


def _quality(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> Row:
    """P(success); candidates within QUALITY_TIE of the best get its value, and cost decides among them."""
    best = candidates.believed[competent].max()
    return np.where(candidates.believed >= best - strategy_weights.QUALITY_TIE, best, candidates.believed)


def _balanced(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> tuple[Row, Row]:
    # Cost and time are compared as ratios, hence the logarithms: doubling a price weighs the same anywhere.
    quality = _scaled(candidates.believed, competent)
    speed = _scaled(np.log(np.maximum(candidates.latency_ms, 1)), competent)
    cost = _scaled(np.log(np.maximum(_cost_or_inf(candidates), 1e-12)), competent)
    return (
        strategy_weights.BALANCED_QUALITY * quality - strategy_weights.BALANCED_SPEED * speed,
        strategy_weights.BALANCED_COST * cost,
    )


def _scaled(values: Row, competent: npt.NDArray[np.bool_]) -> Row:
    """0 at the lowest and 1 at the highest competent candidate; the others may lie outside."""
    known = values[competent & np.isfinite(values)]
    if not known.size:
        return np.zeros_like(values)
    low = known.min()
    scaled: Row = (values - low) / max(known.max() - low, 1e-12)
    return scaled
