"""Values that providers report, made safe at the decoders' edge, before anything stores or charges them.

A report is not trusted: counts may be missing, negative, absurd or of another type, and texts may hold what
no database takes. No report makes an answer fail: what cannot be read counts as not reported, and is flagged.
"""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from billing.usage import UsageIssue

MAX_COUNT = 100_000_000  # tokens: many times the largest window
MAX_IDENTIFIER = 160  # characters; the columns for names and ids of providers

_UNSTORABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]+")


def identifier(text: str | None) -> str:
    """A provider's name or id without control characters and lone surrogates, and of bounded length."""
    return _UNSTORABLE.sub("", text or "")[:MAX_IDENTIFIER]


class Counts:
    """The counts in one usage report. A path has dots: `prompt_tokens_details.cached_tokens`."""

    def __init__(self, report: msgspec.Raw | bytes) -> None:
        self.issue: UsageIssue | None = None
        self._fields: dict[str, Any] = {}
        try:
            value = msgspec.json.decode(report) if bytes(report) else None
        except (ValueError, RecursionError):
            value, self.issue = None, UsageIssue.UNREADABLE
        if isinstance(value, dict):
            self._fields = value
        elif value is not None:
            self.issue = UsageIssue.UNREADABLE

    def __bool__(self) -> bool:
        """Return whether there is a report, readable or not."""
        return bool(self._fields) or self.issue is not None

    def read(self, *paths: str) -> int | None:
        """The largest count at these paths; None: no path has one."""
        counts = [count for path in paths if (count := self._at(path)) is not None]
        return max(counts, default=None)

    def items(self, path: str) -> Iterable["Counts"]:
        """The reports in a list."""
        values = self._fields.get(path)
        return [Counts(msgspec.json.encode(value)) for value in values] if isinstance(values, list) else []

    def text(self, name: str) -> str:
        value = self._fields.get(name)
        return value if isinstance(value, str) else ""

    def _at(self, path: str) -> int | None:
        value: Any = self._fields
        for name in path.split("."):
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_COUNT:
            return value
        if value is not None:
            self.issue = UsageIssue.UNREADABLE
        return None
