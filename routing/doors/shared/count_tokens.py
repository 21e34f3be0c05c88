"""Counts a request's input for the model that would answer it, without asking anyone."""

from datetime import UTC, datetime

from accounts.caller import Caller
from routing.decide.prediction.tokens import count_input
from routing.doors.shared.enhancement import enhanced
from routing.language.chat import ChatRequest, Steering
from routing.state.runtime import running
from routing.steps.admission import Asked, look


async def input_tokens(
    request: ChatRequest, steering: Steering, caller: Caller, *, request_id: str, door: str
) -> int:
    """Tokens. Let in as a request is, since the count is of the model that this key would get now."""
    chat = enhanced(request)[0] if steering.enhance_prompt else request
    runtime = await running()
    asked = Asked(request_id, door, chat, steering, caller, datetime.now(UTC))
    chosen = (await look(asked, runtime)).chain[0]
    return count_input(chat, runtime.catalog.snapshot.models[chosen.model])
