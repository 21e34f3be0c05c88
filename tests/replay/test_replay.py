"""A decision can be made again from its record alone, and a record that was altered is found out."""

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
from tests.decide.test_decision import answer, questions


def stored(trace: Trace) -> Trace:
    """As it comes back from where it is kept."""
    return msgspec.convert(msgspec.json.decode(msgspec.json.encode(trace)), Trace)


@given(question=questions, draw=st.floats(0, 1, exclude_max=True) | st.floats(0.98, 1, exclude_max=True))
@settings(max_examples=200, deadline=None)
def test_the_record_alone_gives_the_same_decision_again(question: DecisionInput, draw: float) -> None:
    made = answer(question, draw)
    if not isinstance(made, NoCandidate):
        assert replay.differences(stored(made.trace)) == []


@pytest.mark.parametrize("strategy", Strategy)
def test_what_was_learnt_is_part_of_the_record(ask: Ask, strategy: Strategy) -> None:
    for prompt in PROMPTS:
        first = ask(prompt, strategy=strategy)
        learning = {f"{first.chain[0].name}|{first.trace.query_type}": -0.15}
        assert replay.differences(stored(ask(prompt, strategy=strategy, learning=learning).trace)) == []


def test_what_chance_chose_is_replayed_as_chance(ask: Ask) -> None:
    made = [ask("hi", draw=float(draw)).trace for draw in np.linspace(0.98, 1, 20, endpoint=False)]
    assert any(trace.explored for trace in made)
    assert [replay.differences(stored(trace)) for trace in made] == [[]] * len(made)


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


def test_a_record_that_was_altered_is_found_out(ask: Ask) -> None:
    trace = ask(PROMPTS[1]).trace
    assert replay.differences(altered(trace, cost_usd=0.0))
    assert replay.differences(altered(trace, p_success=0.1))
    assert replay.differences(msgspec.structs.replace(trace, chain=trace.chain[::-1]))
    assert replay.differences(msgspec.structs.replace(trace, selection_probability=0.5))
    assert replay.differences(msgspec.structs.replace(trace, explored=True))


@pytest.mark.parametrize("strategy", Strategy)
def test_another_strategy_is_told_as_it_would_have_decided(ask: Ask, strategy: Strategy) -> None:
    for prompt in PROMPTS:
        told = replay.rerank(stored(ask(prompt).trace), strategy)
        made = ask(prompt, strategy=strategy)
        assert told.chain == tuple(arm.name for arm in made.chain)
        assert told.first.arm == made.chain[0].name
