"""The catalog's vocabulary: a day, the three providers, the snapshot of that day."""

from datetime import UTC, datetime

import pytest

from routing.catalog.build import build
from routing.language.arms import ModelFacts

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
PROVIDERS = [
    {"name": "openai", "dialect": "openai"},
    {"name": "anthropic", "dialect": "anthropic"},
    {"name": "google", "dialect": "gemini"},
]


@pytest.fixture
def models(db: None) -> dict[str, ModelFacts]:
    return build(NOW, PROVIDERS).snapshot.models
