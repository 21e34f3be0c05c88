"""What a caller's model name means: a catalog id, an alias, a retired id with its successor, or nothing."""

import difflib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import msgspec

_VENDOR = re.compile(r"^[\w.-]+/(?=.)")  # "openai/gpt-x", "models/gemini-x"
_SNAPSHOT = re.compile(r"(?:@.*|-(?:\d{8}|\d{4}-\d{2}-\d{2}))$")  # "@20261007", "-20261007", "-2026-10-07"
_CONDITION = re.compile(r"^\^\(\?!")  # a rule that only forbids narrows the others instead of adding to them


class Resolved(msgspec.Struct, frozen=True):
    """`id` empty: unknown, and `near` has what may have been meant."""

    id: str
    replaced_from: str | None = None  # the retired id that was asked for
    note: str | None = None
    near: tuple[str, ...] = ()


class Retired(msgspec.Struct, frozen=True):
    id: str
    retired: date
    successor: str | None


class NameBook:
    """All the names the catalog knows. Immutable; a refresh makes a new one."""

    def __init__(
        self, rules: Mapping[str, Mapping[str, Any]], retired: Iterable[Retired], today: date
    ) -> None:
        """`rules`: by catalog id its `equals`, `starts_with` and `regex` lists, any of them absent."""
        self._retired = {one.id: one for one in retired if one.retired <= today}
        self._ids = {name for name in rules if name not in self._retired}
        self._exact = {alias: name for name in self._ids for alias in rules[name].get("equals", ())}
        self._exact |= {name: name for name in self._ids}
        self._patterns = [(name, _Pattern(rules[name])) for name in self._ids]
        self._cache: dict[str, Resolved] = {}

    def resolve(self, name: str) -> Resolved:
        """Exact id, then alias, then the rules, each also without vendor prefix and snapshot date."""
        known = self._cache.get(name)
        if known is None:
            known = self._resolve(name.strip())
            if known.id and len(self._cache) < 10_000:
                self._cache[name] = known
        return known

    def _resolve(self, name: str) -> Resolved:
        bare = _VENDOR.sub("", name)
        for form in dict.fromkeys((name, bare, _SNAPSHOT.sub("", bare))):
            if form in self._retired:
                return self._successor(self._retired[form])
            found = self._exact.get(form) or self._matched(form)
            if found:
                return Resolved(found)
        pool = [*self._ids, *self._retired]
        return Resolved("", near=tuple(difflib.get_close_matches(bare, pool, n=3, cutoff=0.5)))

    def _matched(self, name: str) -> str | None:
        """The most specific rule that fits: a longer prefix is about fewer models."""
        fits = [(pattern.fit(name), model) for model, pattern in self._patterns]
        best = max(fits, default=(0, ""))
        return best[1] if best[0] else None

    def _successor(self, retired: Retired) -> Resolved:
        seen, successor = {retired.id}, retired.successor
        while successor in self._retired and successor not in seen:
            seen.add(successor)
            successor = self._retired[successor].successor
        if successor is None or successor not in self._ids:
            return Resolved("", near=())
        note = f"{retired.id} is retired since {retired.retired:%Y-%m-%d}; its successor {successor} answers"
        return Resolved(successor, replaced_from=retired.id, note=note)


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
