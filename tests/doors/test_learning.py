"""Self-learning through the doors: an account that says an answer was no good is answered otherwise."""

from typing import Any

import httpx
import pytest

BODY = {"messages": [{"role": "user", "content": "Write a haiku about the sea"}]}


def chat(http: httpx.Client) -> tuple[str, dict[str, float]]:
    """The request's id, and what learning added to P(success), by arm."""
    from billing.models import Request

    answer = http.post("/api/v1/chat", json=BODY).json()["data"]
    row = Request.objects.get(pk=answer["id"])
    return row.pk, {candidate["arm"]: candidate["learned"] for candidate in row.trace["candidates"]}


def test_feedback_moves_the_next_decision_and_is_reported(
    http: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routing.learning.account.FRESH_S", 0.0)
    assert not any(chat(http)[1].values())
    for _ in range(25):  # the gate is ten of one model, and some go elsewhere by exploration or by learning
        request_id, _ = chat(http)
        response = http.post("/api/v1/feedback", json={"request_id": request_id, "thumb": "down"})
        assert response.status_code == 200
    learning = http.get("/api/v1/insights/learning").json()["data"]
    assert learning["influence"]["applied"] is True
    chat(http)  # what it decides with is read anew behind it
    _, learned = chat(http)
    moved = {posterior["arm"] for posterior in learning["learnt"] if posterior["shift"] < 0}
    assert moved
    assert all(learned[arm] < 0 for arm in moved)
    assert not any(shift for arm, shift in learned.items() if arm not in moved)


def test_off_nothing_is_heeded(http: httpx.Client, account: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.utils import timezone

    from routing.learning.account import set_mode
    from routing.learning.models import Learning

    monkeypatch.setattr("routing.learning.account.FRESH_S", 0.0)
    set_mode(account.pk, Learning.Mode.OFF, timezone.now())
    for _ in range(12):
        request_id, _ = chat(http)
        http.post("/api/v1/feedback", json={"request_id": request_id, "thumb": "down"})
    chat(http)
    assert not any(chat(http)[1].values())
    influence = http.get("/api/v1/insights/learning").json()["data"]["influence"]
    assert (influence["applied"], influence["mode"]) == (False, "off")
