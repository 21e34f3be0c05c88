"""`make soak N=1000000`: mixed load on a whole deployment, to find anything that grows.

Callers that never pause send requests to the APIs, streamed and not; some leave early, and providers fail at
some rate. Memory, open files, connections, open requests and holds are recorded at intervals. The run passes
when memory is flat after warm-up, connections do not grow, no request or hold is left open and the ledger's
audit holds. Deadlines and heartbeat are the product's defaults.
"""

import argparse
import asyncio
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx
import numpy as np

from tests.chaos.callers import SHAPES, Reply, ask, client, prompt
from tests.chaos.cluster import DEADLINES, Cluster
from tests.chaos.services import Process
from tests.chaos.verdicts import TYPED, order, settled_by_itself

WARM_UP = 0.4  # of all requests, for connections: pools reach their size
# Requests a web process: measured 2026-11, memory rises by 80 MB over the first 15,000 and stays there.
WARM_MEMORY = 20_000
FLAT = 0.05  # growth of memory after warm-up that counts as flat
_ABORTED = 0.04  # of requests, by their callers
_WORDS = (8, 24, 50)
_LEFT = (
    "SELECT (SELECT count(*) FROM billing_request WHERE status = 'open') AS open,"
    " (SELECT count(*) FROM (SELECT w.id FROM billing_window w"
    " LEFT JOIN billing_windowshare s ON s.window_id = w.id GROUP BY w.id"
    " HAVING ABS(w.held_usd + COALESCE(SUM(s.held_usd), 0)) > 0.0000000001"
    " OR w.held_tokens + COALESCE(SUM(s.held_tokens), 0) <> 0) h) AS holds"
)
_CONNECTIONS = "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = current_database()"
# Each with its rate per call; they lead to failover, rescue, or a typed error.
_FAULTS = (
    {"kind": "status", "status": 500, "rate": 0.01},
    {"kind": "status", "status": 400, "rate": 0.003},
    {"kind": "refuse_connection", "rate": 0.003},
    {"kind": "cut", "after_chunks": 3, "rate": 0.005},
    {"kind": "malformed", "after_chunks": 2, "rate": 0.003},
)


class Deployment(Cluster):
    """A deployment as operators run it, with default deadlines and heartbeat, unlike the chaos tests'."""

    @property
    def env(self) -> dict[str, str]:
        return {name: value for name, value in super().env.items() if name not in DEADLINES}


@dataclass(frozen=True)
class Sample:
    """One line of the curve. Memory in MB by process; `database` and `redis` are connections."""

    done: int
    at_s: float
    memory: dict[str, float]
    files: int
    database: int
    redis: int
    open_rows: int
    holds: int


class Soak:
    """The load, and the samples taken during it."""

    def __init__(
        self, cluster: Cluster, requests: int, callers: int, out: TextIO, others: Sequence[Process]
    ) -> None:
        self._cluster, self._requests, self._callers, self._out = cluster, requests, callers, out
        self._watched: list[Process] = [*cluster.webs, *others]
        self._begun = 0
        self.done = 0
        self.kinds: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.samples: list[Sample] = []
        self._dice = random.Random(28)  # noqa: S311

    async def run(self) -> list[str]:
        """Send all requests; return the checks that failed."""
        key = await order(self._cluster, "key", daily_usd="1000000", requests_per_minute=10_000_000)
        for fault in _FAULTS:
            self._cluster.simulator.fault(**fault)
        self._began = time.monotonic()
        self._head()
        clients = [client(web.url, key["secret"]) for web in self._cluster.webs]
        try:
            callers = (self._call(clients[number % len(clients)]) for number in range(self._callers))
            await asyncio.gather(self._watch(), *callers)
        finally:
            for http in clients:
                await http.aclose()
            await asyncio.to_thread(self._cluster.simulator.calm)
        left = await settled_by_itself(self._cluster, within_s=30)
        await self._sample()
        audit = await order(self._cluster, "audit")
        return [
            *(f"{number} × {kind}" for kind, number in self.wrong.items()),
            *left,
            *self._grown(),
            *([] if audit["holds"] else [f"manage.py audit:\n{audit['words']}"]),
        ]

    async def _call(self, http: httpx.AsyncClient) -> None:
        while self._begun < self._requests:
            self._begun += 1
            shape = SHAPES[self._begun % len(SHAPES)]
            leave = self._dice.random() / 2 if self._dice.random() < _ABORTED else None
            reply = await ask(http, shape, prompt(self._dice.choice(_WORDS)), leave_after_s=leave)
            self.kinds[reply.kind] += 1
            if not _proper(reply):
                self.wrong[reply.kind] += 1
            self.done += 1

    async def _watch(self) -> None:
        """Take a sample at every fortieth of the requests, at least twenty requests apart."""
        step = max(20, self._requests // 40)
        await self._sample()
        while self.done < self._requests:
            if self.done >= self.samples[-1].done + step:
                await self._sample()
            await asyncio.sleep(0.1)

    async def _sample(self) -> None:
        done, counts = self.done, await self._counts()
        sample = Sample(
            done,
            time.monotonic() - self._began,
            {process.name: process.memory_mb() for process in [*self._watched, self._cluster.simulator]},
            sum(_files(web) for web in self._cluster.webs),
            counts.get("connections", 0),
            _redis_clients(self._cluster),
            counts["open"],
            counts["holds"],
        )
        self.samples.append(sample)
        self._line(sample)

    async def _counts(self) -> dict[str, int]:
        counts: dict[str, int] = (await order(self._cluster, "read", sql=_LEFT, values=[]))[0]
        if not self._cluster.embedded:
            counts |= (await order(self._cluster, "read", sql=_CONNECTIONS, values=[]))[0]
        return counts

    def _head(self) -> None:
        names = "".join(
            f"{name + ' MB':>14}" for name in [process.name for process in self._watched] + ["simulator"]
        )
        self._say(
            f"{'requests':>10}{'req/s':>8}{names}{'files':>8}{'db':>5}{'redis':>7}{'open':>6}{'holds':>7}"
        )

    def _line(self, sample: Sample) -> None:
        before = self.samples[-2] if len(self.samples) > 1 else Sample(0, 0, {}, 0, 0, 0, 0, 0)
        rate = (sample.done - before.done) / max(sample.at_s - before.at_s, 0.001)
        memory = "".join(f"{mb:14.1f}" for mb in sample.memory.values())
        self._say(
            f"{sample.done:10}{rate:8.0f}{memory}{sample.files:8}{sample.database:5}{sample.redis:7}"
            f"{sample.open_rows:6}{sample.holds:7}"
        )

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _grown(self) -> list[str]:
        """List everything that grew after warm-up; the slopes are printed in any case."""
        warm = [sample for sample in self.samples if sample.done < WARM_UP * self._requests]
        after = [sample for sample in self.samples[:-1] if sample.done >= WARM_UP * self._requests]
        if len(after) < 3:
            return ["too few samples to judge anything"]
        wrong = []
        breath = self._callers  # pools to upstreams may reach so many on a later peak; a leak goes past it
        for name, most, counts in (
            ("open files", max(sample.files for sample in warm), [sample.files for sample in after]),
            (
                "database connections",
                max(sample.database for sample in warm),
                [sample.database for sample in after],
            ),
            ("Redis connections", max(sample.redis for sample in warm), [sample.redis for sample in after]),
        ):
            self._say(f"{name}: at most {most} in warm-up, {max(counts)} after")
            wrong += [f"{name} grew to {max(counts)}"] if min(counts[-3:]) > most + breath else []
        warm_at = WARM_MEMORY * len(self._cluster.webs)
        judged = self._requests >= 2 * warm_at
        for process in self._watched:
            lately = [sample for sample in after if sample.done >= warm_at] if judged else after
            summary, grew = self._memory(process.name, lately)
            self._say(summary if judged else f"{summary}; not judged below {2 * warm_at:,} requests")
            wrong += [summary] if judged and grew else []
        return wrong

    def _memory(self, name: str, after: list[Sample]) -> tuple[str, bool]:
        """A summary of a process's memory, and whether it grew."""
        done = np.array([sample.done for sample in after], dtype=float)
        memory = np.array([sample.memory[name] for sample in after])
        slope, error = slope_of(done, memory)
        low, high = ((slope + sign * 2 * error) * 100_000 for sign in (-1, 1))
        growth = slope * (done[-1] - done[0]) / memory[0]
        summary = (
            f"{name}: {memory[0]:.0f} → {memory[-1]:.0f} MB from request {done[0]:,.0f} on, "
            f"{slope * 100_000:+.1f} MB per 100,000 requests (95 %: {low:+.1f} to {high:+.1f})"
        )
        return summary, low > 0 and growth > FLAT


def _proper(reply: Reply) -> bool:
    """True for a reply that is whole, left by the caller, or a typed error; a rescued answer is whole."""
    if reply.complete or reply.aborted:
        return True
    if reply.error is not None:
        return reply.error.get("code") in TYPED
    return reply.status == 200 and reply.ended and not reply.lost and bool(reply.finish)


def slope_of(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Least squares: the slope and its standard error."""
    centred = x - x.mean()
    slope = float(centred @ (y - y.mean()) / (centred @ centred))
    rest = y - y.mean() - slope * centred
    return slope, float(np.sqrt(rest @ rest / max(len(x) - 2, 1) / (centred @ centred)))


def _files(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def _redis_clients(cluster: Cluster) -> int:
    if cluster.redis is None:
        return 0
    with socket.create_connection(("127.0.0.1", cluster.redis.port), timeout=5) as connection:
        connection.sendall(b"INFO clients\r\n")
        for line in connection.recv(4096).decode().splitlines():
            if line.startswith("connected_clients:"):
                return int(line.split(":")[1]) - 1
    raise LookupError("connected_clients")


def soak(
    cluster: Cluster,
    requests: int,
    callers: int,
    out: TextIO = sys.stdout,
    others: Sequence[Process] = (),
) -> bool:
    """Print curve and verdict; return whether all is well. `others`: more processes to watch."""
    load = Soak(cluster, requests, callers, out, others)
    wrong = asyncio.run(load.run())
    summary = ", ".join(f"{number} {kind}" for kind, number in load.kinds.most_common())
    print(f"{load.done} requests: {summary}", file=out)
    print("\n".join(f"FAIL  {fault}" for fault in wrong) or "all is well", file=out, flush=True)
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--callers", type=int, default=24)
    parser.add_argument("--webs", type=int, default=2)
    parser.add_argument("--embedded", action="store_true", help="SQLite and one process, no Redis")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    with Deployment(arguments.webs, embedded=arguments.embedded) as cluster:
        jobs = [] if arguments.embedded else [cluster.add_worker(name, name) for name in ("worker", "beat")]
        good = soak(cluster, arguments.requests, arguments.callers, others=jobs)
        cluster.failed = not good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
