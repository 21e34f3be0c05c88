"""Judge: how demanding a request is, with a second look where that may change the choice, and how long."""

import asyncio

import msgspec

from routing.decide.prediction import request_model, second_look
from routing.decide.prediction.request_features import RequestText, features, request_text
from routing.decide.prediction.request_model import Judgement
from routing.decide.prediction.tokens import SAMPLE_OVER, counted_pieces, input_text
from routing.language.chat import ChatRequest, Mode, Strategy
from routing.state.runtime import Runtime
from routing.steps.admission import Admitted


class Judged(msgspec.Struct, frozen=True):
    """The text of a request as it was judged, and the estimates.

    `text_tokens`: exact o200k tokens of all its text; None: an estimate from samples will do.
    """

    text: RequestText
    judgement: Judgement
    text_tokens: int | None = None


async def judge(admitted: Admitted, runtime: Runtime) -> Judged:
    """Return the estimates for a request. A second look is waited for at most ENCODER_DEADLINE_MS.

    Judging and deciding are most of a request's processor time, so requests take turns here.

    A second look is for `auto` only: the level decides less under the other strategies, and nothing for a
    pinned model.
    """
    await runtime.decision_turns.wait()
    incoming = admitted.incoming
    text = request_text(incoming.request)
    judgement = request_model.shipped().judge_features(features(text))
    # Samples can be far off, also on purpose: a limit needs the whole count.
    counted = await count_whole(incoming.request) if admitted.admission.caps else None
    is_auto = incoming.steering.mode is Mode.SMART and incoming.strategy is Strategy.AUTO
    if not is_auto or not second_look.pays(judgement):
        return Judged(text, judgement, counted)
    second = await runtime.encoder.second_look(text)
    return Judged(text, judgement if second is None else second_look.refined(judgement, second), counted)


async def count_whole(request: ChatRequest) -> int | None:
    """The o200k tokens of all text of a request; None: it is so short that it is always counted whole.

    Takes 80 ms of processor time per MB of English, 320 at most. Other requests go on between its pieces.
    """
    text = input_text(request)
    if len(text) <= SAMPLE_OVER:
        return None
    total = 0
    for tokens in counted_pieces(text):
        total += tokens
        await asyncio.sleep(0)
    return total
