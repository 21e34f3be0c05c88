"""Prompt enhancement: what changes, what passes, and that it is deterministic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.doors.shared.prompt_enhancement import enhance


@pytest.mark.parametrize(
    ("prompt", "query_type", "language"),
    [
        ("sort a list in python", "code", "python"),
        ("compare react and vue", "comparison", "javascript"),
        ("tell me about kubernetes", "explanation", None),
        ("fix my code", "debugging", None),
        ("refactor this rust module", "refactoring", "rust"),
        ("write a haiku about rain", "creative", None),
        ("draft an e-mail to my landlord", "writing", None),
        ("translate this into french", "translation", None),
        ("summarise the meeting", "summarization", None),
        ("plan a trip to Norway", "planning", None),
        ("prove that sqrt(2) is irrational", "math", None),
        ("what should I cook tonight", "general", None),
    ],
)
def test_a_vague_prompt_gets_what_its_kind_lacks(prompt: str, query_type: str, language: str | None) -> None:
    done = enhance(prompt)
    assert done.changed
    assert done.enhanced_prompt.startswith(prompt)
    assert (done.query_type, done.detected_language) == (query_type, language)


def test_a_language_that_is_named_is_kept() -> None:
    assert "Use Python." in enhance("sort a list in python").enhanced_prompt


def test_a_long_specific_prompt_passes_unchanged() -> None:
    prompt = (
        "Write a Python function `merge(intervals)` that must return at most 10 merged intervals, sorted by "
        "start, in JSON format; it should raise ValueError on overlapping names, for example when two "
        "intervals share one."
    )
    assert len(prompt.split()) >= 30
    assert not enhance(prompt).changed


@pytest.mark.parametrize("prompt", ["", "   ", "hello", "thanks"])
def test_nothing_is_added_to_nothing_or_to_a_greeting(prompt: str) -> None:
    assert enhance(prompt).enhanced_prompt == prompt


@given(st.text(max_size=400))
def test_it_is_deterministic_and_keeps_every_word(prompt: str) -> None:
    done = enhance(prompt)
    assert done == enhance(prompt)
    assert done.original_prompt == prompt
    assert done.enhanced_prompt.startswith(prompt.rstrip())
    assert done.changed == (done.enhanced_prompt != prompt)
