"""What another strategy, or one model for everything, would have cost and done, from logged decisions.

Doubly robust: the forecast for what would have been chosen, and where that is what was chosen, the forecast's
error on top, divided by the logged probability of the choice (Dudík, Langford & Li, 2011). Choices that were
never made rest on forecasts alone; `alone` says how many these are. Intervals are bootstrap, over requests.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from routing.decide.trace import Candidate, Trace
from routing.language.chat import Strategy
from routing.replay import replay

Column = npt.NDArray[np.float64]

RESAMPLES = 500
FEWEST_JUDGED = 30  # outcomes below which success is told by forecasts alone


class Logged(msgspec.Struct, frozen=True):
    """One settled request. `score`: its outcome, 0 to 1, where one is known."""

    trace: Trace
    cost_usd: float
    latency_ms: float
    score: float | None = None


class Figure(msgspec.Struct, frozen=True):
    """A mean per request and its 95 % interval."""

    value: float
    low: float
    high: float


class WhatIf(msgspec.Struct, frozen=True):
    """Means per request; `cost_difference_usd` is against what was paid: negative is cheaper."""

    requests: int
    left_out: int  # nothing could have been chosen, or no forecast of its cost is kept
    same: float  # share for which the same arm would have been chosen
    alone: float  # share that rests on forecasts alone
    paid_usd: float
    cost_usd: Figure
    cost_difference_usd: Figure
    latency_ms: Figure
    success: Figure  # as forecast, corrected by outcomes where FEWEST_JUDGED of them are known
    success_was: float  # of what was chosen, by the same reckoning
    judged: int  # requests whose outcome is known


class _Pair(msgspec.Struct, frozen=True):
    """What was chosen and what would have been."""

    logged: Logged
    was: Candidate
    would: Candidate


def what_if(decisions: Sequence[Logged], policy: Strategy | str) -> WhatIf | None:
    """`policy`: a strategy, or the id of a model for everything. None when nothing can be said."""
    pairs = [pair for one in decisions if (pair := _pair(one, policy)) is not None]
    if not pairs:
        return None
    weight = np.array(
        [(one.was.arm == one.would.arm) / one.logged.trace.selection_probability for one in pairs]
    )
    paid = np.array([one.logged.cost_usd for one in pairs])
    took = np.array([one.logged.latency_ms for one in pairs])
    cost = _robust(_column(pairs, "cost_usd"), paid, weight)
    latency = _robust(_column(pairs, "latency_ms"), took, weight)
    success, success_was, judged = _success(pairs, weight)
    picks = np.random.default_rng(7).integers(0, len(pairs), (RESAMPLES, len(pairs)))
    return WhatIf(
        requests=len(pairs),
        left_out=len(decisions) - len(pairs),
        same=float((weight > 0).mean()),
        alone=float((weight == 0).mean()),
        paid_usd=float(paid.mean()),
        cost_usd=_figure(cost, picks),
        cost_difference_usd=_figure(cost - paid, picks),
        latency_ms=_figure(latency, picks),
        success=_figure(success, picks),
        success_was=float(success_was.mean()),
        judged=judged,
    )


def _pair(one: Logged, policy: Strategy | str) -> _Pair | None:
    trace = one.trace
    was = next((entry for entry in trace.candidates if entry.arm == trace.chain[0]), None)
    if isinstance(policy, Strategy):
        standing = any(entry.removed is None for entry in trace.candidates)
        would = replay.rerank(trace, policy).first if standing else None
    else:
        would = _of_model(trace, policy)
    if was is None or would is None or was.cost_usd is None or would.cost_usd is None:
        return None
    return _Pair(one, was, would)


def _of_model(trace: Trace, model: str) -> Candidate | None:
    """The model's arm at its default effort, else the best ranked one that stood."""
    own = [entry for entry in trace.candidates if entry.model == model and entry.removed is None]
    return next((entry for entry in own if entry.effort is None), own[0] if own else None)


def _column(pairs: Sequence[_Pair], name: str) -> tuple[Column, Column]:
    """A forecast of what was chosen and of what would have been."""
    was, would = np.array([(getattr(one.was, name), getattr(one.would, name)) for one in pairs], float).T
    return was, would


def _robust(forecast: tuple[Column, Column], seen: Column, weight: Column) -> Column:
    """By request; forecasts are scaled to what was seen, so that a forecast that is off is off for both."""
    was, would = forecast
    scale = seen.sum() / was.sum() if was.sum() > 0 else 1.0
    estimate: Column = would * scale + weight * (seen - was * scale)
    return estimate


def _success(pairs: Sequence[_Pair], weight: Column) -> tuple[Column, Column, int]:
    """By request, of what would have been and of what was."""
    was = np.array([one.was.believed for one in pairs])
    would = np.array([one.would.believed for one in pairs])
    known = np.array([one.logged.score is not None for one in pairs])
    judged = int(known.sum())
    if judged >= FEWEST_JUDGED:
        # Outcomes are known of some; those stand for all, as their requests are not told apart by more.
        score = np.array([one.logged.score or 0.0 for one in pairs])
        error = known / known.mean() * (score - was)
        return would + weight * error, was + error, judged
    return would, was, judged


def _figure(values: Column, picks: npt.NDArray[np.int64]) -> Figure:
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))
