"""The same question mostly goes to the same tier in every language, and never to a weaker model unread."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.catalog.snapshot import Snapshot
from routing.decide.prediction import translation
from routing.language.chat import Strategy
from tests.decide.languages import (
    AFTERWARDS,
    IN_ENGLISH,
    LANGUAGES,
    LATIN,
    PARAPHRASES,
    QUESTIONS,
    UNKNOWN_SCRIPTS,
)
from tests.decide.parity import WORDINGS, Pair, pairs, share, traced

OTHERS = range(1, len(LANGUAGES))


@pytest.mark.parametrize("column", OTHERS, ids=LANGUAGES[1:])
class TestTheSameQuestion:
    def test_goes_to_the_same_tier(self, catalog: Snapshot, column: int) -> None:
        result = pairs(QUESTIONS, column, catalog)
        assert share(result, "same") >= 0.85
        assert share(result, "down") <= 0.07  # one of sixteen

    def test_goes_to_the_same_tier_with_words_outside_the_dictionary(
        self, catalog: Snapshot, column: int
    ) -> None:
        result = pairs(AFTERWARDS, column, catalog)
        assert share(result, "same") >= 0.5
        assert share(result, "down") <= 0.17  # one of six

    @pytest.mark.parametrize("strategy", [Strategy.BALANCED, Strategy.COST, Strategy.QUALITY, Strategy.SPEED])
    def test_under_every_strategy(self, catalog: Snapshot, column: int, strategy: Strategy) -> None:
        assert share(pairs(QUESTIONS, column, catalog, strategy), "same") >= 0.75


@pytest.mark.parametrize("column", range(1, len(WORDINGS)), ids=WORDINGS[1:])
def test_other_wordings_never_go_to_a_weaker_model(catalog: Snapshot, column: int) -> None:
    result = pairs(PARAPHRASES, column, catalog)
    assert share(result, "down") == 0
    assert share(result, "same") >= 0.6


@pytest.mark.parametrize("language", LATIN)
def test_further_languages_in_latin_script_mostly_go_to_the_same_tier(
    catalog: Snapshot, language: str
) -> None:
    result = pairs(zip(IN_ENGLISH, LATIN[language], strict=True), 1, catalog)
    assert [pair.other.features.language for pair in result] == [language] * len(result)
    assert share(result, "same") >= 0.75
    assert share(result, "down") == 0


@pytest.mark.parametrize("row", UNKNOWN_SCRIPTS, ids=range(len(UNKNOWN_SCRIPTS)))
def test_an_unknown_script_never_goes_to_a_weaker_model(catalog: Snapshot, row: tuple[str, str]) -> None:
    assert Pair(*(traced(text, catalog) for text in row)).tier != "down"


@pytest.mark.parametrize(
    "text",
    [
        "დაამტკიცეთ, რომ უსასრულოდ ბევრი მარტივი რიცხვი არსებობს",
        "ማለቂያ የሌላቸው ዋና ቁጥሮች እንዳሉ አረጋግጥ",
        "எண்ணற்ற பகா எண்கள் உள்ளன என நிறுவுக",
    ],
)
def test_a_hard_question_in_an_unknown_script_goes_to_no_weaker_model(catalog: Snapshot, text: str) -> None:
    """Prove that there are infinitely many primes: in Georgian, Amharic and Tamil."""
    english = traced("Prove that there are infinitely many prime numbers.", catalog)
    result = traced(text, catalog)
    assert result.features.known < translation.READABLE_FROM
    assert Pair(english, result).tier != "down"
    assert "cannot read" in " ".join(result.notes)


class TestTranslation:
    @pytest.mark.parametrize(
        "text",
        ["Why does ice float on water?", "def f(x): return x + 1", "x^2 = 4", "🙂", "y'' - 3y' + 2y = e^x"],
    )
    def test_english_code_and_signs_stay_as_they_are(self, text: str) -> None:
        assert translation.translate(text, 0.3) == translation.Translation(text, "", 1.0)

    @pytest.mark.parametrize("row", QUESTIONS, ids=range(len(QUESTIONS)))
    def test_each_language_is_recognised(self, row: tuple[str, ...]) -> None:
        names = ["de", "fr", "es", "zh", "ja", "ar", "hi", "ru", "uk", "ko", "he", "fa", "bn"]
        assert [translation.translate(text, 0.0).language for text in row[1:]] == names

    @pytest.mark.parametrize(
        ("text", "language", "english"),
        [
            ("Чем отличается вирус от бактерии?", "ru", "difference"),
            ("Скільки буде п’ять плюс два?", "uk", "five plus two"),
            ("Python으로 함수를 작성해 주세요", "ko", "Python to function write please"),
            ("책의 제목", "ko", "book title"),
            ("מהמשפט הזה", "he", "sentence this"),
            ("۱۲ درصد کتاب‌ها", "fa", "12 percent book"),
            ("ما هي عاصمة فرنسا؟", "ar", "capital"),
            ("১২ শতাংশ কত?", "bn", "12 percent many?"),
            ("\u09ac\u09bf\u09b7\u09af\u09bc", "bn", "topic"),
            ("ইংরেজিতে অনুবাদ করুন", "bn", "English translate do"),
        ],
    )
    def test_endings_prefixes_digits_and_spellings(self, text: str, language: str, english: str) -> None:
        result = translation.translate(text, 0.0)
        assert result.language == language
        assert english in result.text

    def test_formulas_and_names_survive(self) -> None:
        result = translation.translate("求x^2 - 7y^2 = 2的整数解，用Python写", 0.0)
        assert "x^2 - 7y^2 = 2" in result.text
        assert "Python" in result.text
        assert "integer" in result.text

    @given(st.text(max_size=400), st.floats(0, 1))
    def test_it_takes_any_text(self, text: str, english: float) -> None:
        result = translation.translate(text, english)
        assert 0 <= result.known <= 1
        assert len(result.text) <= 30 * len(text) + 1
