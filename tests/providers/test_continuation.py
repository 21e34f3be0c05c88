"""Answers that Gemini 4 gives in legs are one answer: text, usage and end."""

import pytest

from billing.usage import Usage
from routing.language.arms import Effort
from routing.language.chat import FinishReason, Started, ToolCallDelta, UsageReport
from routing.providers.gemini.requests import follow_up
from routing.providers.shared.continuation import MOST_LEGS, Legs
from routing.providers.shared.wire import Wire
from tests.conftest import Simulator
from tests.providers.conftest import Caller
from tests.providers.facts import MODELS, asking, user

ARGON = MODELS["gemini-4-argon"]
LONG = "Explain in detail how a compiler works. Simulate a long decode."


@pytest.mark.parametrize("stream", [False, True])
async def test_the_legs_of_a_long_answer_are_one_answer(
    caller: Caller, simulator: Simulator, stream: bool
) -> None:
    answer = await caller.ask(asking(user(LONG)), ARGON, Effort.LOW, stream=stream)
    (choice,) = answer.choices
    assert choice.finish_reason is FinishReason.STOP
    assert choice.text.rstrip().endswith("(This text was composed by the simulated model gemini-4-argon.)")
    calls = simulator.calls()
    assert len(calls) == 3
    assert ["continuationToken" in call["body"] for call in calls] == [False, True, True]
    assert answer.usage is not None
    for name, value in (
        ("output_tokens", answer.usage.output_tokens),
        ("reasoning", answer.usage.reasoning_tokens),
    ):
        assert value == sum(call["usage"][name] for call in calls)
    assert answer.usage.input_tokens == sum(call["usage"]["input_tokens"] for call in calls)


async def test_the_output_limit_covers_all_legs(caller: Caller, simulator: Simulator) -> None:
    limit = 500
    cut = await caller.ask(asking(user(LONG), max_output_tokens=limit), ARGON, Effort.LOW)
    assert cut.choices[0].finish_reason is FinishReason.LENGTH
    assert cut.usage is not None
    assert cut.usage.output_tokens <= limit
    limits = [call["body"]["generationConfig"]["maxOutputTokens"] for call in simulator.calls()]
    assert limits[0] == limit
    assert len(limits) > 1
    assert limits == sorted(set(limits), reverse=True), "each leg has what the others left, and reads of it"


def test_tool_calls_are_numbered_across_legs_and_only_the_first_leg_starts() -> None:
    legs, wire = Legs(200), Wire("/", b"{}")
    assert legs.of(Started("m")) == Started("m")
    assert legs.of(ToolCallDelta(1, "b", "look")) == ToolCallDelta(1, "b", "look")
    used = Usage(uncached_input_tokens=10, output_tokens=60)
    assert legs.of(UsageReport(used)) == UsageReport(used, 1)
    following = legs.following(wire, "t", follow_up)
    assert following is not None
    assert following.body == b'{"continuationToken":"t","generationConfig":{"maxOutputTokens":70}}'
    assert legs.of(Started("m")) is None
    assert legs.of(ToolCallDelta(0, "c", "look")) == ToolCallDelta(2, "c", "look")
    assert legs.of(UsageReport(used)) == UsageReport(used + used, 2)
    assert legs.following(wire, "t", follow_up) is None, "nothing is left of the limit"


def test_an_endless_answer_is_ended() -> None:
    legs, count = Legs(None), 1
    while legs.following(Wire("/", b"{}"), "t", follow_up) is not None:
        count += 1
    assert count == MOST_LEGS
