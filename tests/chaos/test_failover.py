"""Failover Bench's scenarios with short waiting times; `make test-chaos ROWS=failover` has the real ones."""

from tests.chaos import failover
from tests.chaos.cluster import Cluster
from tests.chaos.verdicts import FAIL, SAFE


async def test_failover_bench_no_scenario_fails() -> None:
    with Cluster(embedded=True) as cluster:
        results = await failover.bench(cluster, down_s=4, every_s=0.8, count=24)
    assert len(results) == 2 * 16
    assert [outcome for outcome in results if outcome.verdict in (FAIL, SAFE)] == []
