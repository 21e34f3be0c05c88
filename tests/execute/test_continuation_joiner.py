"""Joining a continuation to the delivered text: no text comes twice, no word is torn or stuck together."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.execute.continuation_joiner import LEAST_OVERLAP, ContinuationJoiner
from routing.language import o200k
from routing.providers.shared.failures import UpstreamFailure

o200k.tokenizer()  # read now: the first example has a deadline too

WORDS = re.findall(
    r"\w+",
    "bread was baked long before people wrote down how they made it while grain became flour between two "
    "heavy stones water salt and wild yeast turned that into something which could rise slowly over night",
)
TEXTS = st.lists(st.sampled_from(WORDS), min_size=6, max_size=40, unique=True).map(" ".join)
SIZES = st.lists(st.integers(1, 9), max_size=30)
CUTS = st.floats(0.1, 0.95)


def joined(delivered: str, continuation: str, sizes: list[int]) -> str:
    """The text a reader gets when the continuation comes in pieces of these sizes."""
    joiner, read, at = ContinuationJoiner(delivered), delivered, 0
    for size in sizes:
        read += joiner.feed(continuation[at : at + size])
        at += size
    return read + joiner.feed(continuation[at:]) + joiner.end()


@given(whole=TEXTS, where=CUTS, sizes=SIZES)
def test_a_clean_continuation_makes_the_whole_wherever_it_was_cut(
    whole: str, where: float, sizes: list[int]
) -> None:
    cut = int(len(whole) * where)
    assert joined(whole[:cut], whole[cut:], sizes) == whole


@given(whole=TEXTS, where=CUTS, words=st.integers(1, 12), sizes=SIZES)
def test_repeated_words_are_read_once(whole: str, where: float, words: int, sizes: list[int]) -> None:
    delivered = whole[: int(len(whole) * where)]
    again = " ".join(delivered.split(" ")[-words:])
    if len(again.split()) > 1 or len(again) > 3:
        assert joined(delivered, again + whole[len(delivered) :], sizes) == whole


@given(whole=TEXTS, where=CUTS, back=st.integers(LEAST_OVERLAP, 60), sizes=SIZES)
def test_an_overlap_may_begin_within_a_word(whole: str, where: float, back: int, sizes: list[int]) -> None:
    cut = max(LEAST_OVERLAP, int(len(whole) * where))
    assert joined(whole[:cut], whole[max(0, cut - back) :], sizes) == whole


@given(whole=TEXTS, where=CUTS, sizes=SIZES)
def test_an_answer_begun_anew_is_not_read_twice(whole: str, where: float, sizes: list[int]) -> None:
    cut = max(4, int(len(whole) * where))
    assert joined(whole[:cut], whole, sizes) == whole


def test_an_answer_begun_anew_that_ends_early_adds_nothing() -> None:
    delivered = "First, sift the flour twice. Then warm the milk until it steams."
    assert joined(delivered, delivered[:40], [5] * 8) == delivered


def test_another_answer_from_the_beginning_is_a_failure_of_the_arm() -> None:
    delivered = "First, sift the flour twice. Then warm the milk until it steams."
    with pytest.raises(UpstreamFailure):
        joined(delivered, "First, sift the flour twice. After that, take three eggs and beat them.", [])


SEAMS = [
    ("The capital of Fra", "nce is Paris.", "The capital of France is Paris."),
    ("The capital of Fra", "France is Paris.", "The capital of France is Paris."),
    ("The capital of", "France is Paris.", "The capital of France is Paris."),
    ("The capital of", "of France is Paris.", "The capital of France is Paris."),
    ("The capital of ", " France is Paris.", "The capital of France is Paris."),
    ("The capital of France ", "France is Paris.", "The capital of France is Paris."),
    ("The capital of France is", "capital of France is Paris.", "The capital of France is Paris."),
    ("It is 1", "2 o'clock.", "It is 12 o'clock."),
    ("It was in", "2024.", "It was in 2024."),
    ("We shaped the lo", "aves.", "We shaped the loaves."),
    ("Wir sehen das", "Haus an.", "Wir sehen das Haus an."),
    ("Bread is old,", "and wheat is older.", "Bread is old, and wheat is older."),
    ("Bread is old.", "Wheat is older.", "Bread is old. Wheat is older."),
    ("Call foo.", "bar() now.", "Call foo.bar() now."),
    ("One.\n\n", "\n\nTwo.", "One.\n\nTwo."),
    ("One.\n\n", "One.\n\nTwo.", "One.\n\nTwo."),
    ("def f():\n", "    return 1", "def f():\n    return 1"),
    ('{"a": "b', ' c"}', '{"a": "b c"}'),
    ('{"a":', "1}", '{"a":1}'),
    ("[0, 0, 0, 0, 0, ", "0, 0, 0]", "[0, 0, 0, 0, 0, 0, 0, 0]"),
    ("Two:\n| --- | --- ", "| --- |", "Two:\n| --- | --- | --- |"),
    ("法国的首", "都是巴黎。", "法国的首都是巴黎。"),
    ("I", "I think so.", "I think so."),
    ("Hi", "Hi there.", "Hi there."),
]


@pytest.mark.parametrize(("delivered", "rest", "whole"), SEAMS)
def test_words_are_neither_doubled_nor_torn_nor_stuck_together(delivered: str, rest: str, whole: str) -> None:
    assert joined(delivered, rest, []) == whole
    assert joined(delivered, rest, [1] * len(rest)) == whole


def test_nothing_is_held_back_once_it_is_clear() -> None:
    joiner = ContinuationJoiner("The capital of France is")
    assert joiner.feed(" Paris") == ""
    assert joiner.feed(", and") == " Paris, and"
    assert joiner.feed(" has been") == " has been"


LONG = " ".join(f"{WORDS[number % len(WORDS)]}{number}" for number in range(160_000))


@pytest.mark.parametrize("continuation", [LONG, LONG + " and the end."], ids=["again", "again and further"])
def test_a_long_restart_takes_time_in_proportion_to_its_length(continuation: str) -> None:
    """In pieces of four characters. Reading the text so far for each piece took half a minute."""
    began = time.process_time()
    assert joined(LONG, continuation, [4] * (len(continuation) // 4)) == continuation
    assert time.process_time() - began < 8
