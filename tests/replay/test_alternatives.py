"""Why not that one? Every obvious alternative to a choice has a reason, and it is true of its numbers."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.published import NOW, snapshot
from core.numbers.figures import duration, money_text, percent
from routing.decide import strategy_weights
from routing.decide.decision import DecisionInput, NoCandidate, decide
from routing.decide.explanation import amounts, percents, times
from routing.decide.strategies import rank
from routing.decide.trace import Candidate, Trace
from routing.language.chat import Mode, Strategy
from routing.replay.alternatives import Alternative, Fact, Role, alternatives, of_stored
from routing.replay.replay import columns, compared
from tests.decide.conftest import PROMPTS, chat_request

CATALOG = snapshot()
MODELS = sorted(CATALOG.models)
SAME_TWICE = re.compile(
    r"(\$?[\d.]+(?: m?s|%)?)(?: of the time)?, compared with \1[ ,.]|less than (.+): .* \2\.$"
)

health = st.dictionaries(
    st.sampled_from(MODELS), st.sampled_from([0.2, 0.49, 0.71, 0.9, 0.97, 0.999]), max_size=20
)


@st.composite
def traces(draw: st.DrawFn, strategy: st.SearchStrategy[Strategy] | None = None) -> Trace:
    """Decisions on many prompts over the published catalog, some of whose models fail often."""
    p_up = CATALOG.p_up | draw(health)
    pinned = draw(st.none() | st.sampled_from(MODELS))
    decision_input = DecisionInput(
        request=chat_request(
            draw(st.sampled_from(PROMPTS)), max_output_tokens=draw(st.sampled_from([64, 4096]))
        ),
        at=NOW,
        mode=Mode.SMART if pinned is None else Mode.MANUAL,
        pinned=pinned,
        strategy=draw(strategy or st.sampled_from(Strategy)),
        stream=draw(st.booleans()),
    )
    changed = msgspec.structs.replace(CATALOG, p_up=p_up, version=str(hash(frozenset(p_up.items()))))
    try:
        return decide(decision_input, changed, draw=draw(st.sampled_from([0.0, 0.985, 0.999]))).trace
    except NoCandidate:
        return decide(msgspec.structs.replace(decision_input, mode=Mode.SMART, pinned=None), changed).trace


@given(trace=traces())
@settings(max_examples=150, deadline=None)
def test_every_obvious_alternative_has_one_true_reason(trace: Trace) -> None:
    ranked = [entry for entry in trace.candidates if entry.removed is None]
    by_arm = {entry.arm: entry for entry in ranked}
    chosen = by_arm[trace.chain[0]]
    reasons = {alternative.arm: alternative for alternative in alternatives(trace)}
    better = {
        entry.arm
        for entry in ranked
        if entry.p_success > chosen.p_success and (entry.cost_usd or 0) < (chosen.cost_usd or 0)
    }
    assert better == {arm for arm, alternative in reasons.items() if Role.BETTER in alternative.roles}
    best = max(entry.p_success for entry in ranked)
    assert chosen.p_success == best or best in [by_arm[arm].p_success for arm in reasons]
    assert (
        len(ranked) == 1 or sum(Role.RUNNER_UP in alternative.roles for alternative in reasons.values()) == 1
    )
    for arm, alternative in reasons.items():
        assert alternative.facts
        assert alternative.reason.endswith(".")
        assert not SAME_TWICE.search(alternative.reason), alternative.reason
        assert is_true(trace, alternative, by_arm[arm], chosen), alternative


def is_true(trace: Trace, alternative: Alternative, other: Candidate, chosen: Candidate) -> bool:
    """Check the facts against the numbers, and that without them the alternative would have won."""
    match alternative.facts:
        case (Fact.PINNED,):
            return trace.pinned is not None
        case (Fact.CHANCE,):
            return trace.explored and (other.utility or 0) >= (chosen.utility or 0)
        case (Fact.RETIREMENT,):
            return other.retires is not None and chosen.retires is None
        case (Fact.COMPETENCE,):
            return not other.competent and other.p_up >= strategy_weights.HEALTHY
        case (Fact.AVAILABILITY,) if not other.competent:
            return other.p_up < strategy_weights.HEALTHY
        case (Fact.ORDER,) | (Fact.EQUAL, Fact.ORDER):
            return (other.utility, other.cost_usd, other.latency_ms) == (
                chosen.utility,
                chosen.cost_usd,
                chosen.latency_ms,
            )
    behind = {
        Fact.NO_SCORES: not other.scored and other.low < chosen.believed,
        Fact.AVAILABILITY: other.p_up < chosen.p_up,
        Fact.EQUAL: other.believed > chosen.believed,
        Fact.SUCCESS: other.p_success < chosen.believed,
        Fact.COST: (other.cost_usd or 0) > (chosen.cost_usd or 0),
        Fact.LATENCY: other.latency_ms > chosen.latency_ms or other.ttft_ms > chosen.ttft_ms,
    }
    return all(behind[fact] for fact in alternative.facts) and wins_without(trace, alternative, chosen)


def wins_without(trace: Trace, alternative: Alternative, chosen: Candidate) -> bool:
    def changed(entry: Candidate) -> Candidate:
        if entry.arm != alternative.arm:
            return entry
        fields: dict[str, Any] = {}
        for fact in alternative.facts:
            match fact:
                case Fact.NO_SCORES:
                    fields["scored"] = True
                case Fact.AVAILABILITY:
                    fields["p_up"] = chosen.p_up
                case Fact.SUCCESS:
                    fields["p_success"] = chosen.believed
                case Fact.COST:
                    fields["cost_usd"] = chosen.cost_usd
                case Fact.LATENCY:
                    fields["latency_ms"] = min(entry.latency_ms, chosen.latency_ms)
                    fields["ttft_ms"] = min(entry.ttft_ms, chosen.ttft_ms)
        return msgspec.structs.replace(entry, **fields)

    entries = [changed(entry) for entry in compared(trace)]
    ranking = rank(trace.strategy, columns(trace, entries), stream=trace.stream)
    utility = dict(zip((entry.arm for entry in entries), ranking.utility.tolist(), strict=True))
    own, rival = utility[alternative.arm], utility[chosen.arm]
    return own >= rival or own == pytest.approx(rival, rel=1e-9)


@given(trace=traces())
@settings(max_examples=100, deadline=None)
def test_no_flip_names_a_change_that_is_none(trace: Trace) -> None:
    assert not SAME_TWICE.search(trace.flip), trace.flip
    assert not re.search(r"[^\d.,]0(\.0+)? ?(ms|s|%|points)\b|\$0(\.0*)?(?![.\d])", trace.flip), trace.flip


def decided(**circumstances: Any) -> Trace:
    p_up = circumstances.pop("p_up", {})
    changed = msgspec.structs.replace(CATALOG, p_up=CATALOG.p_up | p_up, version=str(p_up))
    text = circumstances.pop("text", "What is the capital of France?")
    decision_input = DecisionInput(request=chat_request(text), at=NOW, **circumstances)
    return decide(decision_input, changed).trace


def test_a_stored_record_gets_the_same_reasons() -> None:
    trace = decided()
    assert of_stored(msgspec.json.decode(msgspec.json.encode(trace))) == alternatives(trace)


@pytest.mark.parametrize("stored", [{}, None, {"chain": ["a"]}, "text"])
def test_a_record_of_another_shape_gets_none(stored: Any) -> None:
    assert of_stored(stored) == ()


@pytest.mark.parametrize(
    ("fields", "fact", "words"),
    [
        ({"p_up": 0.71}, Fact.AVAILABILITY, "it is available 71% of the time, compared with 100%."),
        ({"latency_ms": 33_000.0}, Fact.LATENCY, "it takes 33.0 s, compared with {chosen_time}."),
        (
            {"scored": False, "low": 0.8},
            Fact.NO_SCORES,
            "it has no published scores, so the lower end of its interval counts: 80% instead of {share}.",
        ),
    ],
)
def test_the_fact_that_decides_is_named_with_both_numbers(
    fields: dict[str, Any], fact: Fact, words: str
) -> None:
    trace = decided()
    chosen, runner_up = trace.candidates[:2]
    same = {
        name: getattr(chosen, name)
        for name in ("latency_ms", "ttft_ms", "p_up", "scored", "competent", "utility", "low", "high")
    }
    better = {"p_success": chosen.p_success + 0.001, "cost_usd": (chosen.cost_usd or 0) * 0.99}
    changed = msgspec.structs.replace(runner_up, **{**same, **better, **fields})
    trace = msgspec.structs.replace(trace, candidates=(chosen, changed, *trace.candidates[2:]))
    alternative = alternatives(trace)[0]
    assert alternative.facts[-1] == fact
    assert {Role.RUNNER_UP, Role.BETTER} <= set(alternative.roles)
    advantage, _, reason = alternative.reason.partition(", but ")
    assert advantage.endswith("is cheaper and likelier to succeed")
    assert reason.removeprefix(EQUAL_ON_EASY) == words.format(
        chosen_time=duration(chosen.latency_ms), share=percent(changed.p_success)
    )


EQUAL_ON_EASY = "it is within the 15.0 points of success that count as equal, and "


def test_the_reason_of_a_cheaper_model_below_those_that_count_as_equal_names_the_best() -> None:
    """Its distance from the chosen one may be less than the half point that counts as none."""
    trace = decided(strategy=Strategy.QUALITY)
    successes = (0.960, 0.964, *(0.957 for _ in trace.candidates[2:]))
    costs = (0.01, 0.1, *(0.005 for _ in trace.candidates[2:]))
    candidates = tuple(
        msgspec.structs.replace(
            candidate, p_success=success, low=success, scored=True, competent=True, cost_usd=cost
        )
        for candidate, success, cost in zip(trace.candidates, successes, costs, strict=True)
    )
    trace = msgspec.structs.replace(trace, candidates=candidates)
    reasons = {alternative.arm: alternative.reason for alternative in alternatives(trace)}
    below = "is expected to succeed 95.7% of the time, more than 0.5 points below the best candidate's 96.4%"
    assert below in "".join(reasons.values())
    assert "within the 0.5 points of success that count as equal" in reasons[candidates[1].arm]


def test_a_model_that_mostly_fails_is_a_last_resort() -> None:
    usual = decided(strategy=Strategy.COST)
    trace = decided(strategy=Strategy.COST, p_up={usual.candidates[0].model: 0.3})
    reasons = {alternative.arm: alternative.reason for alternative in alternatives(trace)}
    assert "is available only 30% of the time, and below 50% it is a last resort" in reasons[usual.chain[0]]


def test_a_pinned_model_is_the_reason_for_all() -> None:
    trace = decided(mode=Mode.MANUAL, pinned="claude-opus-4-8" if "claude-opus-4-8" in MODELS else MODELS[0])
    assert {alternative.facts for alternative in alternatives(trace)} == {(Fact.PINNED,)}


def test_equal_times_are_decided_by_cost_and_the_flip_says_so() -> None:
    trace = decided(strategy=Strategy.SPEED, stream=True)
    assert "both are expected to start at the same time, and it costs $" in trace.flip


@pytest.mark.parametrize("strategy", Strategy)
def test_reasons_write_figures_as_pages_do(strategy: Strategy) -> None:
    """The same cost, time and chance stand on one page as a sentence and as a figure."""
    trace = decided(strategy=strategy)
    shown = {
        word
        for candidate in trace.candidates
        if candidate.removed is None
        for word in (
            money_text(candidate.cost_usd), duration(candidate.latency_ms), duration(candidate.ttft_ms),
            percent(candidate.p_success), percent(candidate.believed), percent(candidate.low),
            percent(candidate.p_up),
        )
    }  # fmt: skip
    chosen = next(each for each in trace.candidates if each.arm == trace.chain[0])
    written = re.findall(r"\$\d+\.\d+|[\d.]+ m?s\b|[\d.]+%(?! less)", trace.reason)
    assert written
    assert set(written) <= shown
    if "$" in trace.reason:
        assert money_text(chosen.cost_usd) in written


def test_figures_that_look_alike_get_further_digits() -> None:
    assert amounts(0.000228, 0.0002) == ("$0.000228", "$0.0002")
    assert amounts(0.0002281, 0.0002282) == ("$0.0002281", "$0.0002282")
    assert amounts(12.341, 12.342) == ("$12.341", "$12.342")
    assert percents(0.957, 0.9604) == ("95.7%", "96%")
    assert percents(0.95701, 0.95704) == ("95.701%", "95.704%")
    assert percents(0.9996, 1.0) == (">99.9%", "100%")
    assert times(812.0, 1240.0) == ("812 ms", "1.24 s")
    assert times(812.2, 812.3) == ("812.2 ms", "812.3 ms")
