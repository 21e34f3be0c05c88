"""The receipt speaks of the caller's request, not of the one we made of it."""

import msgspec
import pytest

from routing.execute.attempt import AttemptRecord
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, ResponseFormat, Started
from routing.language.fidelity import ParameterReceipt, Receipt, Verdict, with_change
from routing.steps.settlement import receipt
from tests.providers.facts import CHAT, asking

LIMIT = ParameterReceipt("max_tokens", Verdict.HONOURED)


def told(request: ChatRequest, sent: ChatRequest, made: Receipt, is_other: bool = False) -> Receipt:
    attempt = AttemptRecord(1, Arm(CHAT.id), CHAT)
    attempt.most_output_tokens = sent.max_output_tokens
    attempt.note(Started("gpt-other", "id", made))
    return receipt(request, attempt, is_other)


def test_a_bound_the_caller_did_not_set_is_not_told() -> None:
    assert told(asking(), asking(max_output_tokens=50), (LIMIT,)) == ()


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(50, ParameterReceipt("max_tokens", Verdict.ADAPTED, "50: what is left to spend")), (90, LIMIT)],
)
def test_a_limit_that_money_lowered_says_so(sent: int, kept: ParameterReceipt) -> None:
    asked = asking(max_output_tokens=90)
    assert told(asked, asking(max_output_tokens=sent), (LIMIT,)) == (kept,)


def test_a_rescue_asks_for_the_form_in_words() -> None:
    asked = asking(response_format=ResponseFormat("json_object"))
    sent = msgspec.structs.replace(asked, response_format=None)
    (kept,) = told(asked, sent, ())
    assert kept.verdict is Verdict.ADAPTED
    assert kept.change == "asked for in words, to go on with a cut answer"


def test_another_model_comes_first() -> None:
    first, second = told(asking(max_output_tokens=9), asking(max_output_tokens=9), (LIMIT,), is_other=True)
    assert (first.parameter, first.verdict) == ("model", Verdict.ADAPTED)
    assert second == LIMIT


def test_a_change_adds_to_what_was_told_but_revives_nothing() -> None:
    adapted = with_change((ParameterReceipt("n", Verdict.ADAPTED, "one"),), "n", "two")
    assert adapted == (ParameterReceipt("n", Verdict.ADAPTED, "one; two"),)
    dropped = (ParameterReceipt("n", Verdict.DROPPED, "no"),)
    assert with_change(dropped, "n", "two") == dropped
