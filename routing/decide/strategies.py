"""The five strategies: what each prefers among candidates, as numbers (higher is better).

Each takes the same arrays, so a stored trace ranks again exactly as it did (`rank`), also under another
strategy.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from routing.chat import Strategy
from routing.decide import preferences as prefer

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


def rank(strategy: Strategy, seen: Candidates, *, stream: bool, cost_weight: float = 1.0) -> Ranking:
    """`cost_weight` scales what cost counts in auto and balanced: for asking what would flip the choice."""
    competent = _competent(seen)
    utility = _utility(strategy, seen, competent, stream=stream, cost_weight=cost_weight)
    cheap = np.where(np.isnan(seen.cost_usd), np.inf, seen.cost_usd)
    order = np.lexsort(
        (seen.latency_ms, cheap, -utility, ~competent)
    )  # ties go to the cheaper, then the faster
    return Ranking(order=order, utility=utility, competent=competent)


def value_usd(seen: Candidates) -> float:
    """V of `auto`: what a right answer to this prompt is worth, in USD."""
    priced = seen.cost_usd[~np.isnan(seen.cost_usd)]
    return prefer.AUTO_VALUE * float(np.median(priced)) if priced.size else 1.0


def _competent(seen: Candidates) -> npt.NDArray[np.bool_]:
    healthy = seen.p_up >= prefer.HEALTHY
    if not healthy.any():
        healthy = np.ones_like(healthy)
    good: npt.NDArray[np.bool_] = seen.believed >= prefer.COMPETENCE_FLOOR * seen.believed[healthy].max()
    return good & healthy


def _utility(
    strategy: Strategy,
    seen: Candidates,
    competent: npt.NDArray[np.bool_],
    *,
    stream: bool,
    cost_weight: float,
) -> Row:
    match strategy:
        case Strategy.QUALITY:
            return _quality(seen, competent)
        case Strategy.COST:
            return -np.nan_to_num(seen.cost_usd, nan=np.inf)
        case Strategy.SPEED:
            return -seen.ttft_ms if stream else -seen.latency_ms
        case Strategy.BALANCED:
            return _balanced(seen, competent, cost_weight)
        case Strategy.AUTO:
            return _auto(seen, cost_weight)


def _quality(seen: Candidates, competent: npt.NDArray[np.bool_]) -> Row:
    """P(success), where all within the tie of the best are equal."""
    best = seen.believed[competent].max()
    return np.where(seen.believed >= best - prefer.QUALITY_TIE, best, seen.believed)


def _balanced(seen: Candidates, competent: npt.NDArray[np.bool_], cost_weight: float) -> Row:
    cost = np.log(np.maximum(np.nan_to_num(seen.cost_usd, nan=np.inf), 1e-12))
    return (
        prefer.BALANCED_QUALITY * _scaled(seen.believed, competent)
        - prefer.BALANCED_COST * cost_weight * _scaled(cost, competent)
        - prefer.BALANCED_SPEED * _scaled(np.log(np.maximum(seen.latency_ms, 1)), competent)
    )


def _auto(seen: Candidates, cost_weight: float) -> Row:
    value = value_usd(seen)
    worth = value * (seen.believed * seen.p_up - prefer.AUTO_PER_SECOND * seen.latency_ms / 1000)
    return worth - cost_weight * np.nan_to_num(seen.cost_usd, nan=np.inf)


def _scaled(values: Row, competent: npt.NDArray[np.bool_]) -> Row:
    known = values[competent & np.isfinite(values)]
    if not known.size:
        return np.zeros_like(values)
    low, spread = known.min(), max(known.max() - known.min(), 1e-12)
    scaled: Row = (values - low) / spread
    return scaled
