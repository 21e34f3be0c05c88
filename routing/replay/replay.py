"""Replay: makes a decision again from its stored trace alone, and ranks a trace under another strategy.

A trace holds every number that was compared, rounded as it was when it was compared, so the same arithmetic
must give the same choice. A choice made by chance is marked `explored`; replay checks that it was a near tie.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from routing.decide import strategy_weights
from routing.decide.chain import fallback_chain
from routing.decide.strategies import Candidates, Ranking, near_ties, rank
from routing.decide.trace import Candidate, Trace
from routing.language.chat import Mode, Strategy


class Replayed(msgspec.Struct, frozen=True):
    """`order`: arm names, best first. `chain`: the arms to call. `first`: the chosen candidate."""

    order: tuple[str, ...]
    chain: tuple[str, ...]
    first: Candidate


def compared(trace: Trace) -> list[Candidate]:
    """Return the candidates whose numbers were compared: all that passed the filters, and the pinned one."""
    return _by_name(entry for entry in trace.candidates if entry.removed is None or entry.arm == trace.pinned)


def columns(trace: Trace, entries: Sequence[Candidate]) -> Candidates:
    """Return the numbers of `entries` as the trace's strategy compared them."""
    return _columns(trace, entries)


def rerank(trace: Trace, strategy: Strategy) -> Replayed:
    """Return the ranking another strategy would have given, without pin and exploration."""
    eligible = _by_name(entry for entry in trace.candidates if entry.removed is None)
    ranking = rank(strategy, _columns(trace, eligible), stream=trace.stream)
    return _replayed([eligible[place] for place in ranking.order], fallback=trace.fallback)


def differences(trace: Trace) -> list[str]:
    """Return, in words, how the decision made again differs from the stored one; empty if it does not."""
    entries = compared(trace)
    candidates = _columns(trace, entries)
    ranking = rank(trace.strategy, candidates, stream=trace.stream)
    again = _replayed(_ordered(trace, entries, ranking), fallback=trace.fallback)
    stored = tuple(entry.arm for entry in trace.candidates if entry.removed is None)
    differing = []
    if again.order != stored[: len(again.order)]:  # behind them a pinned model's other arms
        differing.append(f"the order is {', '.join(again.order)}, stored is {', '.join(stored)}")
    if again.chain != trace.chain:
        differing.append(f"the chain is {', '.join(again.chain)}, stored is {', '.join(trace.chain)}")
    for entry, utility, competent in zip(
        entries, ranking.utility.tolist(), ranking.competent.tolist(), strict=True
    ):
        recomputed = utility if np.isfinite(utility) else None
        if (recomputed, competent) != (entry.utility, entry.competent):
            differing.append(f"{entry.arm} has utility {recomputed}, stored is {entry.utility}")
    return differing + _chance(trace, entries, candidates, ranking)


def _by_name(entries: Iterable[Candidate]) -> list[Candidate]:
    """In the arm table's order, so that ties fall the same way."""
    return sorted(entries, key=lambda entry: entry.arm)


def _ordered(trace: Trace, entries: list[Candidate], ranking: Ranking) -> list[Candidate]:
    order = [entries[place] for place in ranking.order]
    if trace.mode is Mode.MANUAL:
        pinned = next(entry for entry in entries if entry.arm == trace.pinned)
        others = [entry for entry in order if entry.model != pinned.model]
        return others if pinned.removed else [pinned, *others]
    if trace.explored:
        tried = next(entry for entry in entries if entry.arm == trace.chain[0])
        return [tried, *(entry for entry in order if entry is not tried)]
    return order


def _chance(trace: Trace, entries: list[Candidate], candidates: Candidates, ranking: Ranking) -> list[str]:
    """Compare the stored probability of the choice with the one its numbers give.

    A wrong probability would bias every what-if estimate, which divides by it.
    """
    if trace.mode is Mode.MANUAL or trace.strategy is not Strategy.AUTO:
        probability = 1.0
    else:
        near = [entries[place].arm for place in near_ties(ranking, candidates.value_usd)]
        if trace.explored and trace.chain[0] not in near:
            return [f"{trace.chain[0]} was tried by chance, but is no near tie"]
        if trace.explored:
            probability = strategy_weights.EXPLORE_SHARE / len(near)
        else:
            probability = 1 - strategy_weights.EXPLORE_SHARE if near else 1.0
    if probability == trace.selection_probability:
        return []
    return [f"the probability of the choice is {probability}, stored is {trace.selection_probability}"]


def _replayed(order: Sequence[Candidate], *, fallback: bool) -> Replayed:
    places = fallback_chain([(entry.model, entry.provider) for entry in order], fallback=fallback)
    return Replayed(
        order=tuple(entry.arm for entry in order),
        chain=tuple(order[place].arm for place in places),
        first=order[0],
    )


def _columns(trace: Trace, entries: Sequence[Candidate]) -> Candidates:
    rows = [(e.p_success, e.low, e.cost_usd, e.latency_ms, e.ttft_ms, e.p_up) for e in entries]
    p_success, low, cost_usd, latency_ms, ttft_ms, p_up = np.array(rows, float).reshape(-1, 6).T
    scored = np.array([entry.scored for entry in entries], bool)
    retiring = np.array([entry.retires is not None for entry in entries], bool)
    return Candidates(
        p_success, low, cost_usd, latency_ms, ttft_ms, p_up, scored, retiring, tolerance=trace.tolerance
    )
