"""`python -m bench.speed.growth`: how RoutePlex behaves as things grow, a table for each.

Processes, API keys, rows in the ledger, tokens in a prompt, and concurrent streams. Each is varied while the
rest stays as in `make bench-speed`. `--only keys rows` selects, `--store sqlite` uses SQLite. Results go to
docs/speed.md.
"""

import argparse
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from bench.speed.machine import LOAD_CORE, memory_mb
from bench.speed.phases import AT_ONCE, Run, await_answer, run
from bench.speed.programs import VAR, Answers, upstream
from bench.speed.report import replace_part
from bench.speed.stores import POSTGRES, SQLITE, Settings
from bench.speed.targets import Gateway, routeplex

MODEL = "gpt-4o-mini"
PROCESSES = (1, 2, 4)
KEYS = (100, 10_000, 100_000)
ROWS = (10_000, 100_000, 1_000_000)
TOKENS = (200, 2_000, 20_000, 100_000, 200_000)
STREAMS = (100, 1_000, 5_000)
SLOW = Answers(events=20, interval_us=2_000_000)  # 40 seconds
OPENING_S = 30.0  # in which streams are opened: all at once would measure how requests queue
_SECONDS = 4.0
_LETTERS = "abcdefghjkmnpqrstvwxyz"
_TABLE = "billing_request"
_SENTENCE = "Please also consider the delivery address, the order number and the date of the last parcel. "
_TOKENS_PER_SENTENCE = 18


class Row(msgspec.Struct, frozen=True):
    """One line of a table. Times added to a request in ms."""

    grown: str
    requests_per_s: float
    cpu_us: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    failed: int

    def __str__(self) -> str:
        return (
            f"| {self.grown} | {self.requests_per_s:,.0f} | {self.cpu_us:,.0f} | {self.p50_ms:,.1f}"
            f" | {self.p99_ms:,.1f} | {self.memory_mb:,.0f} | {self.failed:,} |"
        )


_HEAD = (
    "| {} | requests/s | CPU µs/request | added p50, ms | p99 | MB | failed |\n"
    "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def _row(grown: str, gateway: Gateway, done: Run) -> Row:
    load = done.load
    wrong = load.failed + load.refused + load.timed_out
    if wrong:
        print(f"{grown}: {wrong} failed, {load.first_error}", file=sys.stderr)
    assert gateway.pid is not None
    added = load.event_delay if load.event_delay.count else load.overhead
    return Row(
        grown,
        load.requests_per_s,
        done.cpu_us,
        added.p50 / 1000,
        added.p99 / 1000,
        memory_mb(gateway.pid),
        wrong,
    )


def processes(url: str, store: str) -> Iterator[Row]:
    """All on all cores, which load generator, upstream and database share."""
    cores = f"0-{(os.cpu_count() or 1) - 1}"
    for number in PROCESSES:
        with routeplex(url, MODEL, store, workers=number, cores=cores) as gateway:
            _warm_up(gateway)
            done = run(gateway, AT_ONCE, connections=64, seconds=_SECONDS)
            yield _row(f"{number:,}", gateway, done)


def keys(url: str, store: str) -> Iterator[Row]:
    for number in KEYS:
        with routeplex(url, MODEL, store, keys=number) as gateway:
            _warm_up(gateway)
            yield _row(f"{number:,}", gateway, run(gateway, AT_ONCE, connections=64, seconds=_SECONDS))


def rows(url: str, store: str) -> Iterator[Row]:
    with routeplex(url, MODEL, store) as gateway:
        letters = iter(_LETTERS)
        for number in ROWS:
            _warm_up(gateway)
            _fill(gateway.storage, number, letters)
            yield _row(f"{number:,}", gateway, run(gateway, AT_ONCE, connections=64, seconds=_SECONDS))


def tokens(url: str, store: str) -> Iterator[Row]:
    """Two prompts a second."""
    with routeplex(url, "auto", store) as gateway:
        _warm_up(gateway)
        for number in TOKENS:
            pad = _SENTENCE * (number // _TOKENS_PER_SENTENCE)
            done = run(gateway, AT_ONCE, pad, connections=16, seconds=2 * _SECONDS, rate=2)
            yield _row(f"{number:,}", gateway, done)


def streams(url: str, store: str) -> Iterator[Row]:
    """Streams of 40 seconds, opened steadily over 30; the times are those added to an event."""
    with routeplex(url, MODEL, store) as gateway:
        _warm_up(gateway)
        for number in STREAMS:
            rate = number / OPENING_S
            done = run(
                gateway, SLOW, connections=number, seconds=OPENING_S, rate=rate, warm_up_s=0, timeout_s=60
            )
            yield _row(f"{number:,}", gateway, done)


GROWING: dict[str, tuple[str, Callable[[str, str], Iterator[Row]]]] = {
    "processes": ("processes", processes),
    "keys": ("API keys in use", keys),
    "rows": ("rows in the ledger", rows),
    "tokens": ("tokens in a prompt", tokens),
    "streams": ("concurrent streams", streams),
}


def _warm_up(gateway: Gateway) -> None:
    await_answer(gateway, 90)
    run(gateway, AT_ONCE, connections=16, seconds=2.0)


def _fill(storage: Settings, number: int, letters: Iterator[str]) -> None:
    """Copy the ledger's rows until there are so many; each pass adds a letter of its own to their ids."""
    connection = _connection(storage)
    names = [column[0] for column in connection.execute(f"SELECT * FROM {_TABLE} LIMIT 0").description]  # noqa: S608
    others = ", ".join(f'"{name}"' for name in names if name != "id")
    for letter in letters:
        present = connection.execute(f"SELECT count(*) FROM {_TABLE}").fetchone()[0]  # noqa: S608
        if present >= number:
            break
        connection.execute(
            f"INSERT INTO {_TABLE} (id, {others}) SELECT id || '{letter}', {others} FROM {_TABLE}"  # noqa: S608
            f" WHERE length(id) < 40 LIMIT {number - present}"
        )
    connection.execute("ANALYZE")
    connection.close()


def _connection(storage: Settings) -> Any:
    """A connection that commits each statement; both drivers have `execute` and cursors alike."""
    if "DATABASE_URL" in storage:
        url = storage["DATABASE_URL"].replace("postgres://", "postgresql://", 1)
        return psycopg.connect(url, autocommit=True)
    return sqlite3.connect(Path(storage["VAR_DIR"]) / "routeplex.sqlite3", timeout=60, isolation_level=None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=GROWING, default=list(GROWING))
    parser.add_argument("--store", choices=("postgres", "sqlite"), default="postgres")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))  # a stream takes two connections
    VAR.mkdir(parents=True, exist_ok=True)
    store = POSTGRES if arguments.store == "postgres" else SQLITE
    for name in arguments.only:
        title, grow = GROWING[name]
        lines = [_HEAD.format(title)]
        print(lines[0], flush=True)
        with upstream() as url:
            for row in grow(url, store):
                lines.append(str(row))
                print(row, flush=True)
        replace_part(f"growth: {name}", "\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
