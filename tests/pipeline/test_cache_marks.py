"""Smart Routing marks a conversation that goes on, where a provider caches at marks only."""

from typing import Any

import httpx
import pytest

from billing.models import Request
from tests.conftest import Simulator

CLAUDE = "claude-sonnet-4-5"
RULES = "Water the bed in the morning and shut the gate behind you. " * 150
TURNS = 6


def talk(http: httpx.Client, edition: str, model: str, **fields: Any) -> list[Request]:
    """A conversation of some turns about a long document; its requests in the ledger."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": f"Edition {edition}. {RULES}"}]
    rows = []
    for number in range(TURNS):
        messages.append({"role": "user", "content": f"Question {number}: when do I water?"})
        body = {"model": model, "max_tokens": 50, "messages": messages} | fields
        response = http.post("/v1/chat/completions", json=body, headers={"X-RoutePlex-Models": CLAUDE})
        assert response.status_code == 200, response.text
        answer = response.json()
        messages.append({"role": "assistant", "content": answer["choices"][0]["message"]["content"]})
        rows.append(Request.objects.get(pk=answer["x_routeplex"]["request_id"]))
    return rows


@pytest.fixture
def marked(http: httpx.Client, simulator: Simulator) -> list[Request]:
    return talk(http, "smart", "auto")


def test_a_conversation_is_read_from_the_cache_from_its_third_turn_on(marked: list[Request]) -> None:
    reads = [row.cache_read_tokens for row in marked]
    assert reads[:2] == [0, 0]
    assert all(read > 1500 for read in reads[2:])
    assert marked[0].cache_write_tokens == 0  # a single question pays nothing for a cache
    receipts = [{entry["parameter"]: entry for entry in row.fidelity["parameters"]} for row in marked]
    assert "cache_control" not in receipts[0]
    assert receipts[2]["cache_control"]["verdict"] == "adapted"
    assert "set here" in receipts[2]["cache_control"]["change"]


def test_it_costs_half(marked: list[Request], http: httpx.Client) -> None:
    unmarked = talk(http, "named", CLAUDE)
    assert all(row.cache_read_tokens == 0 for row in unmarked)
    costs = [sum(row.cost_usd or 0 for row in rows) for rows in (marked, unmarked)]
    assert costs[0] * 100 < costs[1] * 55, costs


def test_marks_of_the_caller_are_left_as_they_are(http: httpx.Client, simulator: Simulator) -> None:
    talk(http, "own", "auto", cache_control={"type": "ephemeral", "ttl": "1h"})
    sent = str(simulator.calls()[-1]["body"])
    assert (sent.count("cache_control"), sent.count("1h")) == (1, 1)
