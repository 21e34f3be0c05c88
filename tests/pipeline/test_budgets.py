"""Budgets through the doors: what is settled never passes a cap, and what the cap pays for is served."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.db.models import Sum

from accounts.caller import Limits
from accounts.keys import create_key
from billing.models import Request, Window
from tests.conftest import Simulator

CHAT = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "max_output_tokens": 200}
MODEL = "claude-haiku-4-5"


def client_of(server: str, account: Any, **limits: Any) -> httpx.Client:
    _, secret = create_key(account, "budget", limits=Limits(**limits))
    return httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=60)


def rows_of(account: Any) -> Any:
    return Request.objects.filter(account=account)


def spent_by(account: Any) -> Decimal:
    return rows_of(account).aggregate(usd=Sum("cost_usd"))["usd"] or Decimal(0)


def many(server: str, secret: str, count: int, body: dict[str, Any]) -> list[httpx.Response]:
    """So many at once. In a thread: another test's browser may keep a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_many(server, secret, count, body))).result()


async def _many(server: str, secret: str, count: int, body: dict[str, Any]) -> list[httpx.Response]:
    limits = httpx.Limits(max_connections=count)
    headers = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=server, headers=headers, timeout=60, limits=limits) as client:
        return await asyncio.gather(*(client.post("/api/v1/chat", json=body) for _ in range(count)))


def test_200_at_once_against_a_cap_that_pays_for_some(server: str, account: Any) -> None:
    """spec/ledger.md: Σ settled ≤ cap, at least K − 1 succeed, no hold is left."""
    body = CHAT | {"model": MODEL}
    with client_of(server, account) as free:
        one = Decimal(str(free.post("/api/v1/chat", json=body).json()["data"]["usage"]["cost_usd"]))
    payable = 40
    cap = one * payable
    _, secret = create_key(account, "capped", limits=Limits(daily_usd=cap))
    before = spent_by(account)
    answers = many(server, secret, 200, body)
    codes = [answer.status_code for answer in answers]
    spent = spent_by(account) - before
    assert set(codes) <= {200, 429}
    assert spent <= cap
    assert codes.count(200) >= payable - 1
    refused = next(answer for answer in answers if answer.status_code == 429).json()["error"]
    assert refused["code"] == "daily_cost_limit_exceeded"
    assert Decimal(refused["details"]["limit"]) == cap
    assert not Window.objects.filter(scope="account", scope_id=account.pk).exclude(held_usd=0).exists()
    assert not rows_of(account).filter(status="open").exists()


def test_the_answer_is_cut_to_what_is_left(server: str, account: Any, simulator: Simulator) -> None:
    body = {"messages": [{"role": "user", "content": "Explain the history of bread."}], "model": MODEL}
    with client_of(server, account, daily_usd=Decimal("0.0006")) as client:
        answer = client.post("/api/v1/chat", json=body | {"max_output_tokens": 4000}).json()["data"]
    assert answer["finish_reason"] == "length"
    assert Decimal(str(answer["usage"]["cost_usd"])) <= Decimal("0.0006")
    asked = simulator.calls()[-1]["body"]["max_tokens"]
    assert 16 <= asked < 200, "what 0.0006 USD pay for at 5 USD a million tokens, less the input"


def test_a_cheaper_model_answers_before_anyone_is_refused(server: str, account: Any) -> None:
    with client_of(server, account, daily_usd=Decimal("0.0002")) as client:
        answer = client.post("/api/v1/chat", json=CHAT | {"strategy": "quality"})
    assert answer.status_code == 200
    assert spent_by(account) <= Decimal("0.0002")


def test_tokens_are_capped_as_money_is(server: str, account: Any) -> None:
    _, secret = create_key(account, "capped", limits=Limits(daily_tokens=400))
    answers = many(server, secret, 30, CHAT)
    used = sum(row.uncached_input_tokens + row.output_tokens for row in rows_of(account))
    assert used <= 400
    assert {answer.status_code for answer in answers} == {200, 429}
    refused = next(answer for answer in answers if answer.status_code == 429).json()["error"]
    assert refused["code"] == "daily_limit_exceeded"


def test_a_caller_who_asks_for_less_than_a_short_answer_gets_it(server: str, account: Any) -> None:
    with client_of(server, account, daily_usd=Decimal(1), daily_tokens=10_000) as client:
        answer = client.post("/api/v1/chat", json=CHAT | {"model": MODEL, "max_output_tokens": 5})
    assert answer.status_code == 200
    assert answer.json()["data"]["usage"]["output_tokens"] == 5


@pytest.mark.parametrize("kind", ["status", "cut"])
def test_what_failed_gives_back_what_it_held(
    server: str, account: Any, simulator: Simulator, kind: str
) -> None:
    simulator.fault(provider="anthropic", kind=kind, **({"status": 500} if kind == "status" else {}))
    with client_of(server, account, daily_usd=Decimal(1)) as client:
        client.post("/api/v1/chat", json=CHAT | {"model": MODEL, "fallback": False})
    assert not Window.objects.filter(scope="account", scope_id=account.pk).exclude(held_usd=0).exists()
