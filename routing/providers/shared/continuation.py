"""Answers that a provider gives in several legs: it stops at a bound of its own and says how to go on.

The legs are read as one answer, as the provider's own client reads them; each is paid for, input included. So
that no answer costs more than was held for it, what a further leg reads counts against the answer's limit: a
token of input is never dearer than one of output.
"""

import msgspec

from billing.usage import Usage
from routing.language.chat import Started, StreamEvent, ToolCallDelta, UsageReport
from routing.providers.shared.adapter import FollowUp
from routing.providers.shared.wire import Wire

MOST_LEGS = 16  # of one answer; what is longer ends by length


class Legs:
    """Puts the events of the legs together. `limit`: output tokens of the whole answer."""

    def __init__(self, limit: int | None) -> None:
        self._left = limit
        self._count = 1
        self._before, self._now = Usage(), Usage()
        self._calls, self._calls_before = 0, 0

    def of(self, event: StreamEvent) -> StreamEvent | None:
        """The event as part of the whole; None: the answer has begun already."""
        match event:
            case Started():
                return event if self._count == 1 else None
            case UsageReport():
                self._now = event.usage
                return UsageReport(self._before + self._now, self._count)
            case ToolCallDelta():
                index = event.index + self._calls_before
                self._calls = max(self._calls, index + 1)
                return msgspec.structs.replace(event, index=index)
        return event

    def following(self, wire: Wire, token: str, follow_up: FollowUp) -> Wire | None:
        """The request for the next leg; None: there may be no more."""
        if self._left is not None:
            read = self._now.input_tokens + self._now.output_tokens  # by the next leg
            self._left -= self._now.output_tokens + read
        self._before, self._now = self._before + self._now, Usage()
        self._calls_before, self._count = self._calls, self._count + 1
        if self._count > MOST_LEGS or (self._left is not None and self._left <= 0):
            return None
        return follow_up(wire, token, self._left)
