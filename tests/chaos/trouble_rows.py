"""Rows 25 and 26: full disks, wrong clocks, slow databases; callers that leave, dawdle or say nothing."""

import asyncio
import contextlib
import os
import resource
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from tests.chaos.callers import SHAPES, STREAMS, UNSTREAMED, Load, Reply, ask, client, prompt
from tests.chaos.cluster import PATIENCE_S, REQUEST_S, Cluster
from tests.chaos.own_rows import SWEPT_S, refused_improperly
from tests.chaos.proxy import Proxy
from tests.chaos.services import libfaketime
from tests.chaos.table import row
from tests.chaos.verdicts import Outcome, disagreements, held_to, order, passed, row_of, rows_of, swept, tally

_EMBEDDED_MB, _POSTGRES_MB = 24, 160
_IDLE = 10_000


@row("25", "disk full, clock jumps, slow database", "typed 503, no wrong charge")
async def our_machine(cluster: Cluster) -> list[Outcome]:
    results = [await slow_database(cluster), await frozen_database(cluster)]
    results.append(await clock_jumps(cluster))
    results.append(await disk_full(cluster, embedded=True))
    results.append(await disk_full(cluster, embedded=False))
    return results


async def slow_database(cluster: Cluster) -> Outcome:
    """Each answer of the database comes a quarter of a second late."""
    async with (
        _behind_proxy(cluster, "slow") as (proxy, url, api_key),
        Load(lambda: [url], api_key["secret"], callers=8) as load,
    ):
        await asyncio.sleep(1)
        proxy.delay_s = 0.25
        await asyncio.sleep(6)
        proxy.delay_s = 0
    wrong = refused_improperly(load.replies) + await disagreements(cluster, api_key["id"], load.replies)
    slowest = max(reply.seconds for reply in load.replies)
    return held_to("slow database", wrong, f"{tally(load.replies)}; slowest {slowest:.1f} s")


async def frozen_database(cluster: Cluster) -> Outcome:
    """The line to it is open and nothing comes, for longer than a request may last."""
    async with (
        _behind_proxy(cluster, "frozen") as (proxy, url, api_key),
        Load(lambda: [url], api_key["secret"], callers=8) as load,
    ):
        await asyncio.sleep(1)
        proxy.freeze()
        await asyncio.sleep(REQUEST_S + PATIENCE_S)
        proxy.thaw()
        await asyncio.sleep(2)
    wrong = refused_improperly(load.replies)
    _, left = await swept(cluster, SWEPT_S)
    wrong += left + await disagreements(cluster, api_key["id"], load.replies)
    slowest = max(reply.seconds for reply in load.replies)
    return held_to("frozen database", wrong, f"{tally(load.replies)}; slowest {slowest:.1f} s", "safe")


@contextlib.asynccontextmanager
async def _behind_proxy(cluster: Cluster, name: str) -> AsyncIterator[tuple[Proxy, str, dict[str, Any]]]:
    """A web process of its own whose line to the database goes through the proxy."""
    postgres = cluster.postgres
    assert postgres is not None
    api_key = await order(cluster, "key", daily_usd="1000")
    async with Proxy(lambda: [postgres.port]) as proxy:
        database = {"DATABASE_URL": postgres.url(port=proxy.port)}
        web = await asyncio.to_thread(lambda: cluster.add_web(name, **database))
        try:
            yield proxy, web.url, api_key
        finally:
            proxy.thaw()
            await asyncio.to_thread(cluster.remove, web)


async def clock_jumps(cluster: Cluster) -> Outcome:
    """The clock of one web process goes two hours ahead, then two hours back, under load."""
    library = libfaketime()
    if library is None:
        return passed("clock jumps", "not run: libfaketime is not installed", "safe")
    api_key = await order(cluster, "key", daily_usd="1000")
    clock_file = cluster.directory / "clock"
    clock_file.write_text("+0")
    clock = {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(clock_file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    web = await asyncio.to_thread(lambda: cluster.add_web("clock", **clock))
    try:
        async with Load(lambda: [web.url], api_key["secret"], callers=6) as load:
            for jump in ("+0", "+2h", "-2h", "+0"):
                clock_file.write_text(jump)
                await asyncio.sleep(2)
                await order(cluster, "sweep")
    finally:
        await asyncio.to_thread(cluster.remove, web)
    wrong = [reply.kind for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    return held_to("clock jumps", wrong, f"{tally(load.replies)}, two hours ahead and two hours back")


async def disk_full(cluster: Cluster, embedded: bool) -> Outcome:
    """A disk of a few megabytes for the database, filled to the last byte under load, then freed."""
    name = "disk full, SQLite" if embedded else "disk full, PostgreSQL"
    with _small_disk(_EMBEDDED_MB if embedded else _POSTGRES_MB) as disk:
        if disk is None:
            return passed(name, "not run: only root can make a small disk (tmpfs)", "safe")
        small = Cluster(webs=1, embedded=embedded, storage=disk, simulator=cluster.simulator)
        await asyncio.to_thread(small.__enter__)
        try:
            return await _filled(small, disk, name)
        finally:
            await asyncio.to_thread(small.close)


async def _filled(small: Cluster, disk: Path, name: str) -> Outcome:
    api_key = await order(small, "key", daily_usd="1000")
    ballast = disk / "ballast"
    async with Load(lambda: [small.webs[0].url], api_key["secret"], callers=8) as load:
        await asyncio.sleep(1)
        fill(ballast)
        full = time.monotonic()
        await asyncio.sleep(PATIENCE_S + 4)
        ballast.unlink()
        if small.postgres is not None and not small.postgres.running:  # it ends itself; an operator starts it
            await asyncio.to_thread(small.postgres.start)
        freed = time.monotonic()
        await asyncio.sleep(4)
    wrong = refused_improperly(load.replies)
    refused = sum(reply.status == 503 for reply in load.replies if full < reply.at < freed)
    wrong += [] if refused else ["no request was refused: the disk was not full"]
    wrong += (
        [] if any(reply.complete and reply.at > freed for reply in load.replies) else ["it did not recover"]
    )
    _, left = await swept(small, SWEPT_S)
    wrong += left + await disagreements(small, api_key["id"], load.replies)
    audit = await order(small, "audit")
    wrong += [] if audit["holds"] else [audit["words"]]
    return held_to(name, wrong, tally(load.replies), "safe")


def fill(ballast: Path) -> None:
    """Until nothing more fits: in megabytes, then in pages."""
    with ballast.open("wb", buffering=0) as file:
        for size in (1024 * 1024, 4096):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)


@contextlib.contextmanager
def _small_disk(megabytes: int) -> Iterator[Path | None]:
    directory = Path(tempfile.mkdtemp(prefix="routeplex-chaos-disk-"))
    directory.chmod(0o755)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(directory)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0
    try:
        yield directory if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)
        directory.rmdir()


@row(
    "26",
    "caller aborts; caller reads slowly; 10,000 idle connections",
    "upstream cancelled; memory bounded; others unaffected",
)
async def callers_misbehave(cluster: Cluster) -> list[Outcome]:
    return [*await aborts(cluster), await slow_readers(cluster), await idle_connections(cluster)]


async def aborts(cluster: Cluster) -> list[Outcome]:
    """In the middle of a stream, and before any answer: the upstream call ends within a second."""
    results = []
    for shape in SHAPES:
        api_key = await order(cluster, "key")
        cluster.simulator.reset()
        cluster.simulator.speed(1)
        leave = {"leave_after": 4} if shape in STREAMS else {"leave_after_s": 0.5}
        async with client(cluster.webs[0].url, api_key["secret"]) as http:
            await ask(http, shape, prompt(50), model="claude-haiku-4-5", **leave)
        took, cancelled = await _upstream_ended(cluster)
        row = next(rows[0] for rows in (await rows_of(cluster, api_key["id"])).values())
        row = await row_of(cluster, row["id"]) or row
        wrong = [] if cancelled and took < 1 else [f"the upstream call went on for {took:.1f} s"]
        if row["status"] != "aborted" or float(row["held_usd"]):
            wrong.append(f"row says {row['status']}, held {row['held_usd']}")
        elif shape in STREAMS and not float(row["cost_usd"] or 0):
            wrong.append("what was received is not charged")
        result = f"upstream cancelled after {took:.2f} s, row {row['status']}, cost {row['cost_usd']}"
        results.append(held_to(f"abort, {shape}", wrong, result, "safe"))
    cluster.simulator.reset()
    return results


async def _upstream_ended(cluster: Cluster) -> tuple[float, bool]:
    """Seconds until the last call was over, and whether its caller had hung up."""
    left = time.monotonic()
    while time.monotonic() < left + 3:
        call = cluster.simulator.calls()[-1]
        if call["finished"]:
            return time.monotonic() - left, call["aborted"]
        await asyncio.sleep(0.02)
    return 3.0, False


async def slow_readers(cluster: Cluster) -> Outcome:
    """A hundred streams that no client reads, then others' requests."""
    api_key, web = await order(cluster, "key"), cluster.webs[0]
    before = web.memory_mb()
    head = f"POST /api/v1/chat HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {api_key['secret']}\r\n"
    body = '{"messages":[{"role":"user","content":"Explain the history of bread at length."}],"stream":true}'
    request = f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()
    sockets = []
    try:
        for _ in range(100):
            connection = socket.socket()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            connection.connect(("127.0.0.1", web.port))
            connection.sendall(request)
            sockets.append(connection)
        await asyncio.sleep(2)
        others = await _others(cluster, web.url)
        grown = web.memory_mb() - before
    finally:
        for connection in sockets:
            connection.close()
    await asyncio.sleep(1)
    wrong = [reply.kind for reply in others if not reply.complete]
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > 60 else []
    got = f"100 streams unread: memory grew by {grown:.0f} MB; others {tally(others)}"
    return held_to("slow readers", wrong, got)


async def idle_connections(cluster: Cluster) -> Outcome:
    """As many as file descriptors allow, up to 10,000: half say nothing, half began a request."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(_IDLE, hard - 1000)
    web = await asyncio.to_thread(cluster.add_web, "idle")
    sockets: list[socket.socket] = []
    try:
        await _others(cluster, web.url)
        before = web.memory_mb()
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        for number in range(most):
            connection = socket.create_connection(("127.0.0.1", web.port), timeout=20)
            if number % 2:
                connection.sendall(
                    b"POST /api/v1/chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{"
                )
            sockets.append(connection)
            if number % 200 == 0:
                await asyncio.sleep(0.01)
        others = await _others(cluster, web.url)
        grown = web.memory_mb() - before
    finally:
        for connection in sockets:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await asyncio.to_thread(cluster.remove, web)
    wrong = [reply.kind for reply in others if not reply.complete]
    wrong += [f"memory grew by {grown * 1024 / most:.0f} KB each"] if grown * 1024 / most > 64 else []
    wrong += [f"only {most} connections: the limit of open files is {hard}"] if most < _IDLE else []
    slowest = max(reply.seconds for reply in others)
    got = (
        f"{most} connections: memory grew by {grown:.0f} MB; others {tally(others)}, slowest {slowest:.2f} s"
    )
    return held_to("idle connections", wrong, got)


async def _others(cluster: Cluster, url: str) -> list[Reply]:
    """Requests of somebody else meanwhile."""
    api_key = await order(cluster, "key")
    async with client(url, api_key["secret"]) as http:
        return [await ask(http, shape) for shape in [*SHAPES, *UNSTREAMED]]
