"""Which tokenizer a model counts with."""

from datetime import date

from routing.language.arms import ModelFacts, Tokenizer

__all__ = ["Tokenizer", "tokenizer_of"]

_CLAUDE_4_7_SINCE = date(2026, 4, 14)  # the release of Claude Opus 4.7, the first with the new tokenizer


def tokenizer_of(facts: ModelFacts) -> Tokenizer:
    """The model's `tokenizer` quirk, else its API's tokenizer; Claude models before 4.7 have an older one."""
    named = facts.quirks.get("tokenizer")
    if named is not None:
        return Tokenizer(named)
    family = facts.tokenizer
    if family is Tokenizer.CLAUDE_4_7 and facts.released is not None and facts.released < _CLAUDE_4_7_SINCE:
        return Tokenizer.CLAUDE_3
    return family
