"""Estimates of other policies: cost, time and success of another strategy or model, on logged decisions.

The estimate is doubly robust (Dudík, Langford & Li, 2011): the forecast for the arm the other strategy would
have chosen; where that arm was also the one used, plus the forecast's error divided by the logged probability
of the choice. Choices that were never tried rest on forecasts alone; `alone` is their share. Intervals are
bootstrap, over requests.
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
FEWEST_JUDGED = 30  # outcomes below which success is estimated from forecasts alone


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
    """Means per request. `cost_difference_usd` is against the cost paid; negative is cheaper."""

    requests: int
    left_out: int  # requests the policy could not choose for, or without a stored forecast of cost
    same: float  # share for which the same arm would have been chosen
    alone: float  # share that rests on forecasts alone
    paid_usd: float
    cost_usd: Figure
    cost_difference_usd: Figure
    latency_ms: Figure
    success: Figure  # forecast, corrected by outcomes from FEWEST_JUDGED known outcomes on
    success_was: float  # the same estimate for the arms that were chosen
    judged: int  # requests with a known outcome


class _Pair(msgspec.Struct, frozen=True):
    """The candidate that was chosen and the one the policy would have chosen."""

    logged: Logged
    was: Candidate
    would: Candidate


def what_if(decisions: Sequence[Logged], policy: Strategy | str) -> WhatIf | None:
    """Estimate a policy: a strategy, or the id of a model for everything. None: no request qualifies."""
    pairs = [pair for decision in decisions if (pair := _pair(decision, policy)) is not None]
    if not pairs:
        return None
    weight = np.array([(p.was.arm == p.would.arm) / p.logged.trace.selection_probability for p in pairs])
    paid = np.array([pair.logged.cost_usd for pair in pairs])
    took = np.array([pair.logged.latency_ms for pair in pairs])
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


def _pair(decision: Logged, policy: Strategy | str) -> _Pair | None:
    trace = decision.trace
    was = next((entry for entry in trace.candidates if entry.arm == trace.chain[0]), None)
    if isinstance(policy, Strategy):
        eligible = any(entry.removed is None for entry in trace.candidates)
        would = replay.rerank(trace, policy).first if eligible else None
    else:
        would = _of_model(trace, policy)
    if was is None or would is None or was.cost_usd is None or would.cost_usd is None:
        return None
    return _Pair(decision, was, would)


def _of_model(trace: Trace, model: str) -> Candidate | None:
    """The model's arm at its default effort, else its best ranked arm that passed the filters."""
    own = [entry for entry in trace.candidates if entry.model == model and entry.removed is None]
    return next((entry for entry in own if entry.effort is None), own[0] if own else None)


def _column(pairs: Sequence[_Pair], name: str) -> tuple[Column, Column]:
    """One forecast number for the chosen candidates and for the policy's."""
    was, would = np.array([(getattr(p.was, name), getattr(p.would, name)) for p in pairs], float).T
    return was, would


def _robust(forecast: tuple[Column, Column], actual: Column, weight: Column) -> Column:
    """The estimate by request. Forecasts are first scaled to the actual sum, which corrects a general
    error on both sides of the comparison."""
    was, would = forecast
    scale = actual.sum() / was.sum() if was.sum() > 0 else 1.0
    estimate: Column = would * scale + weight * (actual - was * scale)
    return estimate


def _success(pairs: Sequence[_Pair], weight: Column) -> tuple[Column, Column, int]:
    """By request, success of the policy and of the actual choices; also the number of outcomes."""
    was = np.array([pair.was.believed for pair in pairs])
    would = np.array([pair.would.believed for pair in pairs])
    known = np.array([pair.logged.score is not None for pair in pairs])
    judged = int(known.sum())
    if judged >= FEWEST_JUDGED:
        # Only some outcomes are known. Dividing by their share lets them stand for all requests; this assumes
        # that whether an outcome is known does not depend on how good the answer was.
        score = np.array([pair.logged.score or 0.0 for pair in pairs])
        error = known / known.mean() * (score - was)
        return would + weight * error, was + error, judged
    return would, was, judged


def _figure(values: Column, picks: npt.NDArray[np.int64]) -> Figure:
    low, high = np.quantile(values[picks].mean(axis=1), (0.025, 0.975))
    return Figure(float(values.mean()), float(low), float(high))
