"""Rules for conversations that hold for every provider: system text first, tool runs complete."""

from collections.abc import Sequence

from routing.language.chat import Message, Role, Text

NO_RESULT = "No result: the call was not answered."


def split_system(messages: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    """The leading system messages, and the rest."""
    count = 0
    while count < len(messages) and messages[count].role is Role.SYSTEM:
        count += 1
    return tuple(messages[:count]), tuple(messages[count:])


def system_text(messages: Sequence[Message]) -> str:
    """System messages joined by a blank line, empty ones left out."""
    return "\n\n".join(text for message in messages if (text := message.text).strip())


def wrapped_system(message: Message) -> str:
    """A system message in the middle of a conversation, for models that accept only user text there."""
    return f"<system>\n{message.text}\n</system>"


def whole_tool_runs(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Each assistant's calls followed at once by one result a call, in call order.

    Every provider refuses calls without results and results without calls: a missing result is filled in as
    an error, a result without a call is dropped, and messages between call and result move behind the run.
    """
    if not any(message.tool_calls or message.role is Role.TOOL for message in messages):
        return tuple(messages)
    ordered: list[Message] = []
    position = 0
    while position < len(messages):
        message = messages[position]
        position += 1
        if message.role is Role.TOOL:
            continue  # an orphan: results of a run are taken with its assistant message
        ordered.append(message)
        if not message.tool_calls:
            continue
        results: dict[str, Message] = {}
        others: list[Message] = []
        while position < len(messages) and messages[position].role is not Role.ASSISTANT:
            follower = messages[position]
            position += 1
            if follower.role is not Role.TOOL:
                others.append(follower)
            elif follower.tool_call_id is not None:
                results.setdefault(follower.tool_call_id, follower)
        ordered.extend(results.get(call.id) or _unanswered(call.id) for call in message.tool_calls)
        ordered.extend(others)
    return tuple(ordered)


def _unanswered(call_id: str) -> Message:
    return Message(Role.TOOL, parts=(Text(NO_RESULT),), tool_call_id=call_id, is_error=True)
