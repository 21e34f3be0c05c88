"""Operators hear once of a provider that fails for good; it is forgotten when it answers."""

import time
from typing import Any

import pytest

from billing.alerts.models import Alert
from tests.conftest import Simulator
from tests.pipeline.conftest import Asker

PAUSE_S = 3.0  # stands for five minutes
TROUBLE = {
    "wrong credential": {"kind": "status", "status": 401},
    "no credit left": {"kind": "status", "status": 429, "error_code": "insufficient_quota"},
}


def alerts(provider: str, *, is_open: bool) -> int:
    found = Alert.objects.filter(account=None, resolved_at__isnull=is_open, detail__name=provider)
    deadline = time.monotonic() + 5  # they are written behind the answer
    while not found.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return found.count()


@pytest.mark.parametrize("fault", TROUBLE.values(), ids=TROUBLE.keys())
def test_rows_17_and_18_the_caller_is_served_and_the_operator_told_once(
    http: Any, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fault: dict[str, Any]
) -> None:
    monkeypatch.setattr("routing.execute.breaker.LONG_PAUSE_S", PAUSE_S)
    Alert.objects.all().delete()
    simulator.fault(provider="openai", **fault)
    asker = Asker(http, "native", streamed=False)
    for _ in range(3):
        assert asker.ask(model="gpt-4.1-mini").error is None
    assert alerts("openai", is_open=True) == 1
    assert len(simulator.calls(provider="openai")) == 1, "it leaves the pool"
    simulator.reset()
    time.sleep(PAUSE_S)
    assert asker.ask(model="gpt-4.1-mini").model == "gpt-4.1-mini"
    assert alerts("openai", is_open=False) == 1
