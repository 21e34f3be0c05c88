"""Buffered streams come by the sentence, about a tenth of a second apart."""

from hypothesis import given
from hypothesis import strategies as st

from routing.doors.native.sentence_pacer import PACE_S, SentencePacer


def test_a_whole_sentence_goes_out_and_the_begun_one_waits() -> None:
    pacer = SentencePacer()
    pacer.add("Paris is the capital. It lies", 0.0)
    assert pacer.take(0.0) == "Paris is the capital."
    pacer.add(" on the Seine. And", 0.01)
    assert pacer.take(0.05) == ""
    assert pacer.take(PACE_S) == " It lies on the Seine."
    assert pacer.rest() == [" And"]


def test_a_number_and_an_abbreviation_end_no_sentence() -> None:
    pacer = SentencePacer()
    pacer.add("Pi is 3.14159 or so", 0.0)
    assert pacer.take(0.0) == ""


def test_a_sentence_that_takes_long_is_cut_between_words() -> None:
    pacer = SentencePacer()
    pacer.add("A very slow sente", 0.0)
    assert pacer.take(0.05) == ""
    assert pacer.take(3 * PACE_S) == "A very slow "
    assert pacer.rest() == ["sente"]


def test_it_says_when_to_look_again() -> None:
    pacer = SentencePacer()
    assert pacer.due_s(0.0) is None
    pacer.add("Hello", 0.0)
    assert pacer.due_s(0.0) == PACE_S


def test_the_rest_comes_sentence_by_sentence() -> None:
    pacer = SentencePacer()
    pacer.add("One. Two!\nThree", 0.0)
    assert "".join(rest := pacer.rest()) == "One. Two!\nThree"
    assert rest[0] == "One."


@given(st.lists(st.tuples(st.text(alphabet="ab .!\n。", max_size=60), st.floats(0, 1)), max_size=30))
def test_nothing_is_lost_added_or_reordered(pieces: list[tuple[str, float]]) -> None:
    pacer, now, sent = SentencePacer(), 0.0, ""
    for text, pause in pieces:
        now += pause
        pacer.add(text, now)
        sent += pacer.take(now)
    assert sent + "".join(pacer.rest()) == "".join(text for text, _ in pieces)
