"""Judge: how demanding a request is, with a second look where that may change the choice."""

import msgspec

from routing.decide.prediction import request_model, second_look
from routing.decide.prediction.request_features import RequestText, features, request_text
from routing.decide.prediction.request_model import Judgement
from routing.language.chat import Mode, Strategy
from routing.state.runtime import Runtime
from routing.steps.admission import Admitted


class Judged(msgspec.Struct, frozen=True):
    """The text of a request as it was judged, and the estimates."""

    text: RequestText
    judgement: Judgement


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
    is_auto = incoming.steering.mode is Mode.SMART and incoming.strategy is Strategy.AUTO
    if not is_auto or not second_look.pays(judgement):
        return Judged(text, judgement)
    second = await runtime.encoder.second_look(text)
    return Judged(text, judgement if second is None else second_look.refined(judgement, second))
