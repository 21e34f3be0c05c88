"""Shortcuts change nothing: remembered tokens are the tokeniser's, and words those of the expression."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.decide.prediction import artefact
from routing.decide.prediction.analysis import analyse, digits_in, words_of

WORDS = st.sampled_from(
    ("Sort", "the", "list:", "a\nb", "日本", "naïve", "x=1;", "\u2581", "<s>", "", "42", "\t")
)
TEXTS = st.one_of(st.lists(WORDS, max_size=12).map(" ".join), st.text(max_size=60))


@given(text=TEXTS)
@settings(deadline=None)
def test_remembered_words_have_the_tokens_of_the_whole_text(text: str) -> None:
    embedding = artefact.embedding()
    expected = embedding._tokenizer.encode(text, add_special_tokens=False).ids
    assert embedding.ids(text).tolist() == expected
    assert embedding.ids(text).tolist() == expected, "the second time from memory"


@pytest.mark.parametrize("text", ["", " ", "a  b", " a", "a ", "<s> a", "a\u2581b c"])
def test_texts_that_cannot_be_cut_at_spaces_are_tokenised_whole(text: str) -> None:
    embedding = artefact.embedding()
    assert embedding.ids(text).tolist() == embedding._tokenizer.encode(text, add_special_tokens=False).ids


def test_no_token_reaches_over_a_space() -> None:
    tokens = artefact.embedding()._tokenizer.get_vocab()
    assert not [token for token in tokens if "\u2581" in token.lstrip("\u2581")]


@given(text=st.text(max_size=80))
@settings(deadline=None)
def test_words_and_digits_are_those_of_the_expressions(text: str) -> None:
    lower = text.lower()
    assert words_of(lower) == re.findall(r"\w+", lower)
    assert digits_in(text) == len(re.findall(r"\d", text))


def test_a_text_in_another_language_is_analysed_in_english_too() -> None:
    analysis = analyse("Schreibe eine kurze Geschichte über einen Leuchtturm")
    assert analysis.translation.language == "de"
    assert "story" in analysis.english_words
    assert "geschichte" in analysis.words
