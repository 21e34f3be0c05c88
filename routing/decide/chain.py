"""The fallback chain: the chosen arm, then the best arms that are unlikely to fail together with it."""

from collections.abc import Sequence

MAX_ATTEMPTS = 3  # arms in a chain


def fallback_chain(ranked: Sequence[tuple[str, str]], *, fallback: bool) -> list[int]:
    """Return places in a ranking of (model, provider); the first place alone when `fallback` is off."""
    picked = [0] if ranked else []
    # When a request fails, the most common cause is its provider, so each next attempt goes to the best
    # candidate of a provider not tried yet. Once all providers are in the chain, it goes to the best
    # candidate left. A model never appears twice: another effort of it would meet the same outage.
    while fallback and len(picked) < MAX_ATTEMPTS:
        models = {ranked[place][0] for place in picked}
        providers = {ranked[place][1] for place in picked}
        best = None
        for place, (model, provider) in enumerate(ranked):
            if model in models:
                continue
            if provider not in providers:
                best = place
                break
            best = place if best is None else best
        if best is None:
            break
        picked.append(best)
    return picked
