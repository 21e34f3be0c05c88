"""Operators are alerted once to a provider that fails for long; the alert is resolved when it answers."""

import time
from typing import Any

import httpx
import pytest

from billing.alerts.models import Alert
from routing.execute.breaker import STRIKES
from tests.conftest import Simulator
from tests.door_client import NativeClient, Reply

PAUSE_S = 3.0  # instead of five minutes
TROUBLE = {
    "wrong credential": {"kind": "status", "status": 401},
    "no credit left": {"kind": "status", "status": 429, "error_code": "insufficient_quota"},
}


def alerts(provider: str, *, is_open: bool) -> int:
    matching = Alert.objects.filter(account=None, resolved_at__isnull=is_open, detail__name=provider)
    deadline = time.monotonic() + 5  # alerts are written after the answer
    while not matching.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return matching.count()


@pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE.keys())
def test_rows_17_and_18_callers_are_served_and_operators_alerted_once(
    http: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr("routing.execute.breaker.LONG_PAUSE_S", PAUSE_S)
    Alert.objects.all().delete()
    simulator.fault(provider="openai", **fault)
    client = NativeClient(http, streamed=False)
    for _ in range(3):
        assert client.ask(model="gpt-4.1-mini").error is None
    assert alerts("openai", is_open=True) == 1
    assert len(simulator.calls(provider="openai")) == STRIKES, "it is not called again"
    simulator.reset()
    time.sleep(PAUSE_S)
    assert client.ask(model="gpt-4.1-mini").model == "gpt-4.1-mini"
    assert alerts("openai", is_open=False) == 1


class SoleProvider:
    """A caller whose only model belongs to one provider, and its refusals."""

    def __init__(self, http: httpx.Client, simulator: Simulator) -> None:
        self._client = NativeClient(http, streamed=False)
        self.http, self.simulator = http, simulator

    def ask(self) -> Reply:
        return self._client.ask(model="gpt-4o-mini", fallback=False)

    def trouble(self, count: int | None = None) -> None:
        self.simulator.fault(provider="openai", kind="status", status=401, count=count)


@pytest.fixture
def sole(http: httpx.Client, simulator: Simulator) -> SoleProvider:
    return SoleProvider(http, simulator)


def test_row_33_one_401_pauses_nothing(sole: SoleProvider) -> None:
    sole.trouble(count=1)
    assert sole.ask().error is None
    assert sole.ask().error is None
    assert sole.http.get("/readyz").json()["status"] == "ok"


def test_row_33_a_second_401_pauses_the_provider_and_everybody_is_informed(
    sole: SoleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.execute.breaker.LAST_RESORT_S", 2.0)
    Alert.objects.all().delete()
    sole.trouble()
    assert sole.ask().status == 502
    refused = sole.ask()
    assert (refused.status, refused.headers["retry-after"]) == (503, "2")
    assert "in 2 s" in (refused.error or {})["message"]
    assert len(sole.simulator.calls()) == 2
    ready = sole.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "degraded")
    assert "auth" in ready.json()["paused"]["openai"]
    assert alerts("openai", is_open=True) == 1


def test_row_33_a_paused_provider_is_probed_when_nothing_else_is_left(
    sole: SoleProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.execute.breaker.LAST_RESORT_S", 1.0)
    sole.trouble(count=3)
    sole.ask()
    time.sleep(1.1)
    assert sole.ask().status == 502, "the probe fails, and is not repeated"
    assert len(sole.simulator.calls()) == 3
    assert sole.ask().status == 503
    assert len(sole.simulator.calls()) == 3
    time.sleep(1.1)
    assert sole.ask().error is None, "the provider has recovered"
    assert sole.ask().error is None
    assert sole.http.get("/readyz").json()["status"] == "ok"


def test_row_33_others_answer_while_a_provider_is_paused(sole: SoleProvider, http: httpx.Client) -> None:
    sole.trouble()
    sole.ask()
    calls = len(sole.simulator.calls(provider="openai"))
    client = NativeClient(http, streamed=False)
    assert all(client.ask().error is None for _ in range(3))
    assert len(sole.simulator.calls(provider="openai")) == calls


def test_row_1_a_model_its_provider_pauses_says_for_how_long(
    http: httpx.Client, simulator: Simulator
) -> None:
    client = NativeClient(http, streamed=False)
    simulator.fault(kind="status", status=429, retry_after=40, model="gpt-4o-mini", count=1)
    first = client.ask(model="gpt-4o-mini", fallback=False)
    assert first.headers["retry-after"] == "40"
    second = client.ask(model="gpt-4o-mini", fallback=False)
    assert second.status == 503
    assert 38 <= int(second.headers["retry-after"]) <= 40
