"""The five strategies: what each prefers among candidates, as numbers (higher is better).

Each takes the same arrays, so a stored trace ranks again exactly as it did (`rank`), also under another
strategy.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide import preferences as prefer
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


def rank(strategy: Strategy, seen: Candidates, *, stream: bool) -> Ranking:
    competent = _competent(seen)
    worth, price = _parts(strategy, seen, competent, stream=stream)
    utility = worth - price
    cheap = _dear(seen)
    order = np.lexsort((seen.latency_ms, cheap, -utility, ~competent))  # ties: the cheaper, then the faster
    return Ranking(order=order, utility=utility, competent=competent)


def winners(strategy: Strategy, seen: Candidates, cost_weights: Row, *, stream: bool) -> list[int]:
    """Who would be first if cost weighed that much more or less, one for each weight."""
    competent = _competent(seen)
    worth, price = _parts(strategy, seen, competent, stream=stream)
    utility = np.where(competent, worth - cost_weights[:, None] * price, -np.inf)
    return [int(best) for best in utility.argmax(axis=1)]


def near_ties(made: Ranking, value: float) -> list[int]:
    """Competent candidates other than the winner whose utility is within the margin of its (exploration)."""
    best = int(made.order[0])
    close = made.competent & (made.utility >= made.utility[best] - prefer.EXPLORE_MARGIN * value)
    return [int(i) for i in np.flatnonzero(close) if int(i) != best]


def value_usd(seen: Candidates) -> float:
    """V of `auto`: what a right answer to this prompt is worth, in USD."""
    priced = np.sort(seen.cost_usd[~np.isnan(seen.cost_usd)])
    return prefer.AUTO_VALUE * float(priced[priced.size // 2]) if priced.size else 1.0


def _competent(seen: Candidates) -> npt.NDArray[np.bool_]:
    healthy = seen.p_up >= prefer.HEALTHY
    if not healthy.any():
        healthy = np.ones_like(healthy)
    good: npt.NDArray[np.bool_] = seen.believed >= prefer.COMPETENCE_FLOOR * seen.believed[healthy].max()
    return good & healthy


def _parts(
    strategy: Strategy, seen: Candidates, competent: npt.NDArray[np.bool_], *, stream: bool
) -> tuple[Row, Row | float]:
    """Utility as what speaks for a candidate and what its cost takes from that."""
    match strategy:
        case Strategy.QUALITY:
            return _quality(seen, competent), 0.0
        case Strategy.COST:
            return np.zeros_like(seen.cost_usd), _dear(seen)
        case Strategy.SPEED:
            return -(seen.ttft_ms if stream else seen.latency_ms), 0.0
        case Strategy.BALANCED:
            return _balanced(seen, competent)
        case Strategy.AUTO:
            late = prefer.AUTO_PER_SECOND * seen.latency_ms / 1000
            return value_usd(seen) * (seen.believed * seen.p_up - late), _dear(seen)


def _dear(seen: Candidates) -> Row:
    return np.where(np.isnan(seen.cost_usd), np.inf, seen.cost_usd)


def _quality(seen: Candidates, competent: npt.NDArray[np.bool_]) -> Row:
    """P(success), where all within the tie of the best are equal."""
    best = seen.believed[competent].max()
    return np.where(seen.believed >= best - prefer.QUALITY_TIE, best, seen.believed)


def _balanced(seen: Candidates, competent: npt.NDArray[np.bool_]) -> tuple[Row, Row]:
    quality = _scaled(seen.believed, competent)
    speed = _scaled(np.log(np.maximum(seen.latency_ms, 1)), competent)
    cost = _scaled(np.log(np.maximum(_dear(seen), 1e-12)), competent)
    return prefer.BALANCED_QUALITY * quality - prefer.BALANCED_SPEED * speed, prefer.BALANCED_COST * cost


def _scaled(values: Row, competent: npt.NDArray[np.bool_]) -> Row:
    """0 at the lowest and 1 at the highest of the competent; others may lie outside."""
    known = values[competent & np.isfinite(values)]
    if not known.size:
        return np.zeros_like(values)
    low = known.min()
    scaled: Row = (values - low) / max(known.max() - low, 1e-12)
    return scaled
