"""Answer lengths learnt from traffic: what counts, and forecasts in a month of the simulator's answers."""

import random
import statistics
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from accounts.keys import create_key
from accounts.models import Account, Plan
from billing.models import Attempt, Request
from routing.catalog.build import build
from routing.catalog.length_ratios import BANDS, Level, Sample, band_of, ratios
from routing.catalog.models import AnswerLength
from routing.catalog.snapshot import Snapshot
from routing.decide.decision import Decision, DecisionInput, decide
from routing.language.chat import Strategy
from routing.language.ids import new_request_id
from routing.learning.answer_lengths import MAX_ATTEMPTS, learn_answer_lengths
from routing.simulator.model.answers import compose
from routing.simulator.model.models import find
from routing.simulator.shared.prompt import Answer, Generation, Turn
from tests.catalog.conftest import NOW, PROVIDERS
from tests.decide.conftest import chat_request

AddAnswer = Callable[..., Request]
LUNA = "gpt-6-luna"
CELL = Level("gpt-6-luna@none", "humanities", 0)


@pytest.fixture
def add_answer(db: None) -> AddAnswer:
    """`add_answer(visible, forecast, …)`: a settled request of one arm, skill and band."""
    account = Account.objects.create(name="Tests", plan=Plan.objects.get(pk="unlimited"))
    key, _ = create_key(account, "tests")

    def add_answer(
        visible: int, forecast: int | None = 100, ago: timedelta = timedelta(), **fields: Any
    ) -> Request:
        attempt = {name: fields.pop(name) for name in ("number", "outcome") if name in fields}
        row: dict[str, Any] = {
            "door": "native", "mode": "routeplex-ai", "strategy": "auto", "routed_model": LUNA,
            "routed_effort": "none", "query_type": "humanities", "difficulty": -4.0, "trace": {},
            "status": "succeeded", "finish_reason": "stop", "settled_at": NOW, "cost_usd": 0,
            "forecast_visible_tokens": forecast, "forecast_reasoning_tokens": None if forecast is None else 0,
        }  # fmt: skip
        request = Request.objects.create(
            id=new_request_id(), account=account, key=key, created_at=NOW, lease_until=NOW, **row | fields
        )
        Attempt.objects.create(
            request=request, model=LUNA, effort="none", provider="openai", started_at=NOW - ago,
            latency_ms=1000, output_tokens=visible, **{"number": 1, "outcome": "ok"} | attempt,
        )  # fmt: skip
        return request

    return add_answer


def learned(level: Level = CELL) -> float:
    """The visible ratio of an arm's cell, all levels multiplied; 1 where nothing was learnt."""
    learn_answer_lengths(NOW)
    rows = {Level(row.arm, row.skill, row.band): row.visible_ratio for row in AnswerLength.objects.all()}
    levels = (Level("", level.skill, level.band), Level(level.arm, "", None), level)
    return float(rows.get(levels[0], 1.0) * rows.get(levels[1], 1.0) * rows.get(levels[2], 1.0))


def test_a_few_answers_correct_a_little_and_many_correct_fully(add_answer: AddAnswer) -> None:
    add_answer(300)
    assert 1.0 < learned() < 2.0
    for _ in range(80):
        add_answer(300)
    assert learned() == pytest.approx(300 / 100, rel=0.12)


@pytest.mark.parametrize(
    "fields",
    [
        {"finish_reason": "length"},
        {"finish_reason": "content_filter"},
        {"status": "partial"},
        {"status": "failed", "outcome": "failed"},
        {"number": 2},
        {"routed_model": "gpt-6-sol"},
        {"usage_estimated": True},
        {"forecast": None},
        {"ago": timedelta(days=31)},
    ],
    ids=str,
)
def test_answers_that_are_not_whole_or_not_of_the_forecast_arm_do_not_count(
    add_answer: AddAnswer, fields: dict[str, Any]
) -> None:
    for _ in range(20):
        add_answer(10, **fields)
    assert learned() == 1.0
    assert not AnswerLength.objects.exists()


def test_newer_answers_count_more(add_answer: AddAnswer) -> None:
    for _ in range(40):
        add_answer(400, ago=timedelta(days=28))
        add_answer(100)
    assert learned() == pytest.approx(1.0, abs=0.15)


def test_one_answer_of_absurd_length_hardly_counts(add_answer: AddAnswer) -> None:
    for _ in range(50):
        add_answer(100)
    add_answer(100_000)
    assert learned() == pytest.approx(1.0, abs=0.15)


def test_the_snapshot_has_the_ratios_and_its_version_tells_them_apart(add_answer: AddAnswer) -> None:
    before = build(NOW, PROVIDERS).snapshot
    add_answer(300)
    learn_answer_lengths(NOW)
    after = build(NOW, PROVIDERS).snapshot
    assert not before.output_tokens
    assert CELL.key in after.output_tokens
    assert after.version != before.version


def test_learning_again_replaces_the_table(add_answer: AddAnswer) -> None:
    add_answer(300)
    first = learn_answer_lengths(NOW)
    assert learn_answer_lengths(NOW) == first == AnswerLength.objects.count()
    assert learn_answer_lengths(NOW + timedelta(days=60)) == 0 == AnswerLength.objects.count()


def test_one_busy_cell_does_not_decide_for_all_others() -> None:
    busy = [Sample("a@none", "coding", 0, 1.0, 800, 0, 100, 0)] * MAX_ATTEMPTS
    others = [
        Sample(f"{arm}@none", skill, 0, 1.0, 100, 0, 100, 0)
        for arm in "bcdefg"
        for skill in ("writing", "science")
        for _ in range(20)
    ]
    learnt = ratios([*busy, *others])
    assert learnt[Level("", "writing", 0)].visible == pytest.approx(1.0, abs=0.15)


def test_bands_ascend_with_difficulty() -> None:
    assert [band_of(logits) for logits in (-4.0, -1.2, 1.0)] == list(range(BANDS))


# A month of everyday requests, answered by the simulator. The last week is of topics not met before.

TASKS = (
    "What is {}?", "What is the capital of {}?", "Explain {} to a beginner", "Write a short story about {}",
    "Write a Python function that checks {}", "Translate into French: I would like to know more about {}.",
    "Is this review of {} positive or negative: it was slow and noisy", "Summarise what is known about {}.",
    "Prove the main theorem about {} and refactor the algorithm that computes it",
    "Compare three ways to plan {} for a team of ten people, with costs and risks, and recommend one",
    "Draft an e-mail that declines an invitation to {}", "Debug this: def f(x): return x / 0  # {}",
)  # fmt: skip
TOPICS = (
    "inflation", "binary search", "the water cycle", "marathon training", "contract law", "sorting networks",
    "French cooking", "solar panels", "prime numbers", "urban gardening", "jazz harmony", "container ports",
)  # fmt: skip
LATER_TOPICS = ("tidal power", "graph colouring", "medieval trade", "sleep research", "tax brackets")
REQUESTS = 900


class Month:
    """Thirty days of requests, learnt from each day."""

    def __init__(self, add_answer: AddAnswer) -> None:
        self.add_answer, self.dice = add_answer, random.Random(7)  # noqa: S311 - reproducible

    def ratios(self) -> list[float]:
        """Forecast over charged cost of the requests of the last week."""
        began, outcomes, snapshot = NOW - timedelta(days=30), [], build(NOW, PROVIDERS).snapshot
        for number in range(REQUESTS):
            at = began + timedelta(days=30) * number / REQUESTS
            is_last_week = at > NOW - timedelta(days=7)
            if number % (REQUESTS // 30) == 0:
                learn_answer_lengths(at)
                snapshot = build(at, PROVIDERS).snapshot
            topic = self.dice.choice(LATER_TOPICS if is_last_week else TOPICS)
            decision, answer = self.request(self.dice.choice(TASKS).format(topic), snapshot, at)
            if is_last_week:
                outcomes.append(_forecast_over_charged(decision, answer, snapshot))
        return outcomes

    def request(self, text: str, snapshot: Snapshot, at: datetime) -> tuple[Decision, Answer]:
        strategy = self.dice.choice(list(Strategy))
        decision = decide(
            DecisionInput(request=chat_request(text), strategy=strategy, at=at), snapshot, draw=0.5
        )
        arm, trace = decision.chain[0], decision.trace
        facts, expected = snapshot.models[arm.model], decision.forecast[0]
        model = find(facts.provider, arm.model)
        assert model is not None
        answer = compose(Generation(model, (Turn("user", text),), effort=arm.effort or facts.default_effort))
        row = self.add_answer(
            answer.output_tokens, expected.starting_visible_tokens, NOW - at, routed_model=arm.model,
            routed_effort=arm.effort or "", query_type=trace.query_type, difficulty=trace.difficulty,
        )  # fmt: skip
        row.forecast_reasoning_tokens = expected.starting_reasoning_tokens
        row.save()
        row.attempts.update(
            model=arm.model, effort=arm.effort or "", reasoning_tokens=answer.reasoning_tokens
        )
        return decision, answer


def _forecast_over_charged(decision: Decision, answer: Answer, snapshot: Snapshot) -> float:
    expected = decision.forecast[0]
    prices = snapshot.prices[expected.arm.model][0].prices
    paid = expected.input_tokens * prices.uncached_input + answer.output_tokens * prices.output
    assert expected.cost_usd is not None
    return expected.cost_usd / (float(paid) / 1e6)


def test_after_a_simulated_month_forecasts_agree_with_what_is_charged(add_answer: AddAnswer) -> None:
    outcomes = Month(add_answer).ratios()
    assert 0.8 < statistics.median(outcomes) < 1.25
    tenth, *_, ninetieth = statistics.quantiles(outcomes, n=10)
    assert tenth > 0.5
    assert ninetieth < 2.0
