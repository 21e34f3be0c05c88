"""Filters: every arm that cannot answer is removed with a reason code and words."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from billing.prices.prices import PriceTier, UnitPrices
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, NoCandidate
from routing.decide.filters import Reason
from routing.language.arms import Arm, Capability, Effort
from routing.language.chat import (
    Audio,
    ChatRequest,
    File,
    Image,
    Message,
    Mode,
    Part,
    ResponseFormat,
    Role,
    Sampling,
    Strategy,
    Text,
    Tool,
    ToolChoice,
)
from tests.decide.conftest import Ask, chat_request
from tests.providers.facts import MODELS

TOOLS = (Tool("weather", "Weather of a city", {"type": "object"}),)


def removed(decision: Decision, model: str) -> str | None:
    """The reason code of a model's entries; None: it was ranked."""
    entry = next(entry for entry in decision.trace.candidates if entry.model == model)
    return None if entry.removed is None else str(entry.removed.code)


def with_part(part: Part) -> ChatRequest:
    return ChatRequest(messages=(Message(Role.USER, (Text("What is this?"), part)),))


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (chat_request("hi", tools=TOOLS), {Capability.TOOLS}),
        (chat_request("hi", tools=TOOLS, tool_choice=ToolChoice("required")), {Capability.FORCED_TOOLS}),
        (
            chat_request("hi", tools=TOOLS, tool_choice=ToolChoice("named", "weather")),
            {Capability.FORCED_TOOLS},
        ),
        (chat_request("hi", tools=TOOLS, parallel_tool_calls=True), {Capability.PARALLEL_TOOLS}),
        (with_part(Image("https://a.example/cat.png")), {Capability.VISION}),
        (with_part(File("https://a.example/a.pdf")), {Capability.PDF}),
        (with_part(Audio("AAAA", "wav")), {Capability.AUDIO_IN}),
        (
            chat_request("hi", response_format=ResponseFormat("json_schema", schema={})),
            {Capability.STRUCTURED_OUTPUT},
        ),
        (chat_request("hi", n=9), {Capability.N}),
        (chat_request("hi", logprobs=True), {Capability.LOGPROBS}),
        (chat_request("hi", stop=("END",)), {Capability.STOP}),
        (chat_request("hi", sampling=Sampling(logit_bias={"1": 5.0})), {Capability.LOGIT_BIAS}),
    ],
    ids=lambda value: "+".join(value) if isinstance(value, set) else "",
)
def test_a_missing_capability_removes(
    ask: Ask, catalog: Snapshot, request_: ChatRequest, needed: set[Capability]
) -> None:
    lacking = {
        name: msgspec.structs.replace(facts, capabilities=facts.capabilities - needed)
        if facts.provider == "anthropic"
        else msgspec.structs.replace(facts, capabilities=facts.capabilities | needed)
        for name, facts in catalog.models.items()
    }
    changed = msgspec.structs.replace(catalog, models=lacking)
    decision = ask(request=request_, catalog=changed)
    assert all(lacking[arm.model].provider != "anthropic" for arm in decision.chain)
    assert removed(decision, "claude-opus-5") == Reason.CAPABILITY


@pytest.mark.parametrize(
    "request_",
    [
        chat_request("hi", tools=TOOLS, parallel_tool_calls=False),
        chat_request("hi", response_format=ResponseFormat("json_object")),
        chat_request("hi", sampling=Sampling(temperature=0.2, seed=1)),
        chat_request("hi", n=8),
    ],
)
def test_options_adapters_can_drop_remove_no_model(
    ask: Ask, catalog: Snapshot, request_: ChatRequest
) -> None:
    bare = frozenset({Capability.TOOLS})
    models = {n: msgspec.structs.replace(f, capabilities=bare) for n, f in catalog.models.items()}
    assert ask(request=request_, catalog=msgspec.structs.replace(catalog, models=models)).chain


@pytest.fixture(scope="module")
def listed(catalog: Snapshot) -> Snapshot:
    """The catalog with capabilities as the product reads them from its rows."""
    models = {
        name: msgspec.structs.replace(
            facts, capabilities=MODELS[name].capabilities, dialect=MODELS[name].dialect
        )
        for name, facts in catalog.models.items()
        if name in MODELS
    }
    return msgspec.structs.replace(catalog, models=models)


def test_a_pinned_model_may_lack_stop_sequences(ask: Ask, listed: Snapshot) -> None:
    request = chat_request("hi", stop=("END",))
    assert removed(ask(request=request, catalog=listed), "gpt-6-luna") == Reason.CAPABILITY
    pinned = ask(request=request, catalog=listed, mode=Mode.MANUAL, pinned="gpt-6-luna")
    assert pinned.chain[0].model == "gpt-6-luna"


def test_geminis_sampling_takes_no_logit_bias(ask: Ask, listed: Snapshot) -> None:
    decision = ask(request=chat_request("hi", sampling=Sampling(logit_bias={"1": 5.0})), catalog=listed)
    assert removed(decision, "gpt-4o") is None
    assert removed(decision, "gemini-2.5-flash") == Reason.CAPABILITY


def test_choices_called_one_at_a_time_pay_their_input_each_time(ask: Ask, listed: Snapshot) -> None:
    def cost(n: int, model: str) -> float:
        text = "word " * 20_000
        decision = ask(
            request=chat_request(text, n=n, max_output_tokens=16),
            catalog=listed,
            mode=Mode.MANUAL,
            pinned=model,
        )
        return next(forecast.cost_usd or 0 for forecast in decision.forecast if forecast.arm.model == model)

    assert cost(4, "claude-opus-5") / cost(1, "claude-opus-5") == pytest.approx(4, rel=0.01)
    assert cost(4, "gpt-4o") / cost(1, "gpt-4o") < 1.2


def test_an_input_longer_than_the_context_removes(ask: Ask) -> None:
    decision = ask("word " * 180_000)
    assert removed(decision, "gpt-4o") == Reason.CONTEXT
    assert removed(decision, "gpt-6-luna") is None


def test_requested_output_counts_towards_the_context(ask: Ask) -> None:
    assert removed(ask(request=chat_request("word " * 115_000, max_output_tokens=8000)), "gpt-4o") is None
    decision = ask(request=chat_request("word " * 115_000, max_output_tokens=16000))
    assert removed(decision, "gpt-4o") == Reason.CONTEXT


def test_only_allowed_models_are_candidates(ask: Ask) -> None:
    decision = ask("hi", allowed=frozenset({"gpt-4o", "claude-opus-5"}))
    assert {arm.model for arm in decision.chain} == {"gpt-4o", "claude-opus-5"}
    assert removed(decision, "gpt-6-luna") == Reason.NOT_ALLOWED


def test_test_mode_takes_the_default_tier_only(ask: Ask, catalog: Snapshot) -> None:
    decision = ask("hi", test_mode=True, strategy=Strategy.QUALITY)
    assert {catalog.models[arm.model].tier for arm in decision.chain} == {"default"}
    assert removed(decision, "claude-opus-5") == Reason.TEST_MODE


def test_test_mode_has_no_effect_in_manual_mode(ask: Ask) -> None:
    decision = ask("hi", mode=Mode.MANUAL, pinned="claude-opus-5", test_mode=True)
    assert decision.chain[0] == Arm("claude-opus-5")


def test_an_unpriced_model_is_a_candidate_only_when_pinned(ask: Ask, catalog: Snapshot) -> None:
    prices = {name: tiers for name, tiers in catalog.prices.items() if name != "gpt-6-luna"}
    changed = msgspec.structs.replace(catalog, prices=prices)
    assert removed(ask("hi", catalog=changed), "gpt-6-luna") == Reason.UNPRICED
    pinned = ask("hi", catalog=changed, mode=Mode.MANUAL, pinned="gpt-6-luna")
    assert pinned.chain[0].model == "gpt-6-luna"
    assert pinned.forecast[0].cost_usd is None


def test_a_limited_access_model_is_a_candidate_only_when_pinned(ask: Ask) -> None:
    assert removed(ask("hi"), "claude-mythos-5") == Reason.LIMITED_ACCESS
    pinned = ask("hi", mode=Mode.MANUAL, pinned="claude-mythos-5")
    assert pinned.chain[0].model == "claude-mythos-5"


def test_a_model_is_retired_from_its_shutdown_date_on(ask: Ask) -> None:
    before, after = datetime(2026, 12, 10, 23, tzinfo=UTC), datetime(2026, 12, 11, tzinfo=UTC)
    assert removed(ask("hi", at=before), "gpt-5") is None
    assert removed(ask("hi", at=after), "gpt-5") == Reason.RETIRED


def test_a_paused_model_is_removed_with_the_breakers_words(ask: Ask, catalog: Snapshot) -> None:
    changed = msgspec.structs.replace(catalog, blocked={"gpt-6-luna": "five failures in a row"})
    decision = ask("hi", catalog=changed)
    entry = next(e for e in decision.trace.candidates if e.model == "gpt-6-luna")
    assert entry.removed is not None
    assert entry.removed.code == Reason.UNAVAILABLE
    assert "five failures in a row" in entry.removed.words


@pytest.mark.parametrize(
    ("limits", "code"), [({"max_cost_usd": 0.0005}, "max_cost"), ({"budget_left_usd": 0.0005}, "budget")]
)
def test_candidates_over_the_callers_ceiling_are_left_out(
    ask: Ask, limits: dict[str, float], code: str
) -> None:
    decision = ask("hi", strategy=Strategy.QUALITY, **limits)
    ranked = [entry for entry in decision.trace.candidates if entry.removed is None]
    assert all(entry.cost_usd <= 0.0005 for entry in ranked)
    assert removed(decision, "claude-fable-5") == code


def test_a_pinned_effort_keeps_models_that_take_it(ask: Ask, catalog: Snapshot) -> None:
    decision = ask(request=chat_request("hi", effort=Effort.XHIGH))
    assert all(arm.effort is Effort.XHIGH for arm in decision.chain)
    assert removed(decision, "gpt-5") == Reason.EFFORT


def test_the_lowest_effort_also_suits_models_that_never_reason(ask: Ask) -> None:
    assert removed(ask(request=chat_request("hi", effort=Effort.NONE)), "gpt-4o") is None


@pytest.mark.parametrize(
    ("circumstances", "code"),
    [
        ({"max_cost_usd": 1e-9}, "budget_too_low"),
        ({"budget_left_usd": 0.0}, "budget_too_low"),
        ({"allowed": frozenset({"no-such-model"})}, "no_capable_model"),
        ({"mode": Mode.MANUAL, "pinned": "no-such-model"}, "invalid_model"),
        ({"mode": Mode.MANUAL, "pinned": None}, "invalid_model"),
        ({"mode": Mode.MANUAL, "pinned": "gpt-4o", "max_cost_usd": 1e-9}, "budget_too_low"),
    ],
)
def test_a_refusal_says_what_the_caller_can_change(
    ask: Ask, circumstances: dict[str, object], code: str
) -> None:
    with pytest.raises(NoCandidate) as refused:
        ask("hi", **circumstances)
    assert refused.value.code == code
    assert refused.value.message


def test_an_input_no_model_can_take_is_a_context_error(ask: Ask) -> None:
    with pytest.raises(NoCandidate) as refused:
        ask("word " * 1_500_000)
    assert refused.value.code == "context_length_exceeded"


def test_a_capability_no_model_has_is_named_in_the_refusal(ask: Ask) -> None:
    with pytest.raises(NoCandidate, match="does not hear audio") as refused:
        ask(request=with_part(Audio("AAAA", "wav")), allowed=frozenset({"gpt-6-luna"}))
    assert refused.value.code == "no_capable_model"
    assert all(isinstance(removal.words, str) for removal in refused.value.removed.values())


def test_a_snapshot_without_models_refuses(ask: Ask, catalog: Snapshot) -> None:
    with pytest.raises(NoCandidate) as refused:
        ask("hi", catalog=msgspec.structs.replace(catalog, models={}, arms=()))
    assert refused.value.code == "no_capable_model"


def test_a_free_model_is_a_candidate(ask: Ask, catalog: Snapshot) -> None:
    free = PriceTier(0, UnitPrices(*[Decimal(0)] * 5))
    changed = msgspec.structs.replace(catalog, prices={**catalog.prices, "gpt-4o": (free,)})
    assert ask("hi", catalog=changed, strategy=Strategy.COST).chain[0].model == "gpt-4o"
