"""A limit of the visible answer leaves room to reason; a limit of the whole output includes the reasoning."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.caller import Limits
from accounts.keys import create_key
from billing.models import Request
from routing.decide.prediction.tokens import exact_count
from tests.conftest import Simulator
from tests.door_client import ChatClient, DoorClient, MessagesClient, NativeClient, Reply, ResponsesClient
from tests.providers.facts import MODELS

HARD = [
    {
        "role": "user",
        "content": "Find all integer solutions of x^3 + y^3 = z^3 + 1 below 100; prove there are no others.",
    }
]
ESSAY = [{"role": "user", "content": "Explain the history of bread in detail."}]
THINKERS = ("gpt-5", "gpt-6.2-sol", "claude-opus-5", "gemini-4-argon", "gemini-2.5-pro")
FLAGSHIPS = ("gpt-6.2-sol", "claude-opus-5", "gemini-4-argon")
VISIBLE = [(client, streamed) for client in (NativeClient, ChatClient) for streamed in (False, True)]
NOTE = {"parameter": "max_tokens", "verdict": "honoured", "change": "visible answer"}


@pytest.fixture(params=VISIBLE, ids=lambda way: f"{way[0].name}-{'streamed' if way[1] else 'whole'}")
def visible(request: pytest.FixtureRequest, http: httpx.Client) -> DoorClient:
    """The APIs whose limit is of the visible answer, streamed and whole."""
    client, streamed = request.param
    door_client: DoorClient = client(http, streamed)
    return door_client


def row_of(reply: Reply) -> Any:
    return Request.objects.get(pk=reply.request_id)


def tokens(reply: Reply) -> int:
    return exact_count(reply.text, MODELS[reply.model])


def sent_limit(simulator: Simulator) -> int:
    """The output limit of the last upstream call."""
    body = simulator.calls()[-1]["body"]
    limits = body | body.get("generationConfig", {})
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
    return int(next(limits[name] for name in names if name in limits))


def route(http: httpx.Client, **fields: Any) -> dict[str, Any]:
    response = http.post("/api/v1/route", json={"messages": HARD} | fields)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


@pytest.mark.parametrize("limit", [512, 4096])
def test_a_hard_prompt_goes_to_a_thinking_arm(visible: DoorClient, simulator: Simulator, limit: int) -> None:
    reply = visible.ask(HARD, max_output_tokens=limit)
    assert reply.finish == "stop"
    assert reply.attempts[-1]["effort"] not in (None, "none")
    assert sent_limit(simulator) >= limit + 1024
    assert 0 < tokens(reply) <= limit


def test_without_a_limit_the_native_answer_has_4096_visible_tokens(
    http: httpx.Client, simulator: Simulator
) -> None:
    NativeClient(http, streamed=False).ask(ESSAY, model="gpt-4o")
    assert sent_limit(simulator) == 4096
    NativeClient(http, streamed=False).ask(ESSAY, model="gpt-5")
    assert sent_limit(simulator) >= 4096 + 1024


@pytest.mark.parametrize("model", THINKERS)
def test_the_visible_text_is_cut_and_all_of_it_is_charged(
    visible: DoorClient, simulator: Simulator, model: str
) -> None:
    reply = visible.ask(ESSAY, model=model, max_output_tokens=40)
    assert (reply.status, reply.model, reply.finish) == (200, model, "length"), reply.attempts
    assert 35 <= tokens(reply) <= 40
    call, row = simulator.calls()[-1], row_of(reply)
    assert row.finish_reason == "length"
    assert (row.output_tokens, row.usage_estimated) == (call["usage"]["output_tokens"], False)
    assert row.reasoning_tokens == call["usage"]["reasoning"] < row.output_tokens
    assert float(row.cost_usd) == reply.cost_usd


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-5"])
def test_a_model_that_does_not_think_gets_the_limit_itself(
    visible: DoorClient, simulator: Simulator, model: str
) -> None:
    reply = visible.ask(ESSAY, model=model, max_output_tokens=40)
    assert (reply.finish, sent_limit(simulator)) == ("length", 40)


@pytest.mark.parametrize(
    ("client", "fields"),
    [
        (ChatClient, {"max_completion_tokens": 300}),
        (ChatClient, {"max_completion_tokens": 300, "max_tokens": 100}),
        (ChatClient, {"max_tokens": 300, "reasoning_effort": "low"}),
        (ChatClient, {"max_tokens": 300, "reasoning": {"effort": "low"}, "model": "claude-opus-5"}),
        (ChatClient, {"max_tokens": 300, "thinking": {"type": "adaptive"}, "model": "claude-opus-5"}),
        (ResponsesClient, {"max_output_tokens": 300}),
        (MessagesClient, {"max_output_tokens": 300}),
    ],
    ids=["max_completion_tokens", "both", "effort", "reasoning", "thinking", "responses", "messages"],
)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_other_limits_include_reasoning(
    http: httpx.Client, simulator: Simulator, client: type[DoorClient], fields: dict[str, Any], streamed: bool
) -> None:
    reply = client(http, streamed).ask(HARD, **({"model": "gpt-5"} | fields))
    assert reply.status == 200
    assert sent_limit(simulator) == 300
    assert row_of(reply).output_tokens <= 300


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_thinking_budget_keeps_its_meaning(
    http: httpx.Client, simulator: Simulator, streamed: bool
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 1500}
    client = MessagesClient(http, streamed)
    client.ask(HARD, model="claude-sonnet-4-5", max_output_tokens=2000, thinking=thinking)
    body = simulator.calls()[-1]["body"]
    assert (body["max_tokens"], body["thinking"]["budget_tokens"]) == (2000, 1500)


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-haiku-4-5", "gemini-2.5-pro"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_budget_of_an_effort_leaves_the_visible_answer_its_room(
    http: httpx.Client, simulator: Simulator, model: str, streamed: bool
) -> None:
    reply = NativeClient(http, streamed).ask(
        HARD, model=model, max_output_tokens=400, reasoning_effort="high"
    )
    assert (reply.status, reply.model) == (200, model), reply.attempts
    body = simulator.calls()[-1]["body"]
    config = body.get("generationConfig", {}).get("thinkingConfig", {})
    budget = body.get("thinking", config).get("budget_tokens", config.get("thinkingBudget"))
    assert 1024 <= budget <= sent_limit(simulator) - 400


@pytest.mark.parametrize("model", FLAGSHIPS)
@pytest.mark.parametrize("limit", [512, 4096])
def test_a_pinned_flagship_is_expected_to_succeed(http: httpx.Client, model: str, limit: int) -> None:
    chosen = next(
        entry
        for entry in route(http, model=model, max_output_tokens=limit)["candidates"]
        if entry["arm"] == model
    )
    assert chosen["p_success"] > 0.7


def test_a_cost_limit_counts_the_reasoning(http: httpx.Client) -> None:
    fields = {"model": "gpt-5", "reasoning_effort": "high", "max_output_tokens": 512, "fallback": False}
    expected = route(http, **fields)["estimated"]
    assert expected["output_tokens"] > 1000
    reply = NativeClient(http, streamed=False).ask(HARD, **fields, max_cost_usd=expected["cost_usd"] / 2)
    assert (reply.error or {})["code"] == "budget_too_low"
    paid = NativeClient(http, streamed=False).ask(HARD, **fields, max_cost_usd=expected["cost_usd"] * 1.1)
    assert paid.status == 200


def test_an_estimate_counts_the_allowance(http: httpx.Client) -> None:
    def estimate(model: str) -> Any:
        body = {"messages": HARD, "model": model, "max_output_tokens": 512}
        return http.post("/api/v1/chat/estimate", json=body).json()["data"]

    assert estimate("gpt-4o")["max_output_tokens"] == 512
    assert estimate("gpt-5")["max_output_tokens"] >= 512 + 1024


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("client", [NativeClient, ChatClient], ids=lambda client: client.name)
def test_a_daily_budget_covers_the_allowance(
    server: str, account: Any, simulator: Simulator, client: type[DoorClient], streamed: bool
) -> None:
    """A budget that pays for the visible answer alone lowers the limit that is sent, and is never passed."""
    cap = Decimal("0.008")
    _, secret = create_key(account, "capped", limits=Limits(daily_usd=cap))
    with httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=60) as http:
        reply = client(http, streamed).ask(HARD, model="gpt-5", fallback=False, max_output_tokens=512)
    assert reply.status == 200
    assert 512 < sent_limit(simulator) < 850  # 0.008 USD at 10 USD a million tokens, less the input
    row = row_of(reply)
    assert row.cost_usd <= cap
    (receipt,) = row.fidelity["parameters"]
    assert receipt["verdict"] == "adapted"
    assert receipt["change"].endswith("what is left to spend")


def test_the_receipt_says_what_the_limit_is_of(visible: DoorClient) -> None:
    reply = visible.ask(ESSAY, model="gpt-5", max_output_tokens=500)
    assert row_of(reply).fidelity["parameters"] == [NOTE]


@pytest.mark.parametrize("kind", ["stall", "cut"])
@pytest.mark.parametrize("client", [NativeClient, ChatClient], ids=lambda client: client.name)
def test_a_long_rest_is_not_waited_for(
    http: httpx.Client, simulator: Simulator, client: type[DoorClient], kind: str
) -> None:
    """The call is closed; its usage is the text received and the reasoning of the forecast."""
    simulator.fault(kind=kind, model="gpt-5", after_chunks=40, count=1)
    reply = client(http, streamed=True).ask(ESSAY, model="gpt-5", max_output_tokens=10)
    assert (reply.status, reply.finish, reply.error) == (200, "length", None)
    assert 8 <= tokens(reply) <= 10
    assert [attempt["outcome"] for attempt in reply.attempts] == ["ok"]
    row = row_of(reply)
    assert (row.status, row.usage_estimated) == ("succeeded", True)
    assert row.uncached_input_tokens > 0
    assert row.output_tokens > row.reasoning_tokens + 10 > 10
