"""Questions in readers' own words find their passage, and questions about other things are declined."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from routing.pages.assistant.retrieval import retrieve
from routing.pages.docs.search import index

QUESTIONS = tomllib.loads((Path(__file__).parent / "data/questions.toml").read_text())
SHOWN, LEAST = 3, 27  # passages; questions of the 30


def is_answered(entry: dict[str, Any]) -> bool:
    retrieved = retrieve(entry["question"])
    urls = {passage.url.removeprefix("/docs/") for passage in retrieved.passages[:SHOWN]}
    return retrieved.covered and not urls.isdisjoint(entry["passages"])


def test_questions_find_page_and_anchor_in_the_first_three_passages() -> None:
    missed = [entry["question"] for entry in QUESTIONS["covered"] if not is_answered(entry)]
    assert len(QUESTIONS["covered"]) == 30
    assert len(missed) <= len(QUESTIONS["covered"]) - LEAST, missed


@pytest.mark.parametrize("question", QUESTIONS["uncovered"]["questions"])
def test_questions_about_other_things_are_declined(question: str) -> None:
    assert not retrieve(question).covered


def test_the_questions_name_passages_that_exist() -> None:
    known = {passage.url.removeprefix("/docs/") for passage in index().passages}
    named = {passage for entry in QUESTIONS["covered"] for passage in entry["passages"]}
    assert named <= known
