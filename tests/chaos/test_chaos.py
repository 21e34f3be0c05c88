"""A part of the chaos table for every test run: one process, SQLite. `make test-chaos` has it all."""

from collections.abc import Iterator

import pytest

from tests.chaos import budget, own_rows, upstream_rows  # noqa: F401 - their rows
from tests.chaos.cluster import Cluster
from tests.chaos.table import ROWS, Row, outcomes
from tests.chaos.verdicts import FAIL, Outcome


@pytest.fixture(scope="module")
def embedded() -> Iterator[Cluster]:
    with Cluster(embedded=True, **budget.DEADLINES) as cluster:
        yield cluster


async def all_pass(row: Row, cluster: Cluster) -> None:
    found = await outcomes(row, cluster)
    assert found
    assert [outcome for outcome in found if outcome.verdict == FAIL] == []


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
