"""The fallback chain: the chosen arm, then the best arms that are unlikely to fail together with it."""

from collections.abc import Iterable

MAX_ATTEMPTS = 3  # arms in a chain


def fallback_chain(ranked: Iterable[tuple[str, str]], *, fallback: bool) -> list[int]:
    """Return places in a ranking of (model, provider); the first place alone when `fallback` is off."""
    # When a request fails, the most common cause is its provider, so each next attempt goes to the best
    # candidate of a provider not tried yet. Once all providers are in the chain, it goes to the best
    # candidates left. A model never appears twice: another effort of it would meet the same outage.
    most = MAX_ATTEMPTS if fallback else 1
    picked: list[int] = []
    spare: dict[str, int] = {}  # by model, the first place passed over
    models: set[str] = set()
    providers: set[str] = set()
    for place, (model, provider) in enumerate(ranked):
        if provider not in providers and model not in models:
            picked.append(place)
            if len(picked) == most:
                return picked
            models.add(model)
            providers.add(provider)
        elif model not in models:
            spare.setdefault(model, place)
    left = [place for model, place in spare.items() if model not in models]
    return picked + left[: most - len(picked)]
