"""Operators are alerted once to a provider that fails for long; the alert is resolved when it answers."""

import time
from typing import Any

import pytest

from billing.alerts.models import Alert
from tests.conftest import Simulator
from tests.door_client import NativeClient

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
    assert len(simulator.calls(provider="openai")) == 1, "it is not called again"
    simulator.reset()
    time.sleep(PAUSE_S)
    assert client.ask(model="gpt-4.1-mini").model == "gpt-4.1-mini"
    assert alerts("openai", is_open=False) == 1
