"""The fallback chain: the choice, then the best of those that would not fail with it (spec/routing.md §7)."""

from collections.abc import Sequence

LONGEST = 3  # attempts


def chain(ranked: Sequence[tuple[str, str]], *, fallback: bool) -> list[int]:
    """Places in a ranking of (model, provider): new providers before known ones, no model twice."""
    picked = list(range(len(ranked)))[:1]
    while fallback and len(picked) < LONGEST:
        models = {ranked[place][0] for place in picked}
        providers = {ranked[place][1] for place in picked}
        others = [place for place, (model, _) in enumerate(ranked) if model not in models]
        if not others:
            break
        picked.append(next((place for place in others if ranked[place][1] not in providers), others[0]))
    return picked
