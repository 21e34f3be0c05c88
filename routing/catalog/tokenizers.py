"""Which tokenizer a model counts with."""

from datetime import date
from enum import StrEnum

from routing.language.arms import ModelFacts


class Tokenizer(StrEnum):
    O200K = "o200k"
    CLAUDE_3 = "claude-3"  # Claude 3 to 4.6
    CLAUDE_4_7 = "claude-4.7"  # and later
    GEMINI = "gemini-2"


_OF_DIALECT = {"anthropic": Tokenizer.CLAUDE_4_7, "gemini": Tokenizer.GEMINI}
_CLAUDE_4_7_SINCE = date(2026, 4, 14)  # Claude Opus 4.7; spec/providers.md §6, trap 12


def tokenizer_of(facts: ModelFacts) -> Tokenizer:
    """By the model's `tokenizer` quirk, else by its dialect; OpenAI's for upstreams nobody knows."""
    named = facts.quirks.get("tokenizer")
    if named is not None:
        return Tokenizer(named)
    family = _OF_DIALECT.get(facts.dialect, Tokenizer.O200K)
    if family is Tokenizer.CLAUDE_4_7 and facts.released is not None and facts.released < _CLAUDE_4_7_SINCE:
        return Tokenizer.CLAUDE_3
    return family
