"""The receipt describes the caller's request, not the request that was sent upstream."""

import msgspec
import pytest

from routing.execute.attempt import AttemptRecord
from routing.language.arms import Arm
from routing.language.chat import ChatRequest, ResponseFormat, Started
from routing.language.fidelity import ParameterReceipt, Receipt, Verdict, with_change
from routing.steps.settlement import receipt
from tests.providers.facts import CHAT, asking

LIMIT = ParameterReceipt("max_tokens", Verdict.HONOURED)


def receipt_of(request: ChatRequest, sent: ChatRequest, adapter: Receipt, is_other: bool = False) -> Receipt:
    attempt = AttemptRecord(1, Arm(CHAT.id), CHAT)
    attempt.most_output_tokens = sent.max_output_tokens
    attempt.note(Started("gpt-other", "id", adapter))
    return receipt(request, attempt, is_other)


def test_a_limit_that_the_caller_did_not_set_is_left_out() -> None:
    assert receipt_of(asking(), asking(max_output_tokens=50), (LIMIT,)) == ()


def test_a_limit_that_the_door_set_is_left_out_but_not_that_money_lowered_it() -> None:
    request = asking(max_output_tokens=90, max_answer_tokens=90, has_default_limit=True)
    assert receipt_of(request, asking(max_output_tokens=90), (LIMIT,)) == ()
    (lowered,) = receipt_of(request, asking(max_output_tokens=50), (LIMIT,))
    assert lowered.change == "50: what is left to spend"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [(50, ParameterReceipt("max_tokens", Verdict.ADAPTED, "50: what is left to spend")), (90, LIMIT)],
)
def test_a_limit_that_money_lowered_says_so(sent: int, expected: ParameterReceipt) -> None:
    request = asking(max_output_tokens=90)
    assert receipt_of(request, asking(max_output_tokens=sent), (LIMIT,)) == (expected,)


def test_a_rescue_asks_for_the_form_in_words() -> None:
    request = asking(response_format=ResponseFormat("json_object"))
    sent = msgspec.structs.replace(request, response_format=None)
    (item,) = receipt_of(request, sent, ())
    assert item.verdict is Verdict.ADAPTED
    assert item.change == "asked for in words, to go on with a cut answer"


def test_another_model_comes_first() -> None:
    first, second = receipt_of(
        asking(max_output_tokens=9), asking(max_output_tokens=9), (LIMIT,), is_other=True
    )
    assert (first.parameter, first.verdict) == ("model", Verdict.ADAPTED)
    assert second == LIMIT


def test_a_change_adds_to_others_but_never_to_a_drop() -> None:
    adapted = with_change((ParameterReceipt("n", Verdict.ADAPTED, "one"),), "n", "two")
    assert adapted == (ParameterReceipt("n", Verdict.ADAPTED, "one; two"),)
    dropped = (ParameterReceipt("n", Verdict.DROPPED, "no"),)
    assert with_change(dropped, "n", "two") == dropped
