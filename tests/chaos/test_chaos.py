"""A part of the chaos table for every test run: one process, SQLite. `make test-chaos` has it all."""

import asyncio
import signal
import time
from collections.abc import Iterator

import pytest

from tests.chaos import budget, own_rows, upstream_rows  # noqa: F401 - their rows
from tests.chaos.callers import SHAPES, ask, client
from tests.chaos.cluster import Cluster
from tests.chaos.services import answers, wait_until
from tests.chaos.table import ROWS, Row, outcomes
from tests.chaos.verdicts import FAIL, Outcome, order


@pytest.fixture(scope="module")
def embedded() -> Iterator[Cluster]:
    with Cluster(embedded=True, **budget.DEADLINES, DRAIN_S="30") as cluster:
        yield cluster


async def all_pass(row: Row, cluster: Cluster) -> None:
    results = await outcomes(row, cluster)
    assert results
    assert [outcome for outcome in results if outcome.verdict == FAIL] == []


@pytest.mark.parametrize("number", ["3", "8", "13", "16"])
async def test_upstream_trouble_ends_whole_or_safe(embedded: Cluster, number: str) -> None:
    await all_pass(ROWS[number], embedded)


async def test_row_21_what_a_killed_process_left_is_swept_once(embedded: Cluster) -> None:
    async def run(cluster: Cluster) -> list[Outcome]:
        return [await own_rows.killed_while(cluster, "in a stream", own_rows.in_the_stream)]

    await all_pass(Row("21", "killed", "swept once", run), embedded)


async def test_200_at_once_with_aborts_and_kills_stay_within_the_budget(embedded: Cluster) -> None:
    async def run(cluster: Cluster) -> list[Outcome]:
        return [await budget.troubled(cluster, "SQLite")]

    await all_pass(Row("budget", "200 at once", "within the cap", run), embedded)


async def test_row_27_a_process_asked_to_end_serves_until_balancers_leave(embedded: Cluster) -> None:
    web, api_key = embedded.webs[0], await order(embedded, "key")
    web.send(signal.SIGTERM)
    await asyncio.to_thread(wait_until, lambda: not answers(web.url + "/readyz"), 10, "draining")
    async with client(web.url, api_key["secret"]) as http:
        reply = await ask(http, SHAPES[0])
    assert reply.complete
    assert reply.headers["connection"] == "close"
    began = time.monotonic()
    await asyncio.to_thread(web.terminate)  # a second signal ends it at once
    assert time.monotonic() - began < 20
    await asyncio.to_thread(web.start)
