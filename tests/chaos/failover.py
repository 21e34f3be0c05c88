"""The sixteen scenarios of Failover Bench (methodology v0.1), rebuilt from their public description.

The bench sends one streamed Chat Completions request per scenario to a provider that misbehaves, through a
gateway. It judges the reply, and the calls that the provider got. Here the primary is a named model with
one spare, or the choice of Smart Routing (`auto`). "pass": a complete answer and right conduct; "partial":
complete, but an advisory check fails; "safe": a clean error within the time limit; the rest fails.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.chaos.callers import Reply, Shape, ask, client, prompt
from tests.chaos.cluster import Cluster
from tests.chaos.table import row
from tests.chaos.verdicts import FAIL, SAFE, TYPED, Outcome, disagreements, failed, order, passed

PASS, PARTIAL = "pass", "partial"
SHAPE = Shape("openai", streamed=True)
SPARE, NO_PREFILL = "gemini-2.5-flash", "claude-opus-5-5"  # the second rejects a started answer
WORDS = 50
DEFAULTS = {
    "FIRST_BYTE_TIMEOUT_S": "14",
    "FIRST_BYTE_PATIENCE": "3",
    "IDLE_TIMEOUT_S": "20",
    "REQUEST_TIMEOUT_S": "120",
    "DATABASE_PATIENCE_S": "5",
}


@dataclass(frozen=True)
class Run:
    """The reply, when the primary was called (seconds after the first call), and which others were."""

    reply: Reply
    primary: str
    calls: list[float]
    others: list[str]

    @property
    def gap_s(self) -> float | None:
        return self.calls[1] - self.calls[0] if len(self.calls) > 1 else None


Check = Callable[[Run], bool]


def at_most(attempts: int, within_s: float = 1e9) -> Check:
    """At most so many attempts at the primary, in the first seconds."""
    return lambda run: sum(at <= within_s for at in run.calls) <= attempts


def at_least(attempts: int) -> Check:
    return lambda run: len(run.calls) >= attempts


def within(seconds: float) -> Check:
    return lambda run: run.reply.seconds <= seconds


def usage_reported(run: Run) -> bool:
    return bool(run.reply.output_tokens)


def model_of_the_spare(run: Run) -> bool:
    return run.reply.model != run.primary and run.reply.model == run.others[-1]


def charged_once(run: Run) -> bool:
    """The failed attempts cost the caller nothing."""
    return sum(attempt["outcome"] == "ok" for attempt in run.reply.attempts) == 1


@dataclass(frozen=True)
class Scenario:
    """`pool`: the candidates in `auto`, where only some models can fail like this; `error`: the due error."""

    number: str
    title: str
    model: str
    fault: dict[str, Any]
    required: dict[str, Check] = field(default_factory=dict)
    advisory: dict[str, Check] = field(default_factory=dict)
    longest_s: float = 45.0
    spare: str = SPARE
    pool: list[str] | None = None
    error: str = ""
    in_the_middle: bool = False


def status(code: int, **more: Any) -> dict[str, Any]:
    return {"kind": "status", "status": code} | more


SCENARIOS = (
    Scenario(
        "S01",
        "429 with Retry-After",
        "gpt-4.1-mini",
        status(429, retry_after=2, count=1),
        {"does not hammer": at_most(2, 1.5)},
        {
            "tries the same model again": at_least(2),
            "waits as long as demanded": lambda run: run.gap_s is not None and run.gap_s >= 1.8,
        },
        20,
    ),
    Scenario(
        "S02",
        "429 without Retry-After, always",
        "claude-haiku-4-5",
        status(429),
        {"does not hammer": at_most(4, 3), "bounded attempts": at_most(6)},
    ),
    Scenario(
        "S03",
        "500 once",
        "gpt-5.4-mini",
        status(500, count=1),
        {},
        {"tries the same model again": at_least(2)},
        20,
    ),
    Scenario("S04", "503 always", "claude-sonnet-4-5", status(503), {"bounded attempts": at_most(6)}),
    Scenario(
        "S05", "reset before the head", "gpt-4.1", {"kind": "refuse_connection", "count": 1}, longest_s=20
    ),
    Scenario(
        "S06",
        "no response at all",
        "gpt-4o",
        {"kind": "delay", "delay_s": 120},
        {"within its time": within(100)},
        {"does not try a silent model again": at_most(1)},
        130,
    ),
    Scenario(
        "S07",
        "first token after 20 s",
        "gpt-4o-mini",
        {"kind": "stall", "after_chunks": 0, "delay_s": 20},
        {},
        {"limits the time to the first token": within(15)},
        60,
    ),
    Scenario(
        "S08",
        "stream cut in the middle",
        "claude-sonnet-4-6",
        {"kind": "cut", "count": 1},
        in_the_middle=True,
    ),
    Scenario(
        "S09",
        "stream stalls",
        "claude-opus-4-5",
        {"kind": "stall", "delay_s": 30, "count": 1},
        {"within its time": within(45)},
        longest_s=70,
        in_the_middle=True,
    ),
    Scenario(
        "S10",
        "malformed chunk",
        "claude-opus-4-6",
        {"kind": "malformed", "count": 1},
        longest_s=30,
        in_the_middle=True,
    ),
    Scenario(
        "S11",
        "no [DONE]",
        "claude-opus-4-7",
        {"kind": "no_closing"},
        {"ends promptly": within(8)},
        {"reports usage": usage_reported},
        30,
        pool=["gpt-4.1-mini", "claude-haiku-4-5"],
    ),
    Scenario(
        "S12",
        "context length exceeded",
        "gpt-5-mini",
        status(400, error_code="context_length_exceeded"),
        {"does not try the same model again": at_most(1)},
        longest_s=20,
    ),
    Scenario(
        "S13",
        "content refused",
        "gpt-5.1",
        status(400, error_code="content_policy_violation"),
        {"does not try the same model again": at_most(1)},
        longest_s=20,
        error="content_policy_violation",
    ),
    Scenario(
        "S14",
        "cut, and the spare rejects a started answer",
        "claude-opus-4-8",
        {"kind": "cut", "count": 1},
        spare=NO_PREFILL,
        pool=["claude-sonnet-5", NO_PREFILL],  # neither takes a started answer
        in_the_middle=True,
    ),
    Scenario(
        "S16",
        "503 always: what is reported",
        "claude-sonnet-5",
        status(503),
        {
            "names the spare": model_of_the_spare,
            "bounded attempts": at_most(6),
            "charges one": charged_once,
        },
        {"reports usage": usage_reported},
    ),
)


def verdict(scenario: Scenario, run: Run) -> tuple[str, list[str]]:
    """The bench's verdict, and the checks that failed."""
    reply = run.reply
    broken = [name for name, check in scenario.required.items() if not check(run)]
    if not run.calls:
        broken.append("the fault was not met")
    if reply.seconds > scenario.longest_s:
        broken.append(f"took {reply.seconds:.1f} s")
    code = (reply.error or {}).get("code", "")
    if broken or not (reply.complete or code in TYPED):
        return FAIL, [*broken, reply.kind]
    if scenario.error:
        return (PASS, []) if code == scenario.error else (FAIL, [reply.kind])
    if not reply.complete:
        return SAFE, [reply.kind]
    noted = [name for name, check in scenario.advisory.items() if not check(run)]
    return (PARTIAL if noted else PASS), noted


async def measured(cluster: Cluster, http: httpx.AsyncClient, scenario: Scenario, auto: bool) -> Outcome:
    """One scenario, with the named model and its spare, or in `auto`."""
    fields: dict[str, Any] = {"model": scenario.model, "pool": [scenario.model, scenario.spare]}
    if auto:
        fields = {"pool": scenario.pool} if scenario.pool else {}
    for _ in range(5):  # Smart Routing may choose another model for the next request
        primary = (await ask(http, SHAPE, prompt(WORDS), **fields)).model if auto else scenario.model
        fault = scenario.fault | {"model": primary}
        if scenario.in_the_middle:
            fault["after_chunks"] = 2 if primary.startswith("gemini") else 6
        await asyncio.to_thread(cluster.simulator.fault, **fault)
        run = _run_of(cluster, await ask(http, SHAPE, prompt(WORDS), **fields), primary)
        if auto:
            await asyncio.to_thread(cluster.simulator.calm)
            for _ in range(3):  # so that no failure of this scenario counts in the next
                await ask(http, SHAPE, model=primary, fallback=False)
        if run.calls:
            break
    result, broken = verdict(scenario, run)
    gap = f", again after {run.gap_s:.1f} s" if run.gap_s is not None else ""
    facts = f"{len(run.calls)}p/{len(run.others)}f{gap}, {run.reply.seconds:.1f} s"
    got = f"{primary} → {run.reply.model or run.reply.kind}: {facts}"
    shape = f"{scenario.number} {'auto' if auto else 'named'}"
    if result == FAIL:
        return failed(shape, f"{scenario.title}: {got}", "; ".join(broken))
    return passed(shape, f"{scenario.title}: {got}", result, "; ".join(f"not: {name}" for name in broken))


def _run_of(cluster: Cluster, reply: Reply, primary: str) -> Run:
    calls = [call for call in cluster.simulator.calls() if reply.prompt.mark in str(call["body"])]
    first = min((call["at"] for call in calls), default=0.0)
    at = [call["at"] - first for call in calls if call["model"] == primary]
    return Run(reply, primary, at, [call["model"] for call in calls if call["model"] != primary])


async def flapping(
    cluster: Cluster, http: httpx.AsyncClient, auto: bool, *, down_s: float, every_s: float, count: int
) -> Outcome:
    """S15: requests at fixed intervals while the primary is down, and after it has recovered."""
    primary, fields = "gpt-5.2", {"model": "gpt-5.2", "pool": ["gpt-5.2", SPARE]}
    if auto:
        fields = {}
        primary = (await ask(http, SHAPE, prompt(WORDS))).model
    await asyncio.to_thread(cluster.simulator.fault, **status(503, model=primary))
    began, sent = time.monotonic(), []

    async def recover() -> None:
        await asyncio.sleep(down_s)
        await asyncio.to_thread(cluster.simulator.calm)

    recovery = asyncio.create_task(recover())
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number * every_s - time.monotonic()))
        sent.append(asyncio.create_task(ask(http, SHAPE, prompt(WORDS), **fields)))
    replies = await asyncio.gather(*sent)
    await recovery
    back = [reply.at - began - down_s for reply in replies if reply.model == primary]
    wrong = [reply.kind for reply in replies if not reply.complete]
    wrong += [] if back and min(back) <= 30 else ["the primary is not back in use within 30 s"]
    struck = sum(
        call["model"] == primary and call["status"] == 503 for call in await _calls(cluster, replies)
    )
    returned = f"back after {min(back):.1f} s" if back else "not back"
    got = f"{primary} down {down_s:g} s: {len(replies) - len(wrong)} of {len(replies)} whole, {returned}, "
    got += f"{struck} calls while it was down"
    shape = f"S15 {'auto' if auto else 'named'}"
    return failed(shape, got, "; ".join(wrong[:3])) if wrong else passed(shape, got, PASS)


async def _calls(cluster: Cluster, replies: list[Reply]) -> list[dict[str, Any]]:
    marks = [reply.prompt.mark for reply in replies]
    calls = await asyncio.to_thread(cluster.simulator.calls)
    return [call for call in calls if any(mark in str(call["body"]) for mark in marks)]


async def bench(cluster: Cluster, *, down_s: float, every_s: float, count: int) -> list[Outcome]:
    """All sixteen, named and in `auto`. The named ones have a primary each, so they run at once."""
    api_key = await order(cluster, "key")
    async with client(cluster.webs[0].url, api_key["secret"]) as http:
        await asyncio.to_thread(cluster.simulator.reset)
        together = [measured(cluster, http, scenario, auto=False) for scenario in SCENARIOS]
        results = list(await asyncio.gather(*together))
        await asyncio.to_thread(cluster.simulator.calm)
        for scenario in SCENARIOS:
            results.append(await measured(cluster, http, scenario, auto=True))
        for auto in (False, True):
            results.append(await flapping(cluster, http, auto, down_s=down_s, every_s=every_s, count=count))
    wrong = await disagreements(cluster, api_key["id"], [])
    results += [failed("ledger", "; ".join(wrong[:3]))] if wrong else []
    return sorted(results, key=lambda outcome: outcome.shape)


@row(
    "failover", "the sixteen scenarios of Failover Bench, default deadlines", "pass, or partial as documented"
)
async def at_default_deadlines(cluster: Cluster) -> list[Outcome]:
    """With the bench's own waiting times: an outage of 60 s, and twenty requests, one every 4 s."""
    usual = Cluster(embedded=True, simulator=cluster.simulator, **DEFAULTS)
    await asyncio.to_thread(usual.__enter__)
    try:
        return await bench(usual, down_s=60, every_s=4, count=24)
    finally:
        await asyncio.to_thread(usual.close)
