"""Token usage in one normal form: disjoint classes, whatever the provider calls them.

Pure values. The adapters in `routing/providers` convert a provider's report: OpenAI's cached tokens are
inside its prompt tokens, Anthropic's are beside its input tokens, and Gemini's thoughts are outside its
candidates' tokens.
"""

from collections.abc import Iterable
from enum import StrEnum

import msgspec


class UsageIssue(StrEnum):
    """A fault of a provider's usage report, flagged on the row."""

    UNREADABLE = "unreadable"  # a count is no number of tokens
    INCONSISTENT = "inconsistent"  # its counts do not add up
    IMPLAUSIBLE = "implausible"  # beyond what was sent or allowed: our own count is charged
    UNWRITABLE = "unwritable"  # the settlement with the provider's values could not be written


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one completion. The input classes do not overlap; reasoning is part of output."""

    uncached_input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0  # written for 5 minutes (Anthropic), or without a stated time (OpenAI)
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0  # includes reasoning_tokens
    reasoning_tokens: int = 0
    estimated: bool = False  # counted locally, all or a part, because no usable count was reported
    issue: UsageIssue | None = None
    audio_input_tokens: int = 0  # part of uncached_input_tokens

    @property
    def input_tokens(self) -> int:
        """All input tokens, cached or not: what callers and OpenAI call prompt tokens."""
        return (
            self.uncached_input_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
        )

    @property
    def total_tokens(self) -> int:
        return self.input_tokens + self.output_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            uncached_input_tokens=self.uncached_input_tokens + other.uncached_input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            estimated=self.estimated or other.estimated,
            issue=self.issue or other.issue,
            audio_input_tokens=self.audio_input_tokens + other.audio_input_tokens,
        )


def total_usage(usages: Iterable[Usage]) -> Usage:
    """The sum; nearly always of one."""
    total: Usage | None = None
    for usage in usages:
        total = usage if total is None else total + usage
    return total or Usage()
