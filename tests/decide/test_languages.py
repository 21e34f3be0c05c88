"""The same question goes to the same tier mostly, whatever its language; what nobody reads never to less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.catalog.snapshot import Snapshot
from routing.decide.prediction import translation
from routing.language.chat import Strategy
from tests.decide.languages import AFTERWARDS, LANGUAGES, PARAPHRASES, QUESTIONS, UNKNOWN_SCRIPTS
from tests.decide.parity import WORDINGS, Pair, pairs, share, traced

OTHERS = range(1, len(LANGUAGES))


@pytest.mark.parametrize("column", OTHERS, ids=LANGUAGES[1:])
class TestTheSameQuestion:
    def test_goes_to_the_same_tier(self, catalog: Snapshot, column: int) -> None:
        matches = pairs(QUESTIONS, column, catalog)
        assert share(matches, "same") >= 0.85
        assert share(matches, "down") <= 0.07  # one of sixteen

    def test_goes_to_the_same_tier_by_words_nobody_put_in_the_dictionary(
        self, catalog: Snapshot, column: int
    ) -> None:
        matches = pairs(AFTERWARDS, column, catalog)
        assert share(matches, "same") >= 0.5
        assert share(matches, "down") <= 0.17  # one of six

    @pytest.mark.parametrize("strategy", [Strategy.BALANCED, Strategy.COST, Strategy.QUALITY, Strategy.SPEED])
    def test_under_every_strategy(self, catalog: Snapshot, column: int, strategy: Strategy) -> None:
        assert share(pairs(QUESTIONS, column, catalog, strategy), "same") >= 0.75


@pytest.mark.parametrize("column", range(1, len(WORDINGS)), ids=WORDINGS[1:])
def test_other_words_are_never_given_to_less(catalog: Snapshot, column: int) -> None:
    matches = pairs(PARAPHRASES, column, catalog)
    assert share(matches, "down") == 0
    assert share(matches, "same") >= 0.6


@pytest.mark.parametrize("row", UNKNOWN_SCRIPTS, ids=range(len(UNKNOWN_SCRIPTS)))
def test_what_nobody_reads_is_never_given_to_less(catalog: Snapshot, row: tuple[str, str]) -> None:
    assert Pair(*(traced(text, catalog) for text in row)).tier != "down"


@pytest.mark.parametrize(
    "text",
    [
        "დაამტკიცეთ, რომ უსასრულოდ ბევრი მარტივი რიცხვი არსებობს",
        "ማለቂያ የሌላቸው ዋና ቁጥሮች እንዳሉ አረጋግጥ",
        "எண்ணற்ற பகா எண்கள் உள்ளன என நிறுவுக",
    ],
)
def test_nor_is_a_hard_question_that_nobody_reads(catalog: Snapshot, text: str) -> None:
    """Prove that there are infinitely many primes: in Georgian, Amharic and Tamil."""
    english = traced("Prove that there are infinitely many prime numbers.", catalog)
    matches = traced(text, catalog)
    assert matches.features.known < translation.READABLE_FROM
    assert Pair(english, matches).tier != "down"
    assert "cannot read" in " ".join(matches.notes)


class TestReading:
    @pytest.mark.parametrize(
        "text", ["Why does ice float on water?", "def f(x): return x + 1", "x^2 = 4", "🙂"]
    )
    def test_english_code_and_signs_stay_as_they_are(self, text: str) -> None:
        assert translation.translate(text, 0.3) == translation.Translation(text, "", 1.0)

    @pytest.mark.parametrize("row", QUESTIONS, ids=range(len(QUESTIONS)))
    def test_each_language_is_told_from_the_others(self, row: tuple[str, ...]) -> None:
        names = ["de", "fr", "es", "zh", "ja", "ar", "hi"]
        assert [translation.translate(text, 0.0).language for text in row[1:]] == names

    def test_what_is_meant_for_machines_survives(self) -> None:
        matches = translation.translate("求x^2 - 7y^2 = 2的整数解，用Python写", 0.0)
        assert "x^2 - 7y^2 = 2" in matches.text
        assert "Python" in matches.text
        assert "integer" in matches.text

    @given(st.text(max_size=400), st.floats(0, 1))
    def test_it_reads_whatever_it_is_given(self, text: str, english: float) -> None:
        matches = translation.translate(text, english)
        assert 0 <= matches.known <= 1
        assert len(matches.text) <= 30 * len(text) + 1
