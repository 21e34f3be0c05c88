"""A model that is retired within 14 days ranks behind all competent ones that stay."""

from datetime import timedelta

import msgspec
import pytest

from bench.published import NOW
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision
from routing.decide.trace import Trace
from routing.language.chat import Mode, Strategy
from routing.replay.replay import differences
from tests.decide.conftest import PROMPTS, Ask


def retiring_in(catalog: Snapshot, model: str, days: int) -> Snapshot:
    facts = msgspec.structs.replace(catalog.models[model], shutdown=(NOW + timedelta(days=days)).date())
    return msgspec.structs.replace(catalog, models=catalog.models | {model: facts})


@pytest.fixture(params=list(Strategy))
def strategy(request: pytest.FixtureRequest) -> Strategy:
    chosen: Strategy = request.param
    return chosen


def stored(decision: Decision) -> Trace:
    return msgspec.convert(msgspec.to_builtins(decision.trace), Trace)


@pytest.mark.parametrize("prompt", PROMPTS[:3])
def test_the_winner_loses_its_place_14_days_before_it_is_retired(
    ask: Ask, catalog: Snapshot, strategy: Strategy, prompt: str
) -> None:
    winner = ask(prompt, strategy=strategy).chain[0]
    later = ask(prompt, strategy=strategy, catalog=retiring_in(catalog, winner.model, 15))
    assert later.chain[0] == winner
    soon = ask(prompt, strategy=strategy, catalog=retiring_in(catalog, winner.model, 14))
    assert soon.chain[0].model != winner.model
    ranked = [entry for entry in soon.trace.candidates if entry.removed is None]
    places = [entry.retires is not None for entry in ranked if entry.competent]
    assert places == sorted(places)
    assert (
        f"would have been preferred, but will be retired on {(NOW + timedelta(14)).date()}"
        in soon.trace.reason
    )
    assert differences(stored(soon)) == []


def test_it_is_chosen_when_no_other_is_left(ask: Ask, catalog: Snapshot, strategy: Strategy) -> None:
    soon = retiring_in(catalog, "gpt-4.1", 3)
    trace = ask("hi", strategy=strategy, catalog=soon, allowed=frozenset({"gpt-4.1"})).trace
    assert trace.candidates[0].model == "gpt-4.1"
    assert trace.candidates[0].retires == str((NOW + timedelta(3)).date())


def test_it_is_chosen_when_the_others_are_not_good_enough(ask: Ask, catalog: Snapshot) -> None:
    hard = PROMPTS[14]
    able, weak = "gpt-6-astra", "gemini-2.5-flash-lite"
    decision = ask(hard, strategy=Strategy.COST, allowed=frozenset({able, weak}))
    if decision.trace.candidates[-1].competent and decision.chain[0].model == weak:
        pytest.skip("both are good enough")
    soon = ask(
        hard, strategy=Strategy.COST, allowed=frozenset({able, weak}), catalog=retiring_in(catalog, able, 3)
    )
    assert soon.chain[0].model == able
    assert "but no other model is good enough" in soon.trace.reason


def test_a_request_that_names_it_gets_it(ask: Ask, catalog: Snapshot) -> None:
    soon = retiring_in(catalog, "gpt-4.1", 3)
    decision = ask("hi", mode=Mode.MANUAL, pinned="gpt-4.1", catalog=soon)
    assert decision.chain[0].model == "gpt-4.1"
    assert differences(stored(decision)) == []


def test_it_is_not_tried_by_chance(ask: Ask, catalog: Snapshot) -> None:
    for prompt in PROMPTS:
        explored = ask(prompt, draw=0.999).trace
        if not explored.explored:
            continue
        tried = explored.candidates[0].model
        again = ask(prompt, draw=0.999, catalog=retiring_in(catalog, tried, 14)).trace
        assert again.candidates[0].model != tried
        return
    pytest.fail("no prompt has a near tie")


def test_a_record_from_before_the_field_replays(ask: Ask) -> None:
    old = msgspec.to_builtins(ask("hi", at=NOW - timedelta(days=60)).trace)
    for entry in old["candidates"]:
        del entry["retires"]
    assert differences(msgspec.convert(old, Trace)) == []
