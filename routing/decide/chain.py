"""The fallback chain: the chosen arm, then the best arms that are unlikely to fail together with it."""

from collections.abc import Sequence

MAX_ATTEMPTS = 3  # arms in a chain


def fallback_chain(ranked: Sequence[tuple[str, str]], *, fallback: bool) -> list[int]:
    """Return places in a ranking of (model, provider); the first place alone when `fallback` is off."""
    picked = list(range(len(ranked)))[:1]
    # When a request fails, the most common cause is its provider, so each next attempt goes to the best
    # candidate of a provider not tried yet. Once all providers are in the chain, it goes to the best
    # candidate left. A model never appears twice: another effort of it would meet the same outage.
    while fallback and len(picked) < MAX_ATTEMPTS:
        models = {ranked[place][0] for place in picked}
        providers = {ranked[place][1] for place in picked}
        others = [place for place, (model, _) in enumerate(ranked) if model not in models]
        if not others:
            break
        picked.append(next((place for place in others if ranked[place][1] not in providers), others[0]))
    return picked
