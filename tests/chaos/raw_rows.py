"""Row 20: upstreams that are no upstreams, behind a raw socket; memory stays bounded."""

import asyncio
from typing import Any

from tests.chaos.callers import SHAPES, ask
from tests.chaos.cluster import Cluster
from tests.chaos.raw import BEHAVIOURS, BOMB_MB, UNREACHABLE
from tests.chaos.table import row
from tests.chaos.upstream_rows import caller_of
from tests.chaos.verdicts import FAIL, Outcome, failed, passed, whole_or_safe

_MOST_MB = 4 * 2 * 32  # growth: each of four bodies may have 32 MB, and is there twice while it is read
_APART = {"bomb", "flood", "endless"}  # one at a time, so that the memory of each can be measured


@row(
    "20",
    "refused connection, DNS or TLS failure, HTML page, empty body, 200 with an error body, gzip bomb, "
    "header flood, 1 byte a second, garbage, endless body",
    "whole or safe; memory bounded",
)
async def no_upstream(cluster: Cluster) -> list[Outcome]:
    assert cluster.raw is not None
    web, results = cluster.webs[0], []
    async with cluster.raw, await caller_of(cluster) as http:

        async def judged(name: str, **fields: Any) -> Outcome:
            replies = await asyncio.gather(
                *(ask(http, shape, model=f"raw/{name}", **fields) for shape in SHAPES)
            )
            return _together(name, [await whole_or_safe(cluster, reply) for reply in replies])

        together = [name for name in (*BEHAVIOURS, *UNREACHABLE) if name not in _APART]
        # Where no other model may answer, the error itself has to be right.
        alone = (judged(f"{name}-alone", fallback=False) for name in together)
        results += await asyncio.gather(*map(judged, together), *alone)
        for name in sorted(_APART):
            web.forget_peak()
            before = web.memory_mb()
            outcome = await judged(name)
            grown = web.memory_mb(peak=True) - before
            facts = f"memory grew by {grown:.0f} MB" + (f" under 4 × {BOMB_MB} MB" if name == "bomb" else "")
            results.append(Outcome(outcome.shape, outcome.got, outcome.verdict, facts))
            if grown > _MOST_MB:
                results.append(failed(name, facts))
            results.append(await judged(f"{name}-alone", fallback=False))
    return results


def _together(name: str, outcomes: list[Outcome]) -> Outcome:
    """One line for the four shapes, the worst verdict of them."""
    failures = [outcome for outcome in outcomes if outcome.verdict == FAIL]
    if failures:
        return failed(
            name, "; ".join(f"{outcome.shape}: {outcome.got} [{outcome.facts}]" for outcome in failures)
        )
    verdicts = {outcome.verdict for outcome in outcomes}
    return passed(name, "4 shapes: " + outcomes[-1].got, "safe" if "safe" in verdicts else "whole")
