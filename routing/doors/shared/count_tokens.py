"""Counts a request's input for the model that would answer it, without asking anyone."""

from accounts.caller import Caller
from routing.decide.prediction.tokens import count_input
from routing.doors.shared.enhancement import enhanced
from routing.language.chat import ChatRequest, Steering
from routing.pipeline import preview
from routing.state.runtime import running


async def input_tokens(request: ChatRequest, steering: Steering, caller: Caller, *, request_id: str) -> int:
    """Tokens. Let in as a request is, since the count is of the model that this key would get now."""
    chat = enhanced(request)[0] if steering.enhance_prompt else request
    decision = await preview(chat, steering, caller, request_id)
    snapshot = (await running()).catalog.snapshot
    return count_input(chat, snapshot.models[decision.chain[0].model])
