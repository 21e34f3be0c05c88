"""Forecasts of output tokens, cost with price tiers and prompt cache, and time."""

from datetime import timedelta

import msgspec
import pytest

from bench.published import NOW
from routing.catalog.length_ratios import BANDS, MOST_VISIBLE, OFFSET, band_of
from routing.catalog.snapshot import Latency, OutputRatio, Snapshot
from routing.decide.decision import Conversation
from routing.decide.trace import Candidate
from routing.language.arms import Arm, Effort
from routing.language.chat import Mode, Strategy
from tests.decide.conftest import Ask, chat_request

HARD = "Prove that every group of order p^2 is abelian and classify the groups of order p^3"


def entry(ask: Ask, arm: str, text: str = HARD, **circumstances: object) -> Candidate:
    limits = {
        "max_output_tokens": circumstances.pop("limit", None),
        "max_answer_tokens": circumstances.pop("answer_limit", None),
    }
    trace = ask(request=chat_request(text, **limits), **circumstances).trace
    return next(candidate for candidate in trace.candidates if candidate.arm == arm)


def test_the_limit_caps_output_and_with_it_cost(ask: Ask) -> None:
    free, capped = entry(ask, "gpt-6-luna@high"), entry(ask, "gpt-6-luna@high", limit=300)
    assert capped.output_tokens == 300 < free.output_tokens
    assert capped.cost_usd < free.cost_usd


def test_more_effort_takes_more_tokens_money_and_time(ask: Ask) -> None:
    efforts = ("none", "low", "medium", "high")
    arms = [entry(ask, f"gpt-6-luna@{effort}") for effort in efforts]
    for field in ("output_tokens", "cost_usd", "latency_ms"):
        values = [getattr(arm, field) for arm in arms]
        assert values == sorted(values)


def test_reasoning_that_leaves_no_room_for_an_answer_lowers_success(ask: Ask) -> None:
    free, capped = entry(ask, "gpt-6-luna@high"), entry(ask, "gpt-6-luna@high", limit=512)
    assert capped.p_success < free.p_success / 2
    assert entry(ask, "gpt-6-luna@none", limit=512).p_success == entry(ask, "gpt-6-luna@none").p_success


def test_a_visible_limit_leaves_reasoning_its_room(ask: Ask) -> None:
    free, visible = entry(ask, "gpt-6-luna@high"), entry(ask, "gpt-6-luna@high", answer_limit=512)
    assert visible.p_success > 0.9 * free.p_success
    assert 512 < visible.output_tokens <= free.output_tokens
    assert entry(ask, "gpt-6-luna@none", answer_limit=40).output_tokens == 40


def test_the_allowance_fits_model_and_window(ask: Ask, catalog: Snapshot) -> None:
    def allowance(words: int, limit: int, **changes: int) -> int:
        facts = msgspec.structs.replace(catalog.models["gpt-6-luna"], **changes)
        changed = msgspec.structs.replace(catalog, models={**catalog.models, facts.id: facts})
        request = chat_request("word " * words + HARD, max_answer_tokens=limit, effort=Effort.HIGH)
        decision = ask(request=request, mode=Mode.MANUAL, pinned=facts.id, catalog=changed)
        return decision.forecast[0].reasoning_allowance

    assert allowance(1, 512) > 4000
    assert allowance(1, 512, max_output_tokens=3000) == 3000 - 512
    assert allowance(1, 3000, max_output_tokens=3000) == 0
    assert 1000 < allowance(3000, 512, context_window=5000) < 1500


def test_a_hard_prompt_takes_more_thought_than_an_easy_one(ask: Ask) -> None:
    easy = entry(ask, "gpt-6-luna@high", "What is the capital of France?")
    assert easy.output_tokens < entry(ask, "gpt-6-luna@high").output_tokens / 3


LUNA = "gpt-6-luna@none"
FRANCE = "What is the capital of France?"


def with_ratios(catalog: Snapshot, **ratios: float) -> Snapshot:
    """The catalog with visible ratios by `Level.key`."""
    learnt = {key: OutputRatio(visible=ratio, reasoning=1.0) for key, ratio in ratios.items()}
    return msgspec.structs.replace(catalog, output_tokens=learnt)


def test_traffic_corrects_the_forecast_of_its_arm_skill_and_band(ask: Ask, catalog: Snapshot) -> None:
    trace = ask(FRANCE).trace
    cell = f"{LUNA}|{trace.query_type}|{band_of(trace.difficulty)}"
    other_band = f"{LUNA}|{trace.query_type}|{(band_of(trace.difficulty) + 1) % BANDS}"
    before = entry(ask, LUNA, FRANCE)
    corrected = entry(ask, LUNA, FRANCE, catalog=with_ratios(catalog, **{cell: 0.5, other_band: 4.0}))
    assert corrected.output_tokens == pytest.approx((before.output_tokens + OFFSET) / 2 - OFFSET, abs=1)
    assert corrected.cost_usd < before.cost_usd
    assert corrected.latency_ms < before.latency_ms


def test_an_arm_without_traffic_profits_from_that_of_others(ask: Ask, catalog: Snapshot) -> None:
    changed = with_ratios(catalog, **{"||": 3.0, "gpt-6-luna@low||": 2.0})
    before, after = entry(ask, LUNA, FRANCE), entry(ask, LUNA, FRANCE, catalog=changed)
    assert after.output_tokens == pytest.approx((before.output_tokens + OFFSET) * 3 - OFFSET, abs=3)


def test_reasoning_is_corrected_by_its_own_ratio(ask: Ask, catalog: Snapshot) -> None:
    ratio = OutputRatio(visible=1.0, reasoning=0.25)
    changed = msgspec.structs.replace(catalog, output_tokens={"||": ratio})
    before, after = (entry(ask, "gpt-6-luna@high", catalog=known) for known in (catalog, changed))
    assert after.output_tokens < before.output_tokens / 2
    assert after.latency_ms == before.latency_ms  # time to first token has the reasoning that was measured
    assert entry(ask, LUNA, catalog=changed).output_tokens == entry(ask, LUNA).output_tokens


def test_a_correction_is_bounded(ask: Ask, catalog: Snapshot) -> None:
    changed = with_ratios(catalog, **{"||": 7.0, f"{LUNA}||": 7.0})
    before, after = entry(ask, LUNA, FRANCE), entry(ask, LUNA, FRANCE, catalog=changed)
    assert after.output_tokens <= (before.output_tokens + 1 + OFFSET) * MOST_VISIBLE


def test_cost_is_tokens_times_prices(ask: Ask, catalog: Snapshot) -> None:
    forecast = ask("hi", mode=Mode.MANUAL, pinned="gpt-4o").forecast[0]
    prices = catalog.prices["gpt-4o"][0].prices
    usd = forecast.input_tokens * float(prices.uncached_input) + forecast.output_tokens * float(prices.output)
    assert forecast.cost_usd == pytest.approx(usd / 1e6, rel=0.02)  # the forecast's output is not whole


def test_a_long_prompt_pays_its_tier_on_the_whole_input(ask: Ask) -> None:
    below, above = (entry(ask, "gpt-6-luna@none", "word " * words) for words in (250_000, 290_000))
    assert above.cost_usd > 2 * below.cost_usd * 0.99


def test_several_choices_pay_their_output_each(ask: Ask) -> None:
    candidate, three = (
        next(e for e in ask(request=chat_request(HARD, n=n)).trace.candidates if e.arm == "gpt-6-luna@none")
        for n in (1, 3)
    )
    assert three.cost_usd == pytest.approx(3 * candidate.cost_usd, rel=0.05)


def test_latency_is_first_token_and_decoding(ask: Ask, catalog: Snapshot) -> None:
    arm = Arm("gpt-6-luna", Effort.NONE)
    changed = msgspec.structs.replace(catalog, latency={**catalog.latency, arm: Latency(500, 900, 100)})
    costs = entry(ask, arm.name, catalog=changed)
    assert costs.ttft_ms == 500
    assert costs.latency_ms == pytest.approx(500 + costs.output_tokens * 10, rel=0.02)


class TestPromptCache:
    """The previous turn's arm is cheaper by the cached prefix."""

    prefix = "Here is the contract. " * 2000

    def costs(self, ask: Ask, **conversation: object) -> dict[str, Candidate]:
        earlier = {"arm": Arm("claude-opus-5"), "prefix_tokens": 8000, "last_at": NOW, **conversation}
        trace = ask(self.prefix, conversation=Conversation(**earlier)).trace
        return {candidate.model: candidate for candidate in trace.candidates}

    def test_staying_costs_the_cached_price_of_the_shared_prefix(self, ask: Ask, catalog: Snapshot) -> None:
        fresh = {candidate.model: candidate for candidate in ask(self.prefix).trace.candidates}
        prices = catalog.prices["claude-opus-5"][0].prices
        saving = 8000 * float(prices.uncached_input - prices.cache_read) / 1e6
        stayed = self.costs(ask)
        assert fresh["claude-opus-5"].cost_usd - stayed["claude-opus-5"].cost_usd == pytest.approx(saving)
        assert fresh["gpt-4o"].cost_usd == stayed["gpt-4o"].cost_usd

    @pytest.mark.parametrize(
        "conversation",
        [
            {"last_at": NOW - timedelta(minutes=6)},
            {"prefix_tokens": 300},
            {"arm": Arm("a-model-that-left")},
        ],
        ids=["cache has gone cold", "too short to be cached", "model is gone"],
    )
    def test_no_cache_no_discount(self, ask: Ask, conversation: dict[str, object]) -> None:
        fresh = {candidate.model: candidate.cost_usd for candidate in ask(self.prefix).trace.candidates}
        costs = self.costs(ask, **conversation)
        assert {model: candidate.cost_usd for model, candidate in costs.items()} == fresh

    def test_the_trace_says_what_staying_saves(self, ask: Ask) -> None:
        earlier = Conversation(Arm("claude-opus-5"), 8000, NOW)
        notes = ask(self.prefix, conversation=earlier, strategy=Strategy.QUALITY).trace.notes
        assert any("saves" in note for note in notes)
