"""The time of a rescue grows with the length of the answer, not with its square."""

import time
from collections.abc import AsyncGenerator
from typing import Any, cast

from routing.execute.breaker import Breaker
from routing.execute.chain import Execution, Plan
from routing.language.arms import Arm
from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    Message,
    Role,
    Started,
    StreamEvent,
    Text,
    TextDelta,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.upstreams import Upstreams
from tests.providers.facts import CHAT, CLAUDE

PIECES = 40_000  # of each of the two parts


class CutOnce:
    """Providers of which the first breaks off in the middle of a long answer, and the second goes on."""

    def __init__(self) -> None:
        self._calls = 0

    async def complete(self, *_: Any, **__: Any) -> AsyncGenerator[list[StreamEvent], None]:
        self._calls += 1
        part = self._calls
        yield [Started(f"model-{part}")]
        for number in range(PIECES):
            yield [TextDelta(f" w{part}-{number}")]
        if part == 1:
            raise UpstreamFailure(FailureKind.TRUNCATED, "cut")
        yield [Finished(FinishReason.STOP)]


async def test_a_rescue_of_a_long_answer_takes_time_in_proportion_to_its_length() -> None:
    arms = (Arm(CHAT.id), Arm(CLAUDE.id))
    plan = Plan(
        request=ChatRequest((Message(Role.USER, (Text("Count."),)),)),
        chain=arms,
        facts={CHAT.id: CHAT, CLAUDE.id: CLAUDE},
        expected_ms={},
        stream=True,
        first_byte_s=60,
        patience=0,
        deadline=time.monotonic() + 600,
        rescue=True,
    )
    execution = Execution(plan, cast(Upstreams, CutOnce()), Breaker())
    began = time.process_time()
    events = [event async for batch in execution.batches() for event in batch]
    text = "".join([event.text for event in events if isinstance(event, TextDelta)])
    assert time.process_time() - began < 8
    expected = "".join(f" w{part}-{number}" for part in (1, 2) for number in range(PIECES))
    assert text == expected
    assert [attempt.outcome for attempt in execution.attempts] == ["partial", "ok"]
