"""`make soak N=1000000`: mixed load on a whole deployment for as long as it takes; is anything growing?

Callers that never pause ask at both doors, streamed and not; some leave early, and providers fail at some
rate. Every so often memory, open files, connections, open requests and holds are written down. At the end:
memory flat after warm-up, no connection growth, nothing left open, all promises of the ledger kept
(spec/reliability.md row 28). Deadlines and heartbeat are the product's defaults.
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
FLAT = 0.05  # growth of memory after warm-up that is taken for none
_ABORTED = 0.04  # of requests, by their callers
_WORDS = (8, 24, 50)
_LEFT = (
    "SELECT (SELECT count(*) FROM billing_request WHERE status = 'open') AS open,"
    " (SELECT count(*) FROM billing_window WHERE held_usd <> 0 OR held_tokens <> 0) AS holds"
)
_CONNECTIONS = "SELECT count(*) AS connections FROM pg_stat_activity WHERE datname = current_database()"
# Each with its chance a call; what they lead to is failover, rescue, or a typed error.
_FAULTS = (
    {"kind": "status", "status": 500, "rate": 0.01},
    {"kind": "status", "status": 400, "rate": 0.003},
    {"kind": "refuse_connection", "rate": 0.003},
    {"kind": "cut", "after_chunks": 3, "rate": 0.005},
    {"kind": "malformed", "after_chunks": 2, "rate": 0.003},
)


class Deployment(Cluster):
    """As an operator runs it: deadlines and heartbeat are the defaults, unlike those of the chaos table."""

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
    """The load, and what is seen while it lasts."""

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
        """Ask them all; what broke a promise."""
        made = await order(self._cluster, "key", daily_usd="1000000", requests_per_minute=10_000_000)
        for fault in _FAULTS:
            self._cluster.simulator.fault(**fault)
        self._began = time.monotonic()
        self._head()
        clients = [client(web.url, made["secret"]) for web in self._cluster.webs]
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
        """A sample at each fortieth of the way, and at least twenty requests apart."""
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
            {one.name: one.memory_mb() for one in [*self._watched, self._cluster.simulator]},
            sum(_files(one) for one in self._cluster.webs),
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
        names = "".join(f"{name + ' MB':>14}" for name in [one.name for one in self._watched] + ["simulator"])
        self._say(
            f"{'requests':>10}{'req/s':>8}{names}{'files':>8}{'db':>5}{'redis':>7}{'open':>6}{'holds':>7}"
        )

    def _line(self, one: Sample) -> None:
        before = self.samples[-2] if len(self.samples) > 1 else Sample(0, 0, {}, 0, 0, 0, 0, 0)
        rate = (one.done - before.done) / max(one.at_s - before.at_s, 0.001)
        memory = "".join(f"{mb:14.1f}" for mb in one.memory.values())
        self._say(
            f"{one.done:10}{rate:8.0f}{memory}{one.files:8}{one.database:5}{one.redis:7}"
            f"{one.open_rows:6}{one.holds:7}"
        )

    def _say(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def _grown(self) -> list[str]:
        """What grew after warm-up; the slopes are printed either way."""
        warm = [one for one in self.samples if one.done < WARM_UP * self._requests]
        after = [one for one in self.samples[:-1] if one.done >= WARM_UP * self._requests]
        if len(after) < 3:
            return ["too few samples to judge anything"]
        wrong = []
        breath = self._callers  # pools to upstreams may reach so many on a later peak; a leak goes past it
        for name, most, seen in (
            ("open files", max(one.files for one in warm), [one.files for one in after]),
            ("database connections", max(one.database for one in warm), [one.database for one in after]),
            ("Redis connections", max(one.redis for one in warm), [one.redis for one in after]),
        ):
            self._say(f"{name}: at most {most} in warm-up, {max(seen)} after")
            wrong += [f"{name} grew to {max(seen)}"] if min(seen[-3:]) > most + breath else []
        warm_at = WARM_MEMORY * len(self._cluster.webs)
        judged = self._requests >= 2 * warm_at
        for process in self._watched:
            lately = [one for one in after if one.done >= warm_at] if judged else after
            told, grew = self._memory(process.name, lately)
            self._say(told if judged else f"{told}; not judged below {2 * warm_at:,} requests")
            wrong += [told] if judged and grew else []
        return wrong

    def _memory(self, name: str, after: list[Sample]) -> tuple[str, bool]:
        """How it went, and whether it grew."""
        done = np.array([one.done for one in after], dtype=float)
        memory = np.array([one.memory[name] for one in after])
        slope, error = slope_of(done, memory)
        low, high = ((slope + sign * 2 * error) * 100_000 for sign in (-1, 1))
        growth = slope * (done[-1] - done[0]) / memory[0]
        told = (
            f"{name}: {memory[0]:.0f} → {memory[-1]:.0f} MB from request {done[0]:,.0f} on, "
            f"{slope * 100_000:+.1f} MB per 100,000 requests (95 %: {low:+.1f} to {high:+.1f})"
        )
        return told, low > 0 and growth > FLAT


def _proper(reply: Reply) -> bool:
    """Whole, left by the caller, or a typed error; a rescued answer's words are judged by row 8."""
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
    """Print curve and verdict; whether all is well. `others`: processes that are watched beside web's."""
    load = Soak(cluster, requests, callers, out, others)
    wrong = asyncio.run(load.run())
    told = ", ".join(f"{number} {kind}" for kind, number in load.kinds.most_common())
    print(f"{load.done} requests: {told}", file=out)
    print("\n".join(f"FAIL  {one}" for one in wrong) or "all is well", file=out, flush=True)
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
