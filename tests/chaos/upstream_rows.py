"""Rows 1–19: what the providers do, played by the simulator behind real sockets."""

import asyncio
import dataclasses
import json
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import httpx

from tests.chaos.callers import SHAPES, STREAMS, Load, Reply, Shape, ask, client, prompt
from tests.chaos.cluster import FIRST_BYTE_S, Cluster
from tests.chaos.table import row
from tests.chaos.verdicts import (
    Outcome,
    disagreements,
    held_to,
    order,
    row_of,
    safe,
    tally,
    whole,
)

# Pinned in turn, so that no row's failures open a breaker of the next; every dialect is among them.
MODELS = (
    "gpt-4.1-mini",
    "claude-haiku-4-5",
    "gemini-2.5-flash",
    "gpt-5-mini",
    "claude-sonnet-4-5",
    "gemini-2.5-flash-lite",
    "gpt-4o-mini",
    "claude-sonnet-4-6",
    "gemini-3.5-flash-lite",
    "gpt-5.4-mini",
    "claude-opus-4-5",
    "gpt-4.1",
)
LONG = 50  # words: several frames in every dialect
_turn = iter(range(10**9))


def next_model() -> str:
    return MODELS[next(_turn) % len(MODELS)]


def mid(model: str) -> int:
    """After how many frames a dialect's answer of LONG words is under way, and not over."""
    return 2 if model.startswith("gemini") else 6


async def caller_of(cluster: Cluster, **limits: Any) -> Any:
    """A client of the first web process with a key of its own."""
    api_key = await order(cluster, "key", **limits)
    return client(cluster.webs[0].url, api_key["secret"])


async def each(
    cluster: Cluster, shapes: Sequence[Shape], fault: dict[str, Any], **fields: Any
) -> list[tuple[Reply, list[dict[str, Any]], str]]:
    """Ask once in each shape for a model that has this fault: reply, all calls, the model."""
    replies = []
    async with await caller_of(cluster) as http:
        for shape in shapes:
            model = next_model()
            await asyncio.to_thread(cluster.simulator.reset)
            if fault:
                where = {"after_chunks": mid(model)} if fault["kind"] in ("cut", "stall", "malformed") else {}
                await asyncio.to_thread(cluster.simulator.fault, **{"model": model} | where | fault)
            reply = await ask(http, shape, prompt(LONG), **{"model": model} | fields)
            replies.append((reply, await asyncio.to_thread(cluster.simulator.calls), model))
            await reassure(cluster, http, model)
    return replies


async def reassure(cluster: Cluster, http: httpx.AsyncClient, model: str) -> None:
    """Let the model answer well, so that failures of many rows do not add up to an open breaker."""
    await asyncio.to_thread(cluster.simulator.calm)
    for _ in range(2):
        await ask(http, SHAPES[0], model=model)


async def each_whole(
    cluster: Cluster,
    fault: dict[str, Any],
    shapes: Sequence[Shape] = SHAPES,
    most_calls: int = 1,
    **fields: Any,
) -> list[Outcome]:
    """Whole in each shape, the faulty model having been called at most so often."""
    results = []
    for reply, calls, model in await each(cluster, shapes, fault, **fields):
        struck = sum(call["model"] == model for call in calls)
        also = [] if 1 <= struck <= most_calls else [f"{model} was called {struck} times"]
        results.append(await whole(cluster, reply, also))
    return results


@row("1", "429 with Retry-After", "whole, by another arm or by waiting when that is shorter; header obeyed")
async def retry_after(cluster: Cluster) -> list[Outcome]:
    results = []
    async with await caller_of(cluster) as http:
        for shape in SHAPES:
            model = next_model()
            cluster.simulator.reset()
            cluster.simulator.fault(kind="status", status=429, retry_after=2, model=model, count=1)
            first = await ask(http, shape, model=model)
            again = await ask(http, shape, model=model)
            called = len(cluster.simulator.calls(model))
            also = [f"called {called} times within its wait"] if called != 1 else []
            results.append(await whole(cluster, first, also))
            results.append(await whole(cluster, again))
        model = "gemini-2.5-pro"
        cluster.simulator.reset()
        cluster.simulator.fault(kind="status", status=429, retry_after=1, model=model, count=1)
        alone = await ask(http, SHAPES[0], model=model, fallback=False)
        times = [call["at"] for call in cluster.simulator.calls(model)]
        also = [] if len(times) == 2 and times[1] - times[0] >= 1 else [f"calls at {times}"]
        results.append(await whole(cluster, alone, also, ", the only arm: waited"))
    return results


@row("2", "429 without Retry-After", "whole")
async def rate_limited(cluster: Cluster) -> list[Outcome]:
    return await each_whole(cluster, {"kind": "status", "status": 429, "count": 1})


@row("3", "500 once", "whole")
async def server_error(cluster: Cluster) -> list[Outcome]:
    return await each_whole(cluster, {"kind": "status", "status": 500, "count": 1})


@row("4", "503 for minutes", "whole; breaker opens; no more than one probe per half-open period")
async def unavailable(cluster: Cluster) -> list[Outcome]:
    """Twenty seconds of it, at two web processes that share their breakers."""
    api_key, model = await order(cluster, "key"), "claude-sonnet-5"
    cluster.simulator.fault(kind="status", status=503, model=model)
    urls = [web.url for web in cluster.webs]
    async with Load(lambda: urls, api_key["secret"], callers=4, pause_s=0.3, model=model) as load:
        await asyncio.sleep(20)
    times = [call["at"] for call in cluster.simulator.calls(model)]
    probes = [later - times[4] for later in times[5:]] if len(times) > 4 else []
    # Before it opens, each process may count to five; then the pauses are 5, 10, 20 s.
    late = [since for since in probes if since > 1]
    wrong = [f"{reply.kind}" for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    wrong += [] if len(times) <= 4 * 4 + 3 else [f"{len(times)} calls to the broken model"]
    wrong += [f"a probe {b - a:.1f} s after the last" for a, b in pairwise(late) if b - a < 4.5]
    after = ", ".join(f"{since:.1f}" for since in late)
    got = f"{tally(load.replies)}; {len(times)} calls to the broken model, probes after {after} s"
    return [held_to("all shapes", wrong, got)]


@row("5", "connection reset before the answer", "whole")
async def reset(cluster: Cluster) -> list[Outcome]:
    return await each_whole(cluster, {"kind": "refuse_connection", "count": 1})


@row("6", "accepts, then silence", "whole after the first-byte deadline, the silent arm not tried again")
async def silence(cluster: Cluster) -> list[Outcome]:
    return await each_whole(cluster, {"kind": "delay", "delay_s": 25})


@row("7", "first token after 20 s", "whole from another arm at the first-token deadline")
async def late_first_token(cluster: Cluster) -> list[Outcome]:
    results = []
    fault = {"kind": "stall", "after_chunks": 1, "delay_s": 20}
    for reply, _, _ in await each(cluster, STREAMS, fault):
        late = [] if reply.seconds <= FIRST_BYTE_S + 1.5 else [f"took {reply.seconds:.1f} s"]
        results.append(await whole(cluster, reply, late))
    return results


@row("8", "stream cut in the middle", "whole where rescue is allowed, else safe")
async def cut(cluster: Cluster) -> list[Outcome]:
    return await broken_off(cluster, {"kind": "cut", "count": 1})


@row("9", "stream stalls in the middle", "as 8, after the idle deadline")
async def stalled(cluster: Cluster) -> list[Outcome]:
    return await broken_off(cluster, {"kind": "stall", "delay_s": 25, "count": 1})


@row("10", "one malformed chunk", "skipped if harmless, else as 8")
async def malformed(cluster: Cluster) -> list[Outcome]:
    return await broken_off(cluster, {"kind": "malformed", "count": 1})


async def broken_off(cluster: Cluster, fault: dict[str, Any]) -> list[Outcome]:
    """Whole by rescue or another arm; safe for the streams of those who want no rescue."""
    results = await each_whole(cluster, fault)
    for reply, _, _ in await each(cluster, STREAMS, fault, rescue=False):
        if fault["kind"] == "malformed" and reply.complete:
            results.append(await whole(cluster, reply, facts=", skipped"))
            continue
        row = await row_of(cluster, reply.request_id)
        also = [] if row and row["status"] == "partial" else ["the row is not partial"]
        results.append(await safe(cluster, reply, also=also))
    return results


@row("11", "no [DONE] but a finish reason", "whole")
async def no_done(cluster: Cluster) -> list[Outcome]:
    """In the two dialects whose finish reason comes before their closing formula."""
    results = []
    async with await caller_of(cluster) as http:
        for model in ("gpt-4.1-mini", "claude-haiku-4-5"):
            for shape in STREAMS:
                question = prompt()
                cluster.simulator.reset()
                await ask(http, shape, question, model=model)
                frames = cluster.simulator.calls(model)[-1]["chunks"]
                cluster.simulator.fault(kind="no_done", model=model, after_chunks=frames - 1)
                reply = await ask(http, shape, question, model=model)
                struck = cluster.simulator.calls(model)[-1]["chunks"]
                also = (
                    [] if (reply.model, struck) == (model, frames - 1) else [f"{struck} of {frames} frames"]
                )
                results.append(await whole(cluster, reply, also))
    return results


@row(
    "12", "context overflow error", "whole from an arm with a larger window, else 400 context_length_exceeded"
)
async def context_overflow(cluster: Cluster) -> list[Outcome]:
    results = []
    small = iter(("gpt-4o-mini", "claude-haiku-4-5", "claude-sonnet-4-5", "claude-opus-4-5"))
    async with await caller_of(cluster) as http:
        for shape in SHAPES:
            model = next(small)
            cluster.simulator.reset()
            cluster.simulator.fault(
                kind="status", status=400, error_code="context_length_exceeded", model=model
            )
            results.append(await whole(cluster, await ask(http, shape, model=model)))
            reply = await ask(http, shape, model=model, fallback=False)
            status = [] if reply.status == 400 else [f"status {reply.status}"]
            results.append(await safe(cluster, reply, "context_length_exceeded", status))
            await reassure(cluster, http, model)
    return results


@row("13", "content refusal", "400, never routed around")
async def refusal(cluster: Cluster) -> list[Outcome]:
    results = []
    async with await caller_of(cluster) as http:
        for shape, model in zip(SHAPES, MODELS, strict=False):
            cluster.simulator.reset()
            question = prompt()
            blocked = dataclasses.replace(question, text=f"simulate a blocked prompt: {question.text}")
            reply = await ask(http, shape, blocked, model=model)
            calls = len(cluster.simulator.calls())
            also = [] if (reply.status, calls) == (400, 1) else [f"status {reply.status}, {calls} calls"]
            results.append(await safe(cluster, reply, "content_policy_violation", also))
    return results


@row("14", "cut stream, and a fallback that takes no prefill", "as 8: whole")
async def no_prefill(cluster: Cluster) -> list[Outcome]:
    results = []
    async with await caller_of(cluster) as http:
        for shape in STREAMS:
            for model in ("gpt-4.1-mini", "claude-haiku-4-5", "gemini-2.5-flash"):
                cluster.simulator.reset()
                cluster.simulator.fault(kind="cut", after_chunks=mid(model), model=model)
                reply = await ask(http, shape, prompt(LONG), model=model, pool=[model, "claude-opus-5-5"])
                called = [call["model"] for call in cluster.simulator.calls()]
                also = [] if called == [model, "claude-opus-5-5"] else [f"called {called}"]
                results.append(await whole(cluster, reply, also))
                await reassure(cluster, http, model)
    return results


@row("15", "flapping primary", "every request whole; primary back in use within 30 s of recovery")
async def flapping(cluster: Cluster) -> list[Outcome]:
    api_key, model = await order(cluster, "key"), "gpt-5.1"
    urls = [web.url for web in cluster.webs]
    async with Load(lambda: urls, api_key["secret"], callers=6, pause_s=0.2, model=model) as load:
        for _ in range(4):
            cluster.simulator.fault(kind="status", status=500, model=model)
            await asyncio.sleep(2)
            cluster.simulator.calm()
            await asyncio.sleep(1)
        recovered = time.monotonic()
        while time.monotonic() < recovered + 31:
            await asyncio.sleep(0.2)
            back = [reply.at for reply in load.replies if reply.model == model and reply.at > recovered]
            if len(back) >= 10:
                break
    wrong = [reply.kind for reply in load.replies if not reply.complete]
    wrong += await disagreements(cluster, api_key["id"], load.replies)
    if not back or back[0] - recovered > 30:
        wrong.append("the primary is not back in use")
    after = f", back after {back[0] - recovered:.1f} s" if back else ""
    return [held_to("all shapes", wrong, tally(load.replies) + after)]


@row("16", "any failover", "reported model, usage and cost are the server's that answered")
async def failover(cluster: Cluster) -> list[Outcome]:
    results = []
    for fault in ({"kind": "status", "status": 500, "count": 1}, {"kind": "empty_body", "count": 1}):
        for reply, calls, _ in await each(cluster, SHAPES, fault):
            row, last = await row_of(cluster, reply.request_id), calls[-1]
            usage, also = last["usage"], []
            served = usage["output_tokens"]
            if (row["upstream_model"] if row else "") != last["model"]:
                also.append(f"served {last['model']}, written {row['upstream_model'] if row else ''}")
            if served != reply.output_tokens:
                also.append(f"served {served} output tokens, reported {reply.output_tokens}")
            results.append(await whole(cluster, reply, also))
    return results


@row("17", "wrong provider credential", "provider leaves the pool, operator alerted, caller served by others")
async def wrong_credential(cluster: Cluster) -> list[Outcome]:
    return await provider_gone(cluster, "anthropic", {"status": 401})


@row("18", "credit exhausted", "as 17, long breaker")
async def no_credit(cluster: Cluster) -> list[Outcome]:
    return await provider_gone(cluster, "openai", {"status": 429, "error_code": "insufficient_quota"})


async def provider_gone(cluster: Cluster, provider: str, fault: dict[str, Any]) -> list[Outcome]:
    """Two calls tell; then no process asks it again, for longer than a short breaker would last."""
    model = {"anthropic": "claude-haiku-4-5", "openai": "gpt-4.1-mini"}[provider]
    cluster.simulator.fault(kind="status", provider=provider, **fault)
    api_key, results = await order(cluster, "key"), []
    urls = [cluster.webs[0].url, cluster.webs[-1].url]
    async with client(urls[0], api_key["secret"]) as first, client(urls[1], api_key["secret"]) as other:
        for shape in SHAPES:
            results.append(await whole(cluster, await ask(first, shape, model=model)))
        await asyncio.sleep(1.5)  # for the other process to hear of it
        for shape in SHAPES:
            results.append(await whole(cluster, await ask(other, shape, model=model)))
        await asyncio.sleep(6)  # longer than a short breaker's first pause
        results.append(await whole(cluster, await ask(first, SHAPES[0], model=model)))
    called = sum(call["provider"] == provider for call in cluster.simulator.calls())
    results.append(
        held_to("pool", [] if called == 2 else [f"called {called} times"], "called twice by all processes")
    )
    results.append(await operator_alerted(cluster, provider))
    return results


async def operator_alerted(cluster: Cluster, provider: str) -> Outcome:
    page = await order(cluster, "page", path="/operator/")
    alerts = await order(
        cluster, "read", sql="SELECT * FROM alerts_alert WHERE account_id IS NULL", values=[]
    )
    raised = [alert["subject"] for alert in alerts if provider in json.dumps(alert, default=str)]
    wrong = [] if raised else ["no alert was raised"]
    if page["status"] != 200 or not re.search(r"refused its credential|quota", page["text"]):
        wrong.append("the operator's page does not say it")
    return held_to("operator", wrong, f"alert {raised[:1]}, on the operator's page")


@row("19", "answers from another model than asked", "row flagged, metric raised")
async def other_model(cluster: Cluster) -> list[Outcome]:
    results = []
    before = await _other_models_shown(cluster)
    for reply, _, _ in await each(cluster, SHAPES, {"kind": "wrong_model", "count": 1}):
        row = await row_of(cluster, reply.request_id)
        also = [] if row and row["other_model_served"] else ["the row is not flagged"]
        results.append(await whole(cluster, reply, also))
    grown = await _other_models_shown(cluster) - before
    wrong = [] if grown == len(SHAPES) else [f"the operator's page counts {grown} more"]
    results.append(held_to("metric", wrong, f"the operator's page counts {grown} more"))
    return results


async def _other_models_shown(cluster: Cluster) -> int:
    page = (await order(cluster, "page", path="/operator/"))["text"]
    shown = re.search(r"Another model served\s*(\d+)", re.sub(r"<[^>]*>", " ", page))
    return int(shown.group(1)) if shown else -1
