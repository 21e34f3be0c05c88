"""The adapters of all provider APIs. To add a provider: write its folder, and list its adapter here."""

from routing.language.arms import ApiFacts
from routing.providers.anthropic.adapter import ANTHROPIC
from routing.providers.gemini.adapter import GEMINI
from routing.providers.openai.adapter import OPENAI, OPENAI_COMPATIBLE
from routing.providers.shared.adapter import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.dialect: adapter for adapter in (OPENAI, OPENAI_COMPATIBLE, ANTHROPIC, GEMINI)
}


def adapter_of(dialect: str) -> Adapter:
    """Raises ValueError when no adapter has this name."""
    adapter = ADAPTERS.get(dialect)
    if adapter is None:
        raise ValueError(f"unknown dialect {dialect!r}: use one of {', '.join(sorted(ADAPTERS))}")
    return adapter


def api_facts(dialect: str) -> ApiFacts:
    return adapter_of(dialect).facts
