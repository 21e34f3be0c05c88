"""How many upstream calls the choices of a request take: one where the API gives several, else one each."""

from routing.language.arms import Capability, Effort, ModelFacts
from routing.language.chat import ChatRequest
from routing.providers.openai import responses_requests as openai_responses
from routing.providers.shared import quirks

MOST_CALLS = 8  # at once, for one request


def calls(request: ChatRequest, model: ModelFacts, effort: Effort | None) -> int:
    if request.n == 1:
        return 1
    match model.dialect:
        case "openai":
            in_one = quirks.takes(model, Capability.N) and not openai_responses.needed(request, model, effort)
        case "openai_chat":
            in_one = True
        case _:
            in_one = Capability.N in model.capabilities
    return 1 if in_one else request.n
