"""The five strategies: what each prefers among candidates, as numbers (higher is better).

Each takes the same arrays, so a stored trace ranks again exactly as it did (`rank`), also under another
strategy.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide import preferences
from routing.language.chat import Strategy

Row = npt.NDArray[np.float64]


class Candidates(msgspec.Struct, frozen=True):
    """What the strategies compare, one entry a candidate that passed the filters; all `(n,)`."""

    p_success: Row
    low: Row  # lower end of P(success)'s interval
    cost_usd: Row  # NaN: unpriced
    latency_ms: Row
    ttft_ms: Row
    p_up: Row
    scored: npt.NDArray[np.bool_]  # somebody measured the model

    @property
    def believed(self) -> Row:
        """P(success), for a model nobody measured its lower end: it is not preferred until evidence comes."""
        return np.where(self.scored, self.p_success, self.low)


class Ranking(msgspec.Struct, frozen=True):
    """`order`: best first, those under the competence floor last. `utility` is in the strategy's own unit."""

    order: npt.NDArray[np.intp]
    utility: Row
    competent: npt.NDArray[np.bool_]


def rank(strategy: Strategy, candidates: Candidates, *, stream: bool) -> Ranking:
    competent = _competent(candidates)
    worth, price = _parts(strategy, candidates, competent, stream=stream)
    utility = worth - price
    cheap = _dear(candidates)
    order = np.lexsort(
        (candidates.latency_ms, cheap, -utility, ~competent)
    )  # ties: the cheaper, then the faster
    return Ranking(order=order, utility=utility, competent=competent)


def winners(strategy: Strategy, candidates: Candidates, cost_weights: Row, *, stream: bool) -> list[int]:
    """Who would be first if cost weighed that much more or less, one for each weight."""
    competent = _competent(candidates)
    worth, price = _parts(strategy, candidates, competent, stream=stream)
    utility = np.where(competent, worth - cost_weights[:, None] * price, -np.inf)
    return [int(best) for best in utility.argmax(axis=1)]


def near_ties(ranking: Ranking, value: float) -> list[int]:
    """Competent candidates other than the winner whose utility is within the margin of its (exploration)."""
    best = int(ranking.order[0])
    close = ranking.competent & (
        ranking.utility >= ranking.utility[best] - preferences.EXPLORE_MARGIN * value
    )
    return [int(i) for i in np.flatnonzero(close) if int(i) != best]


def value_usd(candidates: Candidates) -> float:
    """V of `auto`: what a right answer to this prompt is worth, in USD."""
    priced = np.sort(candidates.cost_usd[~np.isnan(candidates.cost_usd)])
    return preferences.AUTO_VALUE * float(priced[priced.size // 2]) if priced.size else 1.0


def _competent(candidates: Candidates) -> npt.NDArray[np.bool_]:
    healthy = candidates.p_up >= preferences.HEALTHY
    if not healthy.any():
        healthy = np.ones_like(healthy)
    good: npt.NDArray[np.bool_] = (
        candidates.believed >= preferences.COMPETENCE_FLOOR * candidates.believed[healthy].max()
    )
    return good & healthy


def _parts(
    strategy: Strategy, candidates: Candidates, competent: npt.NDArray[np.bool_], *, stream: bool
) -> tuple[Row, Row | float]:
    """Utility as what speaks for a candidate and what its cost takes from that."""
    match strategy:
        case Strategy.QUALITY:
            return _quality(candidates, competent), 0.0
        case Strategy.COST:
            return np.zeros_like(candidates.cost_usd), _dear(candidates)
        case Strategy.SPEED:
            return -(candidates.ttft_ms if stream else candidates.latency_ms), 0.0
        case Strategy.BALANCED:
            return _balanced(candidates, competent)
        case Strategy.AUTO:
            late = preferences.AUTO_PER_SECOND * candidates.latency_ms / 1000
            return value_usd(candidates) * (candidates.believed * candidates.p_up - late), _dear(candidates)


def _dear(candidates: Candidates) -> Row:
    return np.where(np.isnan(candidates.cost_usd), np.inf, candidates.cost_usd)


def _quality(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> Row:
    """P(success), where all within the tie of the best are equal."""
    best = candidates.believed[competent].max()
    return np.where(candidates.believed >= best - preferences.QUALITY_TIE, best, candidates.believed)


def _balanced(candidates: Candidates, competent: npt.NDArray[np.bool_]) -> tuple[Row, Row]:
    quality = _scaled(candidates.believed, competent)
    speed = _scaled(np.log(np.maximum(candidates.latency_ms, 1)), competent)
    cost = _scaled(np.log(np.maximum(_dear(candidates), 1e-12)), competent)
    return (
        preferences.BALANCED_QUALITY * quality - preferences.BALANCED_SPEED * speed,
        preferences.BALANCED_COST * cost,
    )


def _scaled(values: Row, competent: npt.NDArray[np.bool_]) -> Row:
    """0 at the lowest and 1 at the highest of the competent; others may lie outside."""
    known = values[competent & np.isfinite(values)]
    if not known.size:
        return np.zeros_like(values)
    low = known.min()
    scaled: Row = (values - low) / max(known.max() - low, 1e-12)
    return scaled
