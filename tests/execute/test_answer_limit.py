"""The visible limit cuts text at the caller's tokens, however the text arrives."""

import pytest

from routing.decide.prediction.tokens import exact_count, piece_counters
from routing.execute.answer_limit import AnswerLimit, Counter
from routing.language.chat import Finished, FinishReason, ReasoningDelta, TextDelta, ToolCallDelta
from tests.providers.facts import CHAT, CLAUDE, GEMINI, OLD_CLAUDE

ENGLISH = (
    "It helps to separate what is given about bread from what has to be found out about its crust.\n\n" * 40
)
CODE = "def f(x):\n    return [i * 2 for i in range(x) if i % 3 == 0]\n\n\n" * 40
JAPANESE = "日本の四季は、春、夏、秋、冬に分かれていて、それぞれに美しさがあります。" * 40
STOP = Finished(FinishReason.STOP)
LENGTH = Finished(FinishReason.LENGTH)


def limit_of(tokens: int, model: object = CHAT, choices: int = 1) -> AnswerLimit:
    return AnswerLimit(tokens, Counter(*piece_counters(model)), choices)  # type: ignore[arg-type]


def passed(limit: AnswerLimit, *events: object) -> list[object]:
    return [outgoing for event in events for outgoing in limit.of(event)]  # type: ignore[arg-type]


def text_of(events: list[object]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


@pytest.mark.parametrize("model", [CHAT, CLAUDE, OLD_CLAUDE, GEMINI], ids=lambda model: model.id)
@pytest.mark.parametrize("text", [ENGLISH, CODE, JAPANESE], ids=["english", "code", "japanese"])
@pytest.mark.parametrize("size", [3, 90, 10_000])
def test_the_text_is_cut_at_the_limit_in_the_models_tokens(model: object, text: str, size: int) -> None:
    limit = limit_of(300, model)
    pieces = [TextDelta(text[start : start + size]) for start in range(0, len(text), size)]
    cut = text_of(passed(limit, *pieces))
    assert text.startswith(cut)
    assert 0.93 * 300 <= exact_count(cut, model) <= 300  # type: ignore[arg-type]
    assert limit.is_reached


def test_a_text_within_the_limit_passes_unchanged() -> None:
    limit = limit_of(2000)
    assert text_of(passed(limit, TextDelta(ENGLISH), STOP)) == ENGLISH
    assert not limit.has_cut
    assert not limit.is_reached


def test_after_the_cut_only_the_end_passes_as_length() -> None:
    limit = limit_of(5)
    call = ToolCallDelta(0, "id", "look")
    events = passed(limit, ReasoningDelta("Hm."), TextDelta(ENGLISH), TextDelta("more"), call, STOP)
    assert [type(event) for event in events] == [ReasoningDelta, TextDelta, Finished]
    assert events[-1] == LENGTH
    assert list(limit.finishes()) == []


def test_each_choice_has_the_limit_of_its_own() -> None:
    limit = limit_of(5, choices=2)
    passed(limit, TextDelta(ENGLISH, 0))
    assert not limit.is_reached
    events = passed(limit, TextDelta("Bread.", 1), Finished(FinishReason.STOP, 1))
    assert events == [TextDelta("Bread.", 1), Finished(FinishReason.STOP, 1)]
    assert limit.is_reached
    assert list(limit.finishes()) == [LENGTH]
