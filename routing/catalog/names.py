"""Resolves a caller's model name: a catalog id, an alias, a retired id with its successor, or unknown."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from threading import Lock
from typing import Any

import msgspec
from cachetools import LRUCache

_PREFIX = re.compile(r"^([\w.-]+)/(?=.)")  # "openai/gpt-x", "models/gemini-x"
_RESOURCE_PREFIX = "models"  # Google's prefix of resource names; any other prefix must name the provider
_SNAPSHOT = re.compile(r"(?:@.*|-(?:\d{8}|\d{4}-\d{2}-\d{2}))$")  # "@20261007", "-20261007", "-2026-10-07"
_CONDITION = re.compile(r"^\^\(\?!")  # a rule that is only a negative look-ahead: narrows the other rules
_MAX_CACHED = 10_000  # names; callers choose them, so the cache needs a bound


class Resolved(msgspec.Struct, frozen=True):
    """The meaning of a name. `id` empty: unknown, and `near` lists similar ids."""

    id: str
    replaced_from: str | None = None  # the retired id that was requested
    note: str | None = None
    near: tuple[str, ...] = ()


class Named(msgspec.Struct, frozen=True):
    """A catalog id and the rules for its other names: optional `equals`, `starts_with` and `regex` lists."""

    id: str
    provider: str
    rules: Mapping[str, Any]


class Retired(msgspec.Struct, frozen=True):
    id: str
    provider: str
    retired: date
    successor: str | None


class NameBook:
    """All the names the catalog knows. Immutable: a refresh builds a new one."""

    def __init__(self, named: Iterable[Named], retired: Iterable[Retired], today: date) -> None:
        named = tuple(named)
        announced = {entry.id: entry for entry in retired}
        self._retired = {model: entry for model, entry in announced.items() if entry.retired <= today}
        self._announced = announced
        self._providers = {entry.id: entry.provider for entry in self._retired.values()}
        self._providers |= {entry.id: entry.provider for entry in named}
        self._exact = {alias: entry.id for entry in named for alias in entry.rules.get("equals", ())}
        self._exact |= {name: name for name in (*(entry.id for entry in named), *self._retired)}
        self._patterns = [(entry.id, _Pattern(entry.rules)) for entry in named]
        self._ids = {entry.id for entry in named} - self._retired.keys()
        self._by_provider: dict[str, frozenset[str]] = {}
        for entry in named:
            if entry.id in self._ids:
                others = self._by_provider.get(entry.provider, frozenset())
                self._by_provider[entry.provider] = others | {entry.id}
        self._cache: LRUCache[str, Resolved] = LRUCache(_MAX_CACHED)
        self._lock = Lock()

    def resolve(self, name: str) -> Resolved:
        """Resolve a name: exact id, alias, then rules, also without provider prefix and snapshot date."""
        with self._lock:
            known = self._cache.get(name)
        if known is None:
            known = self._resolve(name.strip())
            if known.id:  # unknown names are not cached: a caller could evict all others with them
                with self._lock:
                    self._cache[name] = known
        return known

    @property
    def providers(self) -> list[str]:
        return sorted(self._by_provider)

    def models_of(self, provider: str) -> frozenset[str]:
        """Return the current ids of a provider; empty for an unknown one."""
        return self._by_provider.get(provider, frozenset())

    def successor_of(self, model: str) -> str | None:
        """Return the documented successor of a model that is retired, or will be."""
        visited, successor = {model}, self._announced[model].successor if model in self._announced else None
        while successor in self._retired and successor not in visited:
            visited.add(successor)
            successor = self._retired[successor].successor
        return successor if successor in self._ids and successor != model else None

    def _resolve(self, name: str) -> Resolved:
        prefix = _PREFIX.match(name)
        bare = name[prefix.end() :] if prefix else name
        model = self._lookup(name)
        if model is None and prefix:
            model = self._lookup(bare)
            if model and prefix[1] not in (_RESOURCE_PREFIX, self._providers[model]):
                model = None  # another provider's model of the same name
        if model is None:
            return self._unknown(bare)
        return self._successor(self._retired[model]) if model in self._retired else Resolved(model)

    def _lookup(self, name: str) -> str | None:
        """The current or retired id of a name, as written or without its snapshot date."""
        for form in dict.fromkeys((name, _SNAPSHOT.sub("", name))):
            model = self._exact.get(form) or self._matched(form)
            if model:
                return model
        return None

    def _matched(self, name: str) -> str | None:
        """The model whose rule matches most of the name: a longer prefix is more specific."""
        fits = [(pattern.fit(name), model) for model, pattern in self._patterns]
        best = max(fits, default=(0, ""))
        return best[1] if best[0] else None

    def _successor(self, retired: Retired) -> Resolved:
        """A current model; successors may be retired themselves."""
        successor = self.successor_of(retired.id)
        if successor is None:
            return self._unknown(retired.id)
        note = f"{retired.id} was retired on {retired.retired:%Y-%m-%d}; its successor {successor} answers"
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
        """Return the length of the matching part; 0 for no match."""
        if not all(condition.search(name) for condition in self._conditions):
            return 0
        prefix = max((len(entry) for entry in self._prefixes if name.startswith(entry)), default=0)
        return max(prefix, len(name) if any(entry.search(name) for entry in self._matches) else 0)
