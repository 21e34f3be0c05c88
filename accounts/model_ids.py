"""Which model ids the forms accept: the catalog, which stands a floor above, says so when it starts."""

from collections.abc import Callable, Collection
from difflib import get_close_matches

_source: Callable[[], Collection[str]] | None = None


def offer(source: Callable[[], Collection[str]]) -> None:
    """Let the forms take the ids that `source` returns at the time they are checked."""
    global _source
    _source = source


def offered() -> list[str]:
    """All ids there are, sorted; empty as long as nobody offers any."""
    return sorted(_source()) if _source is not None else []


def unknown(ids: Collection[str]) -> dict[str, list[str]]:
    """Of these ids the unknown ones, each with the names it may have meant."""
    known = offered()
    if not known:
        return {}
    return {name: get_close_matches(name, known, n=3) for name in ids if name not in known}
