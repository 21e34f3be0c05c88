"""The table: rows register themselves, are run one after the other, and are printed as they come."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from tests.chaos.cluster import Cluster, Refused
from tests.chaos.verdicts import FAIL, Outcome, failed, order, settled_by_itself

Run = Callable[[Cluster], Awaitable[list[Outcome]]]


@dataclass(frozen=True)
class Row:
    number: str
    trouble: str
    demanded: str
    run: Run


ROWS: dict[str, Row] = {}


def row(number: str, trouble: str, demanded: str) -> Callable[[Run], Run]:
    def register(run: Run) -> Run:
        ROWS[number] = Row(number, trouble, demanded, run)
        return run

    return register


async def outcomes(row: Row, cluster: Cluster) -> list[Outcome]:
    """A row's outcomes; the ledger is audited after each, and nothing may be left behind."""
    await asyncio.to_thread(cluster.simulator.reset)
    try:
        await asyncio.to_thread(cluster.close_breakers)
        results = await row.run(cluster)
        left = await settled_by_itself(cluster)
        audit = await order(cluster, "audit")
    except (Exception, TimeoutError) as error:
        return [failed("", f"the row ended with {type(error).__name__}: {error}")]
    if left:
        results.append(failed("afterwards", "; ".join(left)))
    if not audit["holds"]:
        broken = "; ".join(line for line in audit["words"].splitlines() if " broken" in line)
        results.append(failed("manage.py audit", broken))
    return results


def run(rows: Iterable[Row], cluster: Cluster) -> bool:
    """Print each row as it is done; whether all passed."""
    good = True
    for row in rows:
        began = time.monotonic()
        results = asyncio.run(outcomes(row, cluster))
        print(f"\n{row.number:>6}  {row.trouble}\n        demanded: {row.demanded}")
        for outcome in results:
            shape = f"{outcome.shape + ':' if outcome.shape else '':18}"
            facts = f"  [{outcome.facts}]" if outcome.facts else ""
            print(f"  {outcome.verdict:5} {shape} {outcome.got}{facts}")
        print(f"        ({time.monotonic() - began:.1f} s)", flush=True)
        good &= bool(results) and all(outcome.verdict != FAIL for outcome in results)
    return good


__all__ = ["ROWS", "Refused", "Row", "outcomes", "row", "run"]
