"""The fallback chain: the choice, then the best of those that would not fail with it (spec/routing.md §7)."""

from collections.abc import Sequence

from routing.arms import Arm, ModelFacts

LONGEST = 3  # attempts


def chain(ranked: Sequence[tuple[Arm, ModelFacts]], *, fallback: bool) -> tuple[Arm, ...]:
    """From a ranking, best first: new providers before known ones, never one model twice."""
    if not fallback:
        return tuple(arm for arm, _ in ranked[:1])
    picked: list[tuple[Arm, ModelFacts]] = list(ranked[:1])
    while len(picked) < LONGEST:
        providers = {facts.provider for _, facts in picked}
        models = {facts.id for _, facts in picked}
        others = [(arm, facts) for arm, facts in ranked if facts.id not in models]
        if not others:
            break
        picked.append(next((pair for pair in others if pair[1].provider not in providers), others[0]))
    return tuple(arm for arm, _ in picked)
