"""A decision can be made again from its trace alone, and an altered trace is detected."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routing.catalog.snapshot import Snapshot
from routing.decide.decision import DecisionInput, NoCandidate
from routing.decide.trace import Trace
from routing.language.chat import Mode, Strategy
from routing.replay import replay
from tests.decide.conftest import PROMPTS, Ask
from tests.decide.test_decision import answer, decision_inputs


def stored(trace: Trace) -> Trace:
    """The trace as it comes back from the database."""
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(trace)), Trace)


@given(
    decision_input=decision_inputs,
    draw=st.floats(0, 1, exclude_max=True) | st.floats(0.98, 1, exclude_max=True),
)
@settings(max_examples=200, deadline=None)
def test_the_trace_alone_gives_the_same_decision_again(decision_input: DecisionInput, draw: float) -> None:
    decision = answer(decision_input, draw)
    if not isinstance(decision, NoCandidate):
        assert replay.differences(stored(decision.trace)) == []


@pytest.mark.parametrize("strategy", Strategy)
def test_learnt_shifts_are_part_of_the_trace(ask: Ask, strategy: Strategy) -> None:
    for prompt in PROMPTS:
        first = ask(prompt, strategy=strategy)
        learning = {f"{first.chain[0].name}|{first.trace.query_type}": -0.15}
        assert replay.differences(stored(ask(prompt, strategy=strategy, learning=learning).trace)) == []


def test_an_explored_choice_is_replayed_as_explored(ask: Ask) -> None:
    decision = [ask("hi", draw=float(draw)).trace for draw in np.linspace(0.98, 1, 20, endpoint=False)]
    assert any(trace.explored for trace in decision)
    assert [replay.differences(stored(trace)) for trace in decision] == [[]] * len(decision)


def test_a_pinned_model_that_was_paused_is_replayed(ask: Ask, catalog: Snapshot) -> None:
    paused = msgspec.structs.replace(catalog, blocked={"gpt-4.1": "five failures in a row"})
    trace = stored(ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1", catalog=paused).trace)
    assert replay.differences(trace) == []
    assert trace.chain[0] != "gpt-4.1"


def altered(trace: Trace, **fields: object) -> Trace:
    """The second candidate with other numbers."""
    first, second, *rest = trace.candidates
    return msgspec.structs.replace(
        trace, candidates=(first, msgspec.structs.replace(second, **fields), *rest)
    )


def test_an_altered_trace_is_detected(ask: Ask) -> None:
    trace = ask(PROMPTS[1]).trace
    assert replay.differences(altered(trace, cost_usd=0.0))
    assert replay.differences(altered(trace, p_success=0.1, low=0.1))
    assert replay.differences(msgspec.structs.replace(trace, chain=trace.chain[::-1]))
    assert replay.differences(msgspec.structs.replace(trace, selection_probability=0.5))
    assert replay.differences(msgspec.structs.replace(trace, explored=True))


@pytest.mark.parametrize("strategy", Strategy)
def test_another_strategy_ranks_as_it_would_have_decided(ask: Ask, strategy: Strategy) -> None:
    for prompt in PROMPTS:
        ranking = replay.rerank(stored(ask(prompt).trace), strategy)
        decision = ask(prompt, strategy=strategy)
        assert ranking.chain == tuple(arm.name for arm in decision.chain)
        assert ranking.first.arm == decision.chain[0].name
