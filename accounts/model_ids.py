"""The model ids that forms accept. The catalog is in a package above, so it registers them when it starts."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches

_source: Callable[[], Collection[str]] | None = None
_providers: Callable[[], Collection[str]] | None = None
_names: Callable[[], Mapping[str, str]] | None = None


def offer(
    source: Callable[[], Collection[str]],
    providers: Callable[[], Collection[str]],
    names: Callable[[], Mapping[str, str]],
) -> None:
    """Accept the ids that `source` returns when a form is checked, and these providers' wildcards.

    `names`: display names by id, for pickers.
    """
    global _source, _providers, _names
    _source, _providers, _names = source, providers, names


def offered() -> list[str]:
    """All ids, sorted; empty while no source is registered."""
    return sorted(_source()) if _source is not None else []


def choices(*also: str) -> list[tuple[str, str]]:
    """Each id, and each of `also`, with its display name, sorted by name; an id without one names itself."""
    names = _names() if _names is not None else {}
    ids = {*offered(), *also}
    return sorted(((name, names.get(name, name)) for name in ids), key=lambda choice: choice[1].lower())


def unknown(ids: Collection[str]) -> dict[str, list[str]]:
    """The unknown ones of these ids, each with similar known ids."""
    known = offered()
    if not known:
        return {}
    return {name: get_close_matches(name, known, n=3) for name in ids if name not in known}


def unknown_rules(entries: Collection[str]) -> dict[str, list[str]]:
    """The unknown ones of these model rules, each with similar known ones.

    A rule is an id or a wildcard `provider/*`, with a leading `-` to exclude.
    """
    known = offered()
    if not known:
        return {}
    names = [*known, *(f"{provider}/*" for provider in (_providers() if _providers is not None else ()))]
    return {
        entry: get_close_matches(entry.removeprefix("-"), names, n=3)
        for entry in entries
        if entry.removeprefix("-") not in names
    }
