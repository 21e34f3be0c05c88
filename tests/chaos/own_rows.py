"""Rows 21–24 and 27: our own processes are killed, stopped and started under load."""

import asyncio
import re
import signal
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise

from tests.chaos.callers import SHAPES, Load, Reply, ask, client
from tests.chaos.cluster import DRAIN_S, PATIENCE_S, REQUEST_S, SILENCE_S, Cluster
from tests.chaos.proxy import Balancer
from tests.chaos.services import Postgres, RedisServer, Web, Worker, wait_until
from tests.chaos.table import row
from tests.chaos.verdicts import (
    SLACK_S,
    Outcome,
    disagreements,
    failed,
    held_to,
    order,
    rows_of,
    swept,
    tally,
)

_SWEEP_EVERY_S = 15.0  # as scheduled in settings.py
SWEPT_S = 3 * SILENCE_S + 3  # within which the sweeper must have settled what a dead process left


@row(
    "21",
    "web process killed (-9)",
    "every accepted request has its row; swept once; no hold left",
)
async def killed(cluster: Cluster) -> list[Outcome]:
    return [
        await killed_while(cluster, "mid-request", before_the_answer),
        await killed_while(cluster, "mid-stream", in_the_stream),
        await killed_while(cluster, "at settle", at_the_settlement),
    ]


def before_the_answer(cluster: Cluster) -> None:
    cluster.simulator.fault(kind="delay", delay_s=0.6)


def in_the_stream(cluster: Cluster) -> None:
    cluster.simulator.speed(0.3)


def at_the_settlement(cluster: Cluster) -> None:
    """Answers take no time: nearly all of a request is its two commits."""


async def killed_while(cluster: Cluster, when: str, arrange: Callable[[Cluster], None]) -> Outcome:
    """Kill both web processes in turn, under load, and start them anew; then let the sweeper look."""
    cluster.simulator.reset()
    api_key = await order(cluster, "key", daily_usd="1000")
    arrange(cluster)
    urls = [web.url for web in cluster.webs]
    async with Load(lambda: urls, api_key["secret"], callers=24, pause_s=0.01, max_output_tokens=300) as load:
        for web in cluster.webs:
            await asyncio.sleep(1.5)
            web.kill()
            await asyncio.to_thread(web.start)
        await asyncio.sleep(1)
        cluster.simulator.calm()
        cluster.simulator.speed(0)
    settled, wrong = await swept(cluster, SWEPT_S)
    again = await order(cluster, "sweep")
    wrong += [f"a further sweep settled {again}"] if again else []
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    wrong += [reply.kind for reply in load.replies if not (reply.complete or reply.lost)]
    rows = await rows_of(cluster, api_key["id"])
    expired = sum(matching[0]["status"] == "expired" for matching in rows.values())
    wrong += [f"{settled} swept, {expired} expired"] if settled != expired else []
    got = f"{tally(load.replies)}; {len(rows)} rows, {expired} of them swept"
    return held_to(when, wrong, got, "safe")


@row(
    "22",
    "PostgreSQL restarts under load",
    "wait or 503 with Retry-After; nothing lost; recovers by itself",
)
async def database_restarts(cluster: Cluster) -> list[Outcome]:
    assert cluster.postgres is not None
    return [
        await database_away(cluster, cluster.postgres, "fast", 1.0),
        await database_away(cluster, cluster.postgres, "immediate", 1.0),
        await database_away(cluster, cluster.postgres, "immediate", PATIENCE_S + 4),
    ]


async def database_away(cluster: Cluster, postgres: Postgres, mode: str, away_s: float) -> Outcome:
    api_key = await order(cluster, "key", daily_usd="1000")
    urls, pids = [web.url for web in cluster.webs], [web.pid for web in cluster.webs]
    cluster.simulator.speed(0.1)  # so that streams are under way
    async with Load(lambda: urls, api_key["secret"], callers=16, pause_s=0.02, max_output_tokens=300) as load:
        await asyncio.sleep(1.5)
        await asyncio.to_thread(postgres.stop, mode)
        await asyncio.sleep(away_s)
        await asyncio.to_thread(postgres.start)
        back = time.monotonic()
        await asyncio.sleep(4)
    cluster.simulator.speed(0)
    wrong = [] if pids == [web.pid for web in cluster.webs if web.running] else ["a web process ended"]
    wrong += refused_improperly(load.replies)
    _, left = await swept(cluster, SWEPT_S)
    wrong += left
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    after = [reply for reply in load.replies if reply.at > back]
    ends = [reply.at + reply.seconds - back for reply in load.replies if reply.complete]
    first = min((end for end in ends if end > 0), default=99.0)
    wrong += [f"the first whole answer came {first:.1f} s after it was back"] if first > 3 else []
    late = [reply.kind for reply in after if not reply.complete and reply.at > back + 2]
    wrong += [f"2 s after it was back: {late[0]}"] if late else []
    got = f"{tally(load.replies)}; first whole answer {first:.1f} s after it was back"
    verdict = "whole" if all(reply.complete for reply in load.replies) else "safe"
    return held_to(f"{mode}, {away_s:g} s", wrong, got, verdict)


def refused_improperly(replies: list[Reply]) -> list[str]:
    """Answers that are neither whole nor a 503 that says when to come again."""
    wrong = []
    for reply in replies:
        if reply.complete:
            if reply.seconds > REQUEST_S + SLACK_S:
                wrong.append(f"took {reply.seconds:.1f} s")
        elif reply.kind in (
            "503 service_unavailable",
            "200 service_unavailable",
        ):  # a stream has sent its head
            if reply.status == 503 and "retry-after" not in reply.headers:
                wrong.append("503 without Retry-After")
            if reply.seconds > REQUEST_S + SLACK_S:
                wrong.append(f"503 after {reply.seconds:.1f} s")
        else:
            wrong.append(reply.kind)
    return wrong


@row("23", "Redis gone, then back", "slower, limits still hold, recovers by itself")
async def redis_gone(cluster: Cluster) -> list[Outcome]:
    redis = cluster.redis
    assert redis is not None
    return [await rate_holds(cluster, redis), await others_served(cluster, redis)]


async def rate_holds(cluster: Cluster, redis: RedisServer) -> Outcome:
    """30 requests a minute, asked for 120 times before, during and after; and 10 a day's money pays for."""
    api_key = await order(cluster, "key", requests_per_minute=30)
    urls = [web.url for web in cluster.webs]
    clients = [client(url, api_key["secret"]) for url in urls]

    async def ask_many(number: int) -> list[Reply]:
        return await asyncio.gather(
            *(ask(clients[turn % len(clients)], SHAPES[turn % len(SHAPES)]) for turn in range(number))
        )

    before = await ask_many(10)
    await asyncio.to_thread(redis.kill)
    during = await ask_many(50)
    await asyncio.to_thread(redis.start)
    await asyncio.sleep(1.2)
    after = await ask_many(60)
    for http in clients:
        await http.aclose()
    replies = [*before, *during, *after]
    rows = await rows_of(cluster, api_key["id"])
    served = sum(reply.complete for reply in replies)
    wrong = [] if served == 30 else [f"{served} served of 30 allowed"]
    wrong += [f"{len(rows)} rows for {served} served"] if len(rows) != served else []
    refused = [reply for reply in replies if not reply.complete]
    wrong += [reply.kind for reply in refused if reply.kind != "429 rate_limited"]
    wrong += ["429 without Retry-After" for reply in refused if "retry-after" not in reply.headers]
    counts = ", ".join(str(sum(reply.complete for reply in part)) for part in (before, during, after))
    return held_to("30 a minute", wrong, f"served before, during and after: {counts}", "safe")


async def others_served(cluster: Cluster, redis: RedisServer) -> Outcome:
    """Callers with and without limits go on as if nothing was; pages and jobs too."""
    api_key = await order(cluster, "key", requests_per_minute=100_000, daily_usd="1000")
    urls = [web.url for web in cluster.webs]
    async with Load(lambda: urls, api_key["secret"], callers=8, pause_s=0.02) as load:
        await asyncio.sleep(1.5)
        await asyncio.to_thread(redis.kill)
        gone = time.monotonic()
        await asyncio.sleep(3)
        page = await order(cluster, "page", path="/")
        await asyncio.to_thread(redis.start)
        back = time.monotonic()
        await asyncio.sleep(2)
    wrong = [reply.kind for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    wrong += [f"the home page answers {page['status']}"] if page["status"] != 200 else []
    slow = {
        name: sorted(reply.seconds for reply in load.replies if since <= reply.at < until)
        for name, since, until in (("with", 0.0, gone), ("without", gone, back), ("again", back + 1, 1e12))
    }
    medians = ", ".join(
        f"{name} {times[len(times) // 2] * 1000:.0f} ms" for name, times in slow.items() if times
    )
    return held_to("others", wrong, f"{tally(load.replies)}; median {medians}")


@row("24", "Celery worker and beat gone", "requests unaffected; page shows stale jobs; jobs catch up once")
async def worker_gone(cluster: Cluster) -> list[Outcome]:
    """The sweep is sent every 15 s: a worker away for 36 s owes two or three and must do one of them.

    Beat is killed too. The one that follows has to remember when it last sent, or it adds one more.
    """
    beat = cluster.add_worker("beat", "beat")
    worker = cluster.add_worker("worker", "worker")
    results = []
    try:
        took = await asyncio.to_thread(wait_until, lambda: _runs(worker), 60, "the first sweep")
        results.append(held_to("running", [], f"the first sweep came after {took:.0f} s"))
        worker.kill()
        ran, sent = _runs(worker), len(_sent(beat))
        api_key = await order(cluster, "key")
        urls = [web.url for web in cluster.webs]
        async with Load(lambda: urls, api_key["secret"], callers=2, pause_s=0.5) as load:
            await asyncio.sleep(36)
        beat.kill()
        wrong = [reply.kind for reply in load.replies if not reply.complete]
        results.append(held_to("requests", wrong, tally(load.replies)))
        results.append(await _stale_shown(cluster))
        missed = len(_sent(beat)) - sent
        await asyncio.to_thread(worker.start)
        await asyncio.to_thread(beat.start)
        await asyncio.to_thread(wait_until, lambda: _runs(worker) > ran, 60, "the sweep that was missed")
        await asyncio.sleep(8)
        beat.kill()
        await asyncio.sleep(1)
        times = _sent(beat)
        again = _runs(worker) - ran
        since = len(times) - sent - missed
        apart = min(b - a for a, b in pairwise(times))
        wrong = [] if missed >= 2 else [f"{missed} sweeps missed: nothing to catch up with"]
        wrong += [] if again - since <= 1 else [f"{again - since} of the {missed} missed were done"]
        wrong += [] if apart > _SWEEP_EVERY_S - 1 else [f"two sent {apart:.1f} s apart"]
        got = f"{missed} sweeps missed, {again - since} of them done, {since} sent anew, {apart:.1f} s apart"
        results.append(held_to("catching up", wrong, got))
    finally:
        cluster.remove(worker)
        cluster.remove(beat)
    return results


def _runs(worker: Worker) -> int:
    """How many sweeps it has done."""
    log = worker.log.read_text()
    return len(re.findall(r"Task billing\.tasks\.sweep_open_requests\[\S+\] succeeded", log))


def _sent(beat: Worker) -> list[float]:
    """When it sent sweeps, in seconds, as its log says."""
    lines = re.findall(r"\[(\S+ \S+),(\d+): .*Sending due task sweep-open-requests", beat.log.read_text())
    return [datetime.fromisoformat(f"{at}.{ms}").timestamp() for at, ms in lines]


async def _stale_shown(cluster: Cluster) -> Outcome:
    """As the page is ten minutes later."""
    later = cluster.operator_later("+10m")
    if later is None:
        return failed("page", "not checked: libfaketime is not installed")
    try:
        page = await asyncio.to_thread(later.order, "page", path="/operator/")
    finally:
        later.end()
    text = re.sub(r"<[^>]+>", " ", page["text"])
    shown = page["status"] == 200 and re.search(r"\b(stale|late|overdue)\b", text)
    wrong = [] if shown else ["the operator's page does not say it"]
    return held_to("page", wrong, "the operator's page says so")


@row("27", "graceful restart under load", "no request fails")
async def graceful_restart(cluster: Cluster) -> list[Outcome]:
    """Behind a balancer: each process in turn is asked to end (SIGTERM) and started anew."""
    results = [
        await restarted(cluster, keep_alive=False),
        await restarted(cluster, keep_alive=True),
        await reloaded(cluster),
    ]
    return results


async def restarted(cluster: Cluster, keep_alive: bool) -> Outcome:
    api_key = await order(cluster, "key", daily_usd="1000")
    cluster.simulator.speed(0.1)
    shape = "connections kept" if keep_alive else "one connection each"
    async with Balancer(lambda: [web.port for web in cluster.webs]) as balancer:
        load = Load(lambda: [balancer.url], api_key["secret"], callers=12, keep_alive=keep_alive)
        async with load:
            await asyncio.sleep(1)
            for web in cluster.webs:
                await asyncio.to_thread(web.terminate)
                await asyncio.to_thread(web.start)
            await asyncio.sleep(1)
    cluster.simulator.speed(0)
    wrong = [reply.kind for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    return held_to(shape, wrong, tally(load.replies))


async def reloaded(cluster: Cluster) -> Outcome:
    """`uvicorn --workers 2`, as `manage.py run` starts it, asked to replace its workers in turn (SIGHUP)."""
    api_key = await order(cluster, "key", daily_usd="1000")
    web: Web = await asyncio.to_thread(cluster.add_web, "reloaded", 2)
    try:
        load = Load(lambda: [web.url], api_key["secret"], callers=8, pause_s=0.02, keep_alive=False)
        async with load:
            await asyncio.sleep(1)
            web.send(signal.SIGHUP)
            await asyncio.sleep(10 + 2 * DRAIN_S)
    finally:
        await asyncio.to_thread(cluster.remove, web)
    wrong = [reply.kind for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    return held_to("uvicorn, SIGHUP", wrong, tally(load.replies))
