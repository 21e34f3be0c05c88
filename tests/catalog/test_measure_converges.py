"""A month of simulated traffic: latency figures agree with the simulator's pace within 20 %."""

import random
from datetime import timedelta

import pytest

from accounts.keys import create_key
from accounts.models import Account, Plan
from billing.models import Attempt, Request
from routing.catalog.build import build
from routing.catalog.measure import measure
from routing.catalog.snapshot import Latency
from routing.language.arms import Arm, Effort
from routing.language.ids import new_request_id
from routing.simulator.model.models import Model, find
from routing.simulator.model.pace import Pace
from tests.catalog.conftest import NOW, PROVIDERS

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30)
WITHIN = 0.20
# Model and effort of the arms, from small to large, with and without thought.
ARMS = [
    ("openai", Arm("gpt-6-luna", Effort.NONE)),
    ("openai", Arm("gpt-6-luna", Effort.HIGH)),
    ("openai", Arm("gpt-4.1-mini", None)),
    ("anthropic", Arm("claude-opus-5-5", Effort.HIGH)),
    ("google", Arm("gemini-3.8-flash", Effort.MEDIUM)),
]
THOUGHT = {Effort.NONE: 0, None: 0, Effort.MEDIUM: 192, Effort.HIGH: 448}


class Month:
    """Attempts of one arm at the simulator's pace, which changed ten days ago from half as fast."""

    def __init__(self, provider: str, arm: Arm, share_streamed: float) -> None:
        self.arm, self.provider = arm, provider
        self.dice = random.Random(arm.name)  # noqa: S311 - reproducible
        model = find(provider, arm.model)
        assert model is not None
        self.model: Model = model
        account = Account.objects.create(name="Tests", plan=Plan.objects.get(pk="unlimited"))
        key, _ = create_key(account, "tests")
        rows = [
            Request(
                id=new_request_id(), account=account, key=key, created_at=NOW, lease_until=NOW,
                door="native", mode="routeplex-ai", strategy="auto", routed_model=arm.model, trace={},
                streamed=streamed,
            )
            for streamed in (False, True)
        ]  # fmt: skip
        Request.objects.bulk_create(rows)
        attempts = []
        for number in range(1, 3_001):
            streamed = self.dice.random() < share_streamed
            attempts.append(self._attempt(rows[streamed], number, MONTH * self.dice.random(), streamed))
        Attempt.objects.bulk_create(attempts)

    def _attempt(self, request: Request, number: int, ago: timedelta, streamed: bool) -> Attempt:
        visible, reasoning = self.lengths()
        pace = Pace(1.0 if ago < timedelta(days=10) else 2.0)
        first = pace.first_token(self.model, reasoning) * self.dice.gauss(1, 0.05)
        latency = first + pace.tokens(self.model, visible) * self.dice.gauss(1, 0.05)
        return Attempt(
            request=request, number=number, model=self.arm.model, effort=self.arm.effort or "",
            provider=self.provider, outcome="ok", started_at=NOW - ago,
            ttft_ms=round(1000 * first) if streamed else round(1000 * latency) - 1,
            latency_ms=round(1000 * latency), output_tokens=visible + reasoning, reasoning_tokens=reasoning,
        )  # fmt: skip

    def lengths(self) -> tuple[int, int]:
        """Visible and reasoning tokens of one answer, as the simulator's spread."""
        visible = round(min(2_000, self.dice.lognormvariate(5.3, 0.6)))
        return visible, THOUGHT[self.arm.effort] * self.dice.choice((1, 1, 1, 2))

    def measured(self) -> Latency:
        measure(NOW)
        return build(NOW, PROVIDERS).snapshot.latency[self.arm]


@pytest.mark.parametrize("share_streamed", [1.0, 0.0, 0.05, 0.5], ids="{:.0%} streamed".format)
@pytest.mark.parametrize(("provider", "arm"), ARMS, ids=str)
def test_latency_figures_agree_with_the_simulator(provider: str, arm: Arm, share_streamed: float) -> None:
    month = Month(provider, arm, share_streamed)
    latency, pace = month.measured(), Pace(1.0)
    first_ms = 1000 * pace.first_token(month.model, THOUGHT[arm.effort])
    assert latency.samples >= 20
    assert latency.ttft_p50_ms == pytest.approx(first_ms, rel=WITHIN)
    assert latency.tokens_per_second == pytest.approx(1 / pace.tokens(month.model, 1), rel=WITHIN)
    for visible in (50, 200, 800):
        expected_ms = first_ms + 1000 * pace.tokens(month.model, visible)
        forecast_ms = latency.ttft_p50_ms + visible / latency.tokens_per_second * 1000
        assert forecast_ms == pytest.approx(expected_ms, rel=WITHIN)
