"""The published budget test: 200 callers at once against a cap that pays for 40.

Σ settled ≤ cap, at least K - 1 succeed, no hold is left; then the same with callers that leave, web processes
that are killed and a database that restarts, where callers come again as real ones do.
"""

import asyncio
import contextlib
import random
import time
from decimal import Decimal
from typing import Any

import httpx

from tests.chaos.callers import SHAPES, Reply, ask, client, prompt
from tests.chaos.cluster import Cluster
from tests.chaos.own_rows import SWEPT_S
from tests.chaos.table import row
from tests.chaos.verdicts import Outcome, disagreements, failed, held_to, order, rows_of, swept, tally

CALLERS, PAYABLE = 200, 40
_MODEL = "claude-haiku-4-5"
_ASK = {"model": _MODEL, "fallback": False, "max_output_tokens": 200}
_PROPER = {"whole", "cut to the budget", "429 daily_cost_limit_exceeded"}
_COME_AGAIN_S = 40.0
_random = random.Random(1)  # noqa: S311


# Two hundred at once may wait longer for their first byte than one alone.
DEADLINES = {"FIRST_BYTE_TIMEOUT_S": "14", "IDLE_TIMEOUT_S": "20", "REQUEST_TIMEOUT_S": "60"}


@row(
    "budget",
    "200 parallel requests against a cap that pays for 40",
    "Σ settled ≤ cap; at least 39 succeed; no hold left",
)
async def budgets(cluster: Cluster) -> list[Outcome]:
    results = []
    embedded = Cluster(embedded=True, simulator=cluster.simulator, **DEADLINES)
    await asyncio.to_thread(embedded.__enter__)
    try:
        results.append(await calm(embedded, "SQLite"))
        results.append(await troubled(embedded, "SQLite, killed"))
    finally:
        await asyncio.to_thread(embedded.close)
    usual = cluster.webs
    try:
        cluster.webs = []
        for number in range(4):
            web = await asyncio.to_thread(lambda: cluster.add_web(f"budget{number}", **DEADLINES))  # noqa: B023
            cluster.webs.append(web)
        results.append(await calm(cluster, "4 processes"))
        results.append(await troubled(cluster, "4, one killed"))
        for web in cluster.webs:
            await asyncio.to_thread(cluster.remove, web)
    finally:
        cluster.webs = usual
    return results


async def priced(cluster: Cluster) -> Decimal:
    """The most that one such request costs, in USD: marks differ by a token at most."""
    api_key = await order(cluster, "key")
    async with client(cluster.webs[0].url, api_key["secret"]) as http:
        replies = [await ask(http, SHAPES[0], **_ASK) for _ in range(3)]
    return max(reply.cost_usd or Decimal(0) for reply in replies)


async def calm(cluster: Cluster, name: str) -> Outcome:
    cap = await priced(cluster) * PAYABLE
    api_key = await order(cluster, "key", daily_usd=str(cap))
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client(web.url, api_key["secret"])) for web in cluster.webs
        ]
        replies = await asyncio.gather(*(_once(clients, number) for number in range(CALLERS)))
    wrong = [reply.kind for reply in replies if reply.kind not in _PROPER]
    return await _verdict(cluster, name, api_key, replies, cap, wrong)


async def _once(clients: list[httpx.AsyncClient], number: int) -> Reply:
    return await ask(clients[number % len(clients)], SHAPES[number // len(clients) % len(SHAPES)], **_ASK)


async def troubled(cluster: Cluster, name: str) -> Outcome:
    """Every tenth caller leaves, a web process is killed, the database restarts; the others come again."""
    cap = await priced(cluster) * PAYABLE
    api_key = await order(cluster, "key", daily_usd=str(cap))
    cluster.simulator.speed(0.2)
    replies: list[Reply] = []
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client(web.url, api_key["secret"])) for web in cluster.webs
        ]
        calling = asyncio.gather(*(_again_and_again(clients, number, replies) for number in range(CALLERS)))
        await asyncio.sleep(0.7)
        cluster.webs[-1].kill()
        await asyncio.to_thread(cluster.webs[-1].start)
        if cluster.postgres is not None:
            await asyncio.to_thread(cluster.postgres.stop, "immediate")
            await asyncio.to_thread(cluster.postgres.start)
        sweeping = asyncio.create_task(_swept_now_and_then(cluster))
        await calling
        sweeping.cancel()
    cluster.simulator.speed(0)
    proper = (
        "whole",
        "cut to the budget",
        "aborted",
        "429 daily_cost_limit_exceeded",
        "503 service_unavailable",
    )
    wrong = [reply.kind for reply in replies if reply.kind not in proper and not reply.lost]
    return await _verdict(cluster, name, api_key, replies, cap, wrong)


async def _swept_now_and_then(cluster: Cluster) -> None:
    while True:
        await order(cluster, "sweep")
        await asyncio.sleep(1)


async def _again_and_again(clients: list[httpx.AsyncClient], number: int, replies: list[Reply]) -> None:
    """Until it is answered, or refused with nothing held that could come back."""
    until = time.monotonic() + _COME_AGAIN_S
    for turn in range(number, number + 1000):
        leave = {"leave_after_s": _random.uniform(0.05, 0.6)} if number % 10 == 0 else {}
        shape = SHAPES[turn % len(SHAPES)]
        reply = await ask(clients[turn % len(clients)], shape, prompt(), **_ASK, **leave)
        replies.append(reply)
        if reply.complete or reply.cut_to_budget or reply.aborted or time.monotonic() > until:
            return
        if reply.status == 429 and "and holds" not in (reply.error or {}).get("message", ""):
            return
        await asyncio.sleep(_random.uniform(0.2, 0.8))


async def _verdict(
    cluster: Cluster, name: str, api_key: dict[str, Any], replies: list[Reply], cap: Decimal, wrong: list[str]
) -> Outcome:
    _, left = await swept(cluster, SWEPT_S)
    wrong += left + await disagreements(cluster, api_key["id"], replies)
    rows = [results[0] for results in (await rows_of(cluster, api_key["id"])).values()]
    spent = sum((Decimal(str(row["cost_usd"] or 0)) for row in rows), Decimal(0))
    succeeded = sum(row["status"] == "succeeded" for row in rows)
    charged = sum(float(row["cost_usd"] or 0) > 0 for row in rows)  # callers that left are charged in part
    wrong += [f"{spent} spent of {cap}"] if spent > cap else []
    wrong += [f"only {succeeded} succeeded, {charged} charged"] if charged < PAYABLE - 1 else []
    audit = await order(cluster, "audit")
    wrong += [] if audit["holds"] else ["the audit finds broken promises"]
    got = f"{tally(replies)}; {succeeded} succeeded, {charged} charged, {spent} of {cap} USD settled"
    return held_to(name, wrong, got) if rows else failed(name, "no request was accepted")
