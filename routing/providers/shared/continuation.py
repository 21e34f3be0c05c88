"""Answers that a provider returns in several legs: it stops at its own limit and returns a token to continue.

The legs are read as one answer, as the provider's own client does. Every leg is charged, and each further leg
reads the whole conversation again as input. So that an answer never costs more than was held for it, the
input of further legs counts against the answer's output limit: an input token never costs more than an
output token.
"""

import msgspec

from billing.usage import Usage
from routing.language.chat import Started, StreamEvent, ToolCallDelta, UsageReport
from routing.providers.shared.adapter import FollowUp
from routing.providers.shared.wire import Wire

MOST_LEGS = 16  # of one answer; a longer answer ends with finish reason length


class Legs:
    """Joins the events of the legs. `limit`: output tokens of the whole answer; None: no limit."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self._count = 1
        self._before, self._now = Usage(), Usage()
        self._calls, self._calls_before = 0, 0

    def of(self, event: StreamEvent) -> StreamEvent | None:
        """The event as part of the whole answer; None for the start of a further leg."""
        match event:
            case Started():
                return event if self._count == 1 else None
            case UsageReport():
                self._now = event.usage
                if self._count == 1:
                    return event
                return UsageReport(self._before + self._now, self._count)
            case ToolCallDelta():
                index = event.index + self._calls_before
                self._calls = max(self._calls, index + 1)
                return msgspec.structs.replace(event, index=index)
        return event

    def following(self, wire: Wire, token: str, follow_up: FollowUp) -> Wire | None:
        """The request for the next leg; None: a limit is reached and the answer ends."""
        if self._left is not None:
            read = self._now.input_tokens + self._now.output_tokens  # input of the next leg
            self._left -= self._now.output_tokens + read
        self._before, self._now = self._before + self._now, Usage()
        self._calls_before, self._count = self._calls, self._count + 1
        if self._count > MOST_LEGS or (self._left is not None and self._left <= 0):
            return None
        return follow_up(wire, token, self._left)
