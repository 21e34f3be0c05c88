"""Makes a decision again from its record alone: as it was, or as another strategy would (spec/routing.md §9).

The record holds every number that was compared, rounded as it was compared, so the same arithmetic must give
the same choice. What chance chose is told by `explored`; that it was a near tie is checked.
"""

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

from routing.decide import preferences
from routing.decide.chain import chain
from routing.decide.strategies import Candidates, Ranking, near_ties, rank, value_usd
from routing.decide.trace import Candidate, Trace
from routing.language.chat import Mode, Strategy


class Replayed(msgspec.Struct, frozen=True):
    """`order`: arms, best first; `chain`: those that would be called; `first`: the one that is chosen."""

    order: tuple[str, ...]
    chain: tuple[str, ...]
    first: Candidate


def compared(trace: Trace) -> list[Candidate]:
    """The candidates whose numbers were compared: all that stood, and a pinned one that did not."""
    return _by_name(entry for entry in trace.candidates if entry.removed is None or entry.arm == trace.pinned)


def rerank(trace: Trace, strategy: Strategy) -> Replayed:
    """What the strategy alone would have chosen: no pin, no chance."""
    standing = _by_name(entry for entry in trace.candidates if entry.removed is None)
    made = rank(strategy, _columns(standing), stream=trace.stream)
    return _replayed([standing[place] for place in made.order], fallback=trace.fallback)


def differences(trace: Trace) -> list[str]:
    """In what a second run of the record differs from what was done, in words; nothing when it was that."""
    entries = compared(trace)
    seen = _columns(entries)
    made = rank(trace.strategy, seen, stream=trace.stream)
    again = _replayed(_ordered(trace, entries, made), fallback=trace.fallback)
    stored = tuple(entry.arm for entry in trace.candidates if entry.removed is None)
    found = []
    if again.order != stored[: len(again.order)]:  # behind them a pinned model's other arms
        found.append(f"the order is {', '.join(again.order)}, stored is {', '.join(stored)}")
    if again.chain != trace.chain:
        found.append(f"the chain is {', '.join(again.chain)}, stored is {', '.join(trace.chain)}")
    for entry, utility, competent in zip(
        entries, made.utility.tolist(), made.competent.tolist(), strict=True
    ):
        told = utility if np.isfinite(utility) else None
        if (told, competent) != (entry.utility, entry.competent):
            found.append(f"{entry.arm} has utility {told}, stored is {entry.utility}")
    return found + _chance(trace, entries, seen, made)


def _by_name(entries: Iterable[Candidate]) -> list[Candidate]:
    """As the board has them: what is equal in all else falls by name."""
    return sorted(entries, key=lambda entry: entry.arm)


def _ordered(trace: Trace, entries: list[Candidate], made: Ranking) -> list[Candidate]:
    order = [entries[place] for place in made.order]
    if trace.mode is Mode.MANUAL:
        pinned = next(entry for entry in entries if entry.arm == trace.pinned)
        others = [entry for entry in order if entry.model != pinned.model]
        return others if pinned.removed else [pinned, *others]
    if trace.explored:
        tried = next(entry for entry in entries if entry.arm == trace.chain[0])
        return [tried, *(entry for entry in order if entry is not tried)]
    return order


def _chance(trace: Trace, entries: list[Candidate], seen: Candidates, made: Ranking) -> list[str]:
    """Whether the logged probability is the one the numbers give."""
    if trace.mode is Mode.MANUAL or trace.strategy is not Strategy.AUTO:
        right = 1.0
    else:
        near = [entries[place].arm for place in near_ties(made, value_usd(seen))]
        if trace.explored and trace.chain[0] not in near:
            return [f"{trace.chain[0]} was tried by chance, but is no near tie"]
        if trace.explored:
            right = preferences.EXPLORE_SHARE / len(near)
        else:
            right = 1 - preferences.EXPLORE_SHARE if near else 1.0
    if right == trace.selection_probability:
        return []
    return [f"the probability of the choice is {right}, stored is {trace.selection_probability}"]


def _replayed(order: Sequence[Candidate], *, fallback: bool) -> Replayed:
    places = chain([(entry.model, entry.provider) for entry in order], fallback=fallback)
    return Replayed(
        order=tuple(entry.arm for entry in order),
        chain=tuple(order[place].arm for place in places),
        first=order[0],
    )


def _columns(entries: Sequence[Candidate]) -> Candidates:
    rows = [(e.p_success, e.low, e.cost_usd, e.latency_ms, e.ttft_ms, e.p_up) for e in entries]
    p_success, low, cost_usd, latency_ms, ttft_ms, p_up = np.array(rows, float).reshape(-1, 6).T
    scored = np.array([one.scored for one in entries], bool)
    return Candidates(p_success, low, cost_usd, latency_ms, ttft_ms, p_up, scored)
