"""What a caller's model name means: a catalog id, an alias, a retired id with its successor, or nothing."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec

_PREFIX = re.compile(r"^([\w.-]+)/(?=.)")  # "openai/gpt-x", "models/gemini-x"
_ANY_PROVIDERS = "models"  # the prefix of resource names; others are names of providers
_SNAPSHOT = re.compile(r"(?:@.*|-(?:\d{8}|\d{4}-\d{2}-\d{2}))$")  # "@20261007", "-20261007", "-2026-10-07"
_CONDITION = re.compile(r"^\^\(\?!")  # a rule that only forbids narrows the others instead of adding to them
_CACHED = 10_000  # names; callers choose them, so memory needs an end


class Resolved(msgspec.Struct, frozen=True):
    """`id` empty: unknown, and `near` has what may have been meant."""

    id: str
    replaced_from: str | None = None  # the retired id that was asked for
    note: str | None = None
    near: tuple[str, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A catalog id and what else means it: `equals`, `starts_with` and `regex` lists, any of them absent."""

    id: str
    provider: str
    rules: Mapping[str, Any]


class Retired(msgspec.Struct, frozen=True):
    id: str
    provider: str
    retired: date
    successor: str | None


class NameBook:
    """All the names the catalog knows. Immutable; a refresh makes a new one."""

    def __init__(self, named: Iterable[Named], retired: Iterable[Retired], today: date) -> None:
        named = tuple(named)
        self._retired = {one.id: one for one in retired if one.retired <= today}
        self._providers = {one.id: one.provider for one in self._retired.values()}
        self._providers |= {one.id: one.provider for one in named}
        self._exact = {alias: one.id for one in named for alias in one.rules.get("equals", ())}
        self._exact |= {name: name for name in (*(one.id for one in named), *self._retired)}
        self._patterns = [(one.id, _Pattern(one.rules)) for one in named]
        self._ids = {one.id for one in named} - self._retired.keys()
        self._cache: dict[str, Resolved] = {}

    def resolve(self, name: str) -> Resolved:
        """Exact id, then alias, then the rules, each also without the provider's prefix and snapshot date."""
        known = self._cache.get(name)
        if known is None:
            known = self._resolve(name.strip())
            if known.id and len(self._cache) < _CACHED:
                self._cache[name] = known
        return known

    def _resolve(self, name: str) -> Resolved:
        prefix = _PREFIX.match(name)
        bare = name[prefix.end() :] if prefix else name
        found = self._found(name)
        if found is None and prefix:
            found = self._found(bare)
            if found and prefix[1] not in (_ANY_PROVIDERS, self._providers[found]):
                found = None  # somebody else's model of that name
        if found is None:
            return self._unknown(bare)
        return self._successor(self._retired[found]) if found in self._retired else Resolved(found)

    def _found(self, name: str) -> str | None:
        """The id, current or retired, that the name means as written or without its snapshot date."""
        for form in dict.fromkeys((name, _SNAPSHOT.sub("", name))):
            found = self._exact.get(form) or self._matched(form)
            if found:
                return found
        return None

    def _matched(self, name: str) -> str | None:
        """The most specific rule that fits: a longer prefix is about fewer models."""
        fits = [(pattern.fit(name), model) for model, pattern in self._patterns]
        best = max(fits, default=(0, ""))
        return best[1] if best[0] else None

    def _successor(self, retired: Retired) -> Resolved:
        """Follows successors that are retired themselves."""
        seen, successor = {retired.id}, retired.successor
        while successor in self._retired and successor not in seen:
            seen.add(successor)
            successor = self._retired[successor].successor
        if successor is None or successor not in self._ids:
            return self._unknown(retired.id)
        note = f"{retired.id} is retired since {retired.retired:%Y-%m-%d}; its successor {successor} answers"
        return Resolved(successor, replaced_from=retired.id, note=note)

    def _unknown(self, name: str) -> Resolved:
        return Resolved("", near=tuple(difflib.get_close_matches(name, self._ids, n=3, cutoff=0.5)))


class _Pattern:
    """One model's rules beyond exact names."""

    def __init__(self, rules: Mapping[str, Any]) -> None:
        regexes = rules.get("regex", ())
        self._prefixes = tuple(rules.get("starts_with", ()))
        self._matches = [re.compile(regex) for regex in regexes if not _CONDITION.match(regex)]
        self._conditions = [re.compile(regex) for regex in regexes if _CONDITION.match(regex)]

    def fit(self, name: str) -> int:
        """0: no fit; else the length of what fits."""
        if not all(condition.search(name) for condition in self._conditions):
            return 0
        prefix = max((len(one) for one in self._prefixes if name.startswith(one)), default=0)
        return max(prefix, len(name) if any(one.search(name) for one in self._matches) else 0)
