"""The decision as a whole: total, deterministic, replayable from its trace, and explained in words."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.published import NOW, snapshot
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, NoCandidate, decide
from routing.decide.trace import Trace
from routing.language.arms import Arm, Effort
from routing.language.chat import ChatRequest, Message, Mode, Role, Strategy, Text
from tests.decide.conftest import PROMPTS, Ask, chat_request

CATALOG = snapshot()
MODELS = sorted(CATALOG.models)

decision_inputs = st.builds(
    DecisionInput,
    request=st.builds(
        ChatRequest,
        messages=st.lists(
            st.builds(
                Message,
                role=st.sampled_from(Role),
                parts=st.tuples(st.builds(Text, text=st.text(max_size=300))),
            ),
            min_size=1,
            max_size=4,
        ).map(tuple),
        max_output_tokens=st.none() | st.integers(1, 100_000),
        effort=st.none() | st.sampled_from(Effort),
        n=st.integers(1, 3),
    ),
    at=st.just(NOW),
    mode=st.sampled_from(Mode),
    strategy=st.sampled_from(Strategy),
    pinned=st.none() | st.sampled_from(MODELS),
    fallback=st.booleans(),
    allowed=st.frozensets(st.sampled_from(MODELS), max_size=4),
    test_mode=st.booleans(),
    max_cost_usd=st.none() | st.floats(0, 1),
    stream=st.booleans(),
    baseline=st.none() | st.sampled_from(MODELS),
)


REFUSALS = {"no_capable_model", "budget_too_low", "context_length_exceeded", "invalid_model"}


def answer(decision_input: DecisionInput, draw: float) -> Decision | NoCandidate:
    try:
        return decide(decision_input, CATALOG, draw=draw)
    except NoCandidate as refusal:
        return refusal


@given(decision_input=decision_inputs, draw=st.floats(0, 1, exclude_max=True))
@settings(max_examples=150, deadline=None)
def test_every_input_gets_a_sound_chain_or_a_named_refusal(
    decision_input: DecisionInput, draw: float
) -> None:
    decision = answer(decision_input, draw)
    if isinstance(decision, NoCandidate):
        assert decision.code in REFUSALS
        return
    ranked = {entry.arm for entry in decision.trace.candidates if entry.removed is None}
    models = [arm.model for arm in decision.chain]
    assert 1 <= len(decision.chain) <= 3
    assert len(set(models)) == len(models)
    assert {arm.name for arm in decision.chain} <= ranked
    assert len(decision.forecast) == len(decision.chain)
    assert decision.trace.chain == tuple(arm.name for arm in decision.chain)
    if not decision_input.fallback:
        assert len(decision.chain) == 1
    if decision_input.mode is Mode.MANUAL:
        assert decision.chain[0].model == decision_input.pinned
    again = answer(decision_input, draw)
    assert isinstance(again, Decision)
    assert (again.trace, again.forecast) == (decision.trace, decision.forecast)
    assert msgspec.json.decode(msgspec.json.encode(decision.trace), type=Trace) == decision.trace


def test_the_trace_holds_no_text_of_the_request(ask: Ask) -> None:
    shifted = json.dumps(msgspec.to_builtins(ask("My password is hunter2-zebra, keep it secret").trace))
    assert "hunter2" not in shifted
    assert "zebra" not in shifted


@pytest.mark.parametrize("strategy", Strategy)
def test_the_chain_goes_to_another_provider_first(ask: Ask, catalog: Snapshot, strategy: Strategy) -> None:
    for prompt in PROMPTS:
        chain = ask(prompt, strategy=strategy).chain
        assert len({catalog.models[arm.model].provider for arm in chain}) == 3


def test_with_one_provider_the_chain_takes_its_other_models(ask: Ask, catalog: Snapshot) -> None:
    own = frozenset(name for name, facts in catalog.models.items() if facts.provider == "openai")
    chain = ask("hi", allowed=own).chain
    assert len({arm.model for arm in chain}) == 3


class TestManual:
    def test_the_pinned_model_comes_first_and_others_follow(self, ask: Ask, catalog: Snapshot) -> None:
        decision = ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1")
        assert decision.chain[0] == Arm("gpt-4.1")
        assert len(decision.chain) == 3
        assert decision.trace.reason == f"You asked for {catalog.models['gpt-4.1'].name}."

    def test_without_fallback_it_is_alone(self, ask: Ask) -> None:
        decision = ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1", fallback=False)
        assert decision.chain == (Arm("gpt-4.1"),)

    def test_an_effort_it_does_not_take_becomes_the_nearest(self, ask: Ask) -> None:
        request = chat_request("hi", effort=Effort.NONE)
        assert ask(request=request, mode=Mode.MANUAL, pinned="o3").chain[0] == Arm("o3", Effort.LOW)

    def test_when_it_is_paused_the_best_other_model_answers(self, ask: Ask, catalog: Snapshot) -> None:
        paused = msgspec.structs.replace(catalog, blocked={"gpt-4.1": "five failures in a row"})
        decision = ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1", catalog=paused)
        assert decision.chain[0].model != "gpt-4.1"
        assert "five failures in a row" in decision.trace.reason

    def test_when_it_is_paused_and_pinned_strictly_the_request_is_refused(
        self, ask: Ask, catalog: Snapshot
    ) -> None:
        paused = msgspec.structs.replace(catalog, blocked={"gpt-4.1": "five failures in a row"})
        with pytest.raises(NoCandidate):
            ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1", catalog=paused, fallback=False)


class TestExplaining:
    @pytest.mark.parametrize("strategy", Strategy)
    def test_the_reason_is_one_sentence_that_names_the_model(self, ask: Ask, strategy: Strategy) -> None:
        for prompt in PROMPTS:
            trace = ask(prompt, strategy=strategy).trace
            assert trace.candidates[0].name in trace.reason
            assert trace.reason.endswith(".")
            assert "\n" not in trace.reason
            assert trace.flip.endswith(".")

    def test_a_single_candidate_is_named_as_such(self, ask: Ask) -> None:
        trace = ask("hi", allowed=frozenset({"gpt-4o"})).trace
        assert "only model" in trace.reason
        assert trace.flip.startswith("Nothing")

    def test_the_trace_has_the_baseline_and_the_saving(self, ask: Ask) -> None:
        trace = ask("hi", baseline="claude-opus-5").trace
        assert trace.baseline is not None
        assert trace.baseline.model == "claude-opus-5"
        chosen = trace.candidates[0].cost_usd
        assert trace.saved_usd == pytest.approx(trace.baseline.cost_usd - chosen)

    def test_without_a_baseline_the_best_fixed_model_serves(self, ask: Ask) -> None:
        baseline = ask("hi").trace.baseline
        assert baseline is not None
        assert ask("hi", strategy=Strategy.QUALITY, allowed=frozenset({baseline.model})).trace.saved_usd


class TestLearning:
    def shift(self, ask: Ask, by: float) -> tuple[Decision, str]:
        first = ask("What is the capital of France?").chain[0].name
        learning = {f"{first}|{skill}": by for skill in ("humanities", "science", "professional")}
        return ask("What is the capital of France?", learning=learning), first

    def test_poor_outcomes_move_the_account_to_another_model(self, ask: Ask) -> None:
        decision, before = self.shift(ask, -0.15)
        assert decision.chain[0].name != before
        shifted = next(entry for entry in decision.trace.candidates if entry.arm == before)
        assert shifted.learned < 0

    def test_good_outcomes_keep_it_where_it_is(self, ask: Ask) -> None:
        decision, before = self.shift(ask, 0.01)
        assert decision.chain[0].name == before


class TestExploration:
    def test_no_draw_no_exploration(self, ask: Ask) -> None:
        assert not any(ask(prompt).trace.explored for prompt in PROMPTS)

    def test_at_most_two_percent_and_only_near_ties(self, ask: Ask) -> None:
        draws = np.linspace(0, 1, 500, endpoint=False)
        decision = [ask("hi", draw=float(draw)).trace for draw in draws]
        explored = [trace for trace in decision if trace.explored]
        assert len(explored) <= 0.02 * len(draws)
        for trace in explored:
            best = max(entry.utility or 0 for entry in trace.candidates if entry.removed is None)
            assert trace.candidates[0].utility >= best - abs(best) * 0.01
            assert 0 < trace.selection_probability <= 0.02

    @pytest.mark.parametrize("prompt", [PROMPTS[12], PROMPTS[15], PROMPTS[17]])
    def test_a_model_that_lost_by_recent_failures_is_tried(
        self, ask: Ask, catalog: Snapshot, prompt: str
    ) -> None:
        leader = ask(prompt).chain[0]
        failing = msgspec.structs.replace(catalog, p_up=catalog.p_up | {leader.model: 0.6})
        assert ask(prompt, catalog=failing).chain[0] != leader
        draws = np.linspace(0.98, 1, 50, endpoint=False)
        traces = [ask(prompt, catalog=failing, draw=float(draw)).trace for draw in draws]
        assert leader.name in {trace.candidates[0].arm for trace in traces if trace.explored}

    @pytest.mark.parametrize("strategy", [s for s in Strategy if s is not Strategy.AUTO])
    def test_other_strategies_never_explore(self, ask: Ask, strategy: Strategy) -> None:
        trace = ask("hi", strategy=strategy, draw=0.999).trace
        assert not trace.explored
        assert trace.selection_probability == 1.0


def test_a_new_breaker_state_takes_effect_at_once(ask: Ask, catalog: Snapshot) -> None:
    first = ask("hi").chain[0].model
    paused = msgspec.structs.replace(catalog, blocked={first: "out"})
    assert ask("hi", catalog=paused).chain[0].model != first
    assert ask("hi").chain[0].model == first
