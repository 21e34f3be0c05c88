"""Streams over a real socket: kept alive in silence, ended when the caller leaves."""

import time

import pytest

from billing.models import Request
from routing.doors.shared import sse
from tests.conftest import Simulator
from tests.doors.conftest import OPENAI_SHAPED, Door, events


def _row_when_ended(request_id: str) -> Request:
    deadline = time.monotonic() + 10
    while (row := Request.objects.get(pk=request_id)).status == Request.Status.OPEN:
        assert time.monotonic() < deadline, "the request did not end"
        time.sleep(0.02)
    return row


@OPENAI_SHAPED
def test_silence_is_filled_with_comments(
    door: Door, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE_S", 0.1)
    simulator.fault(kind="stall", after_chunks=2, count=1)
    frames = door.ask(stream=True).text.split("\n\n")
    assert frames.count(": keep-alive") >= 3


def test_a_caller_who_leaves_ends_the_request(door: Door, simulator: Simulator) -> None:
    simulator.fault(kind="stall", after_chunks=2, count=1)
    with door.http.stream("POST", door.path, json=door.body(stream=True)) as response:
        next(response.iter_bytes())
    row = _row_when_ended(response.headers["x-request-id"])
    assert row.status == Request.Status.ABORTED
    assert row.cost_usd is not None


def test_choices_begin_in_order_whichever_answers_first(openai_door: Door, simulator: Simulator) -> None:
    """Three calls make one answer; the first of them is the slowest."""
    simulator.fault(provider="anthropic", kind="delay", delay_s=0.3, count=1)
    response = openai_door.ask(model="claude-sonnet-4-5", n=3, stream=True)
    begun = [
        choice["index"]
        for event in events(response)
        for choice in event.get("choices", [])
        if choice["delta"].get("role")
    ]
    assert begun == [0, 1, 2]
