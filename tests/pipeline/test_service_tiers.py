"""Prices by service tier and modality: what is served is charged at its price, and the answer names it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from accounts.caller import Limits
from accounts.keys import create_key
from billing.checks.audit import audit
from billing.models import Attempt, Request
from billing.prices.repricing import preview
from tests.conftest import Simulator
from tests.execute.odd_answers import answer, chat, frames

MINI = "gpt-5-mini"
# USD per million tokens of input and output: standard, flex, priority (genai-prices 0.2.3)
PRICES = {"default": ("0.25", "2"), "flex": ("0.125", "1"), "priority": ("0.45", "3.6")}
QUESTION = [{"role": "user", "content": "Name one sea."}]
Ask = Callable[..., tuple[dict[str, Any], Request]]


@pytest.fixture(params=["chat", "chat-streamed", "responses", "responses-streamed"])
def ask(request: pytest.FixtureRequest, http: httpx.Client) -> Ask:
    """Ask at OpenAI's two APIs, whole and streamed: the answer's last object that has usage, and the row."""
    door, _, streamed = request.param.partition("-")

    def of(model: str, **fields: Any) -> tuple[dict[str, Any], Request]:
        if door == "chat":
            path, body = "/v1/chat/completions", {"messages": QUESTION, "max_completion_tokens": 200}
            body |= {"stream_options": {"include_usage": True}} if streamed else {}
        else:
            path, body = "/v1/responses", {"input": QUESTION, "max_output_tokens": 200}
        body |= {"model": model, "stream": bool(streamed)} | fields
        response = http.post(path, json=body)
        assert response.status_code == 200, response.text
        last = _last(response.text, door) if streamed else response.json()
        return last, Request.objects.get(pk=response.headers["x-request-id"])

    return of


def _last(stream: str, door: str) -> dict[str, Any]:
    data = [line[6:] for line in stream.split("\n") if line.startswith("data: {")]
    events: list[dict[str, Any]] = [json.loads(event) for event in data]
    return events[-1] if door == "chat" else events[-1]["response"]


def receipt_of(last: dict[str, Any]) -> dict[str, Any]:
    receipts = last["x_routeplex"]["fidelity"]["parameters"]
    return next(entry for entry in receipts if entry["parameter"] == "service_tier")


def broken(row: Request) -> list[str]:
    checks = audit(datetime.now(UTC), account_id=row.account_id).checks
    return [check.name for check in checks if check.violations]


@pytest.mark.parametrize(
    ("requested", "served"),
    [("auto", "default"), ("default", "default"), ("flex", "flex"), ("priority", "priority")],
)
def test_a_tier_is_charged_at_its_price_and_named(ask: Ask, requested: str, served: str) -> None:
    last, row = ask(MINI, service_tier=requested)
    usd_in, usd_out = (Decimal(price) for price in PRICES[served])
    right = (row.uncached_input_tokens * usd_in + row.output_tokens * usd_out) / 1_000_000
    assert row.cost_usd == right > 0
    assert last["service_tier"] == served
    assert last["x_routeplex"]["cost_usd"] == float(right)
    assert receipt_of(last)["verdict"] == "honoured"
    assert row.service_tier == Attempt.objects.get(request=row).service_tier == served.replace("default", "")
    assert broken(row) == []


def test_a_tier_that_the_provider_did_not_serve_is_not_charged(
    http: httpx.Client, simulator: Simulator
) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    body = {"id": "c", "model": MINI, "service_tier": "default"}
    pieces = frames(chat({"content": "Oslo."}) | body, chat({}, "stop") | body | {"usage": usage}, b"[DONE]")
    answer(simulator, pieces, model=MINI)
    fields = {"model": MINI, "messages": QUESTION, "service_tier": "priority", "stream": True}
    last = _last(http.post("/v1/chat/completions", json=fields).text, "chat")
    assert (last["service_tier"], last["x_routeplex"]["cost_usd"]) == ("default", 0.000025)
    assert receipt_of(last) == {
        "parameter": "service_tier", "verdict": "adapted", "change": "served as standard",
    }  # fmt: skip


@pytest.mark.parametrize("tier", ["flex", "ultrafast", "on_demand"])
@pytest.mark.parametrize("model", ["gpt-4.1-mini", "claude-haiku-4-5", "gemini-2.5-flash"])
def test_a_tier_without_a_price_is_not_sent(ask: Ask, simulator: Simulator, model: str, tier: str) -> None:
    last, row = ask(model, service_tier=tier)
    assert receipt_of(last) == {
        "parameter": "service_tier",
        "verdict": "dropped",
        "change": f"no price is known for {tier} with this model",
    }
    assert (last["service_tier"], row.service_tier) == ("default", "")
    (call,) = simulator.calls()
    assert {"service_tier", "serviceTier"}.isdisjoint(call["body"])


def test_a_hold_pays_for_the_tier(server: str, account: Any) -> None:
    """A cap that pays for a long answer at the standard price: at priority the answer is cut to the cap."""
    cap = Decimal("0.0003")
    secret = create_key(account, "tier", limits=Limits(daily_usd=cap))[1]
    headers = {"Authorization": f"Bearer {secret}", "X-RoutePlex-Fallback": "false"}
    body = {"model": MINI, "messages": [{"role": "user", "content": "Explain the history of bread."}]}
    body |= {"service_tier": "priority", "reasoning_effort": "minimal"}
    with httpx.Client(base_url=server, headers=headers, timeout=30) as http:
        response = http.post("/v1/chat/completions", json=body)
    assert response.json()["choices"][0]["finish_reason"] == "length"
    row = Request.objects.get(account=account)
    assert row.service_tier == "priority"
    assert cap / 2 < (row.cost_usd or 0) <= cap


def test_repricing_keeps_the_tier(http: httpx.Client) -> None:
    body = {"model": MINI, "messages": QUESTION, "service_tier": "flex"}
    row = Request.objects.get(pk=http.post("/v1/chat/completions", json=body).headers["x-request-id"])
    totals = preview(MINI, row.created_at, row.created_at + timedelta(microseconds=1))
    assert totals.attempts == 0, "it has the price of its tier already"


def test_audio_is_charged_at_its_own_price(http: httpx.Client, simulator: Simulator) -> None:
    """360 tokens, of which 320 are sound; 40 of the input are cached, 16 of them sound."""
    usage = {
        "promptTokenCount": 360,
        "cachedContentTokenCount": 40,
        "candidatesTokenCount": 10,
        "totalTokenCount": 370,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 40}, {"modality": "AUDIO", "tokenCount": 320},
        ],
        "cacheTokensDetails": [
            {"modality": "TEXT", "tokenCount": 24}, {"modality": "AUDIO", "tokenCount": 16},
        ],
    }  # fmt: skip
    candidate = {"content": {"parts": [{"text": "A bell."}]}, "finishReason": "STOP"}
    body = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    answer(simulator, body, model="gemini-2.5-flash", media_type="application/json")
    sound = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    content = [{"type": "text", "text": "What is it?"}, sound]
    fields = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": content}]}
    last = http.post("/v1/chat/completions", json=fields).json()
    # 16 × 0.30 + 304 × 1.00 + 40 × 0.03 + 10 × 2.50
    assert last["x_routeplex"]["cost_usd"] == 0.000335
    assert last["usage"]["prompt_tokens_details"]["audio_tokens"] == 304
    row = Request.objects.get(pk=last["x_routeplex"]["request_id"])
    assert (row.audio_input_tokens, row.uncached_input_tokens) == (304, 320)
    assert broken(row) == []


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_the_chat_usage_has_cache_writes_of_an_hour(
    http: httpx.Client, simulator: Simulator, streamed: bool
) -> None:
    usage = {
        "input_tokens": 20,
        "cache_creation_input_tokens": 80,
        "cache_creation": {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 50},
        "output_tokens": 5,
    }
    block = {"type": "text", "text": "At dawn."}
    head = {"id": "m", "type": "message", "model": "claude-haiku-4-5"}
    stream = frames(
        {"type": "message_start", "message": head | {"usage": usage}},
        {"type": "content_block_start", "index": 0, "content_block": block},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    )
    whole = json.dumps(head | {"content": [block], "stop_reason": "end_turn", "usage": usage}).encode()
    kind = {} if streamed else {"media_type": "application/json"}
    answer(simulator, stream if streamed else whole, model="claude-haiku-4-5", **kind)
    fields = {"model": "claude-haiku-4-5", "messages": QUESTION, "stream": streamed}
    response = http.post("/v1/chat/completions", json=fields)
    last = _last(response.text, "chat") if streamed else response.json()
    details = last["usage"]["prompt_tokens_details"]
    assert (details["cache_write_tokens"], details["cache_write_1h_tokens"]) == (80, 50)
    # 20 × 1.00 + 30 × 1.25 + 50 × 2.00 + 5 × 5.00
    assert last["x_routeplex"]["cost_usd"] == 0.0001825
