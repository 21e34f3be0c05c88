"""Budgets at every API: settled spend never passes a cap, and what the cap pays for is served."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from decimal import Decimal
from itertools import cycle, islice
from typing import Any

import httpx
import pytest
from django.db.models import Sum

from accounts.caller import Limits
from accounts.keys import create_key
from billing.ledger.windows import totals
from billing.models import Request, Window
from tests.conftest import Simulator
from tests.door_client import QUESTION, WAYS, DoorClient, NativeClient, Way, way_id

MODEL = "claude-haiku-4-5"
Limited = Callable[..., DoorClient]


@pytest.fixture(params=WAYS, ids=way_id)
def limited(request: pytest.FixtureRequest, server: str, account: Any) -> Iterator[Limited]:
    """A client of each API, streamed and whole, whose key has the given limits."""
    client, streamed = request.param
    with ExitStack() as stack:

        def with_limits(**limits: Any) -> DoorClient:
            door_client: DoorClient = client(
                stack.enter_context(http_of(server, account, **limits)), streamed
            )
            return door_client

        yield with_limits


def http_of(server: str, account: Any, **limits: Any) -> httpx.Client:
    _, secret = create_key(account, "budget", limits=Limits(**limits))
    return httpx.Client(base_url=server, headers={"Authorization": f"Bearer {secret}"}, timeout=60)


def rows_of(account: Any) -> Any:
    return Request.objects.filter(account=account)


def spent_by(account: Any) -> Decimal:
    return rows_of(account).aggregate(usd=Sum("cost_usd"))["usd"] or Decimal(0)


def no_hold_is_left(account: Any) -> bool:
    windows = totals(Window.objects.filter(scope="account", scope_id=account.pk))
    return all(window.held_usd == 0 for window in windows)


def many(
    server: str, secret: str, count: int, ways: list[Way] = WAYS, **fields: Any
) -> list[tuple[DoorClient, httpx.Response]]:
    """So many at once, in these ways in turn. In a thread: browser tests keep an event loop in this one."""
    with httpx.Client(base_url=server) as http, ThreadPoolExecutor(1) as thread:
        clients = [client(http, streamed) for client, streamed in islice(cycle(ways), count)]
        return thread.submit(lambda: asyncio.run(_many(server, secret, clients, fields))).result()


async def _many(
    server: str, secret: str, clients: list[DoorClient], fields: dict[str, Any]
) -> list[tuple[DoorClient, httpx.Response]]:
    limits = httpx.Limits(max_connections=len(clients))
    key = {"Authorization": f"Bearer {secret}"}
    async with httpx.AsyncClient(base_url=server, headers=key, timeout=60, limits=limits) as http:

        async def post(client: DoorClient) -> httpx.Response:
            body, headers = client.request(QUESTION, fields)
            return await http.post(client.path, json=body, headers=headers)

        return list(zip(clients, await asyncio.gather(*map(post, clients)), strict=True))


def refusals(answers: list[tuple[DoorClient, httpx.Response]]) -> list[dict[str, Any]]:
    return [client.error(answer.json()) for client, answer in answers if answer.status_code == 429]


def test_200_at_once_against_a_cap_that_pays_for_some(server: str, account: Any) -> None:
    """Settled spend stays within the cap, at least K - 1 requests succeed, and no hold is left."""
    fields: dict[str, Any] = {"model": MODEL, "max_output_tokens": 200}
    with http_of(server, account) as unlimited:
        price = Decimal(str(NativeClient(unlimited, streamed=False).ask(**fields).cost_usd))
    payable = 40
    cap = price * payable
    _, secret = create_key(account, "capped", limits=Limits(daily_usd=cap))
    before = spent_by(account)
    answers = many(server, secret, 200, [(NativeClient, False)], **fields)
    codes = [answer.status_code for _, answer in answers]
    spent = spent_by(account) - before
    assert set(codes) <= {200, 429}
    assert spent <= cap
    assert codes.count(200) >= payable - 1
    refused = refusals(answers)
    assert {error["code"] for error in refused} == {"daily_cost_limit_exceeded"}
    assert {Decimal(error["details"]["limit"]) for error in refused} == {cap}
    assert no_hold_is_left(account)
    assert not rows_of(account).filter(status="open").exists()


def test_the_answer_is_cut_to_what_is_left(limited: Limited, simulator: Simulator) -> None:
    prompt = [{"role": "user", "content": "Explain the history of bread."}]
    reply = limited(daily_usd=Decimal("0.0006")).ask(prompt, model=MODEL, max_output_tokens=4000)
    assert reply.finish == "length"
    assert Decimal(str(reply.cost_usd)) <= Decimal("0.0006")
    sent = simulator.calls()[-1]["body"]["max_tokens"]
    assert 16 <= sent < 200, "0.0006 USD pay for that much at 5 USD a million tokens, less the input"


def test_a_cheaper_model_answers_before_a_refusal(limited: Limited, account: Any) -> None:
    reply = limited(daily_usd=Decimal("0.0002")).ask(strategy="quality", max_output_tokens=200)
    assert reply.status == 200
    assert spent_by(account) <= Decimal("0.0002")


def test_tokens_are_capped_as_money_is(server: str, account: Any) -> None:
    _, secret = create_key(account, "capped", limits=Limits(daily_tokens=400))
    answers = many(server, secret, 30, max_output_tokens=200)
    used = sum(row.uncached_input_tokens + row.output_tokens for row in rows_of(account))
    assert used <= 400
    assert {answer.status_code for _, answer in answers} == {200, 429}
    assert {error["code"] for error in refusals(answers)} == {"daily_limit_exceeded"}


def test_a_limit_below_a_short_answer_is_served(limited: Limited, account: Any) -> None:
    reply = limited(daily_usd=Decimal(1), daily_tokens=10_000).ask(model=MODEL, max_output_tokens=5)
    assert reply.status == 200
    assert rows_of(account).get().output_tokens == 5


@pytest.mark.parametrize("kind", ["status", "cut"])
def test_a_failed_request_releases_its_hold(
    limited: Limited, account: Any, simulator: Simulator, kind: str
) -> None:
    simulator.fault(provider="anthropic", kind=kind, **({"status": 500} if kind == "status" else {}))
    limited(daily_usd=Decimal(1)).ask(model=MODEL, fallback=False, max_output_tokens=200)
    assert no_hold_is_left(account)
