"""Has the last user message rewritten when the caller asks for it, and says what was done."""

import msgspec

from routing.doors.shared.prompt_enhancement import enhance
from routing.language.chat import ChatRequest, Role, Text


class Enhancement(msgspec.Struct, frozen=True):
    applied: bool
    original_prompt: str
    enhanced_prompt: str
    query_type: str


def enhanced(request: ChatRequest) -> tuple[ChatRequest, Enhancement]:
    """The request with the last text of its last user message enhanced, if that does anything."""
    messages = list(request.messages)
    for place in reversed(range(len(messages))):
        parts = list(messages[place].parts)
        texts = [at for at, part in enumerate(parts) if isinstance(part, Text) and part.text.strip()]
        if messages[place].role is not Role.USER or not texts:
            continue
        part = parts[texts[-1]]
        assert isinstance(part, Text)
        done = enhance(part.text)
        parts[texts[-1]] = msgspec.structs.replace(part, text=done.enhanced_prompt)
        messages[place] = msgspec.structs.replace(messages[place], parts=tuple(parts))
        told = Enhancement(done.changed, part.text, done.enhanced_prompt, done.query_type)
        return msgspec.structs.replace(request, messages=tuple(messages)), told
    return request, Enhancement(applied=False, original_prompt="", enhanced_prompt="", query_type="")
