"""Verdicts: what a caller got, held against what the ledger says and against what is demanded.

"Whole": status 200, the complete text and finish reason, usage and cost as in the ledger row. "Safe": a typed
error within the deadline and a settled row. Nothing else passes (docs/reliability.md).
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tests.chaos.callers import Reply
from tests.chaos.cluster import REQUEST_S, Cluster

WHOLE, SAFE, FAIL = "whole", "safe", "FAIL"
SLACK_S = 1.5  # of a deadline, on a machine that does other things as well
TYPED = {
    "bad_request",
    "context_length_exceeded",
    "content_policy_violation",
    "rate_limited",
    "quota_exceeded",
    "daily_limit_exceeded",
    "daily_cost_limit_exceeded",
    "provider_error",
    "provider_timeout",
    "request_timeout",
    "provider_unavailable",
    "all_providers_failed",
    "service_unavailable",
}


@dataclass(frozen=True)
class Outcome:
    """One line of the table: in which shape, what was got, whether that passes."""

    shape: str
    got: str
    verdict: str
    facts: str = ""


def passed(shape: object, got: str, verdict: str = WHOLE, facts: str = "") -> Outcome:
    return Outcome(str(shape), got, verdict, facts)


def failed(shape: object, got: str, facts: str = "") -> Outcome:
    return Outcome(str(shape), got, FAIL, facts)


def held_to(shape: object, complaints: Sequence[str], got: str, verdict: str = WHOLE) -> Outcome:
    """The verdict if there is nothing to complain of."""
    if complaints:
        more = f" (and {len(complaints) - 3} more)" if len(complaints) > 3 else ""
        return failed(shape, got, "; ".join(complaints[:3]) + more)
    return passed(shape, got, verdict)


async def order(cluster: Cluster, name: str, **values: Any) -> Any:
    return await asyncio.to_thread(cluster.operator.order, name, **values)


async def row_of(cluster: Cluster, request_id: str) -> dict[str, Any] | None:
    """The ledger row with its attempts, once it is settled; as it is after a second."""
    until = time.monotonic() + 1.5
    while True:
        matching = await order(
            cluster, "read", sql="SELECT * FROM billing_request WHERE id = %s", values=[request_id]
        )
        if not matching or matching[0]["status"] != "open" or time.monotonic() > until:
            break
        await asyncio.sleep(0.1)
    if not matching:
        return None
    attempts = await order(
        cluster,
        "read",
        sql="SELECT * FROM billing_attempt WHERE request_id = %s ORDER BY number",
        values=[request_id],
    )
    settled: dict[str, Any] = matching[0]
    return settled | {"attempts": attempts}


def not_whole(reply: Reply, row: dict[str, Any] | None) -> list[str]:
    """The reasons why this answer is not whole."""
    if not reply.complete:
        message = f": {reply.error.get('message', '')[:160]}" if reply.error else ""
        return [reply.kind + message]
    if row is None:
        return ["no ledger row"]
    wrong = _not_as_written(reply, row)
    if row["status"] != "succeeded":
        wrong.append(f"row says {row['status']}")
    if reply.seconds > REQUEST_S + SLACK_S:
        wrong.append(f"took {reply.seconds:.1f} s")
    charged = sum(Decimal(str(attempt["cost_usd"] or 0)) for attempt in row["attempts"] if attempt["charged"])
    if charged != Decimal(str(row["cost_usd"])):
        wrong.append(f"charged attempts cost {charged}, the request {row['cost_usd']}")
    if not row["attempts"] or row["attempts"][-1]["model"] != reply.model:
        wrong.append("the last attempt is not of the model that was named")
    return wrong


def _not_as_written(reply: Reply, row: dict[str, Any]) -> list[str]:
    """Where the answer and its row differ."""
    written_input = sum(
        row[name]
        for name in (
            "uncached_input_tokens",
            "cache_read_tokens",
            "cache_write_tokens",
            "cache_write_1h_tokens",
        )
    )
    pairs = {
        "input tokens": (reply.input_tokens, written_input),
        "output tokens": (reply.output_tokens, row["output_tokens"]),
        "cost": (reply.cost_usd, Decimal(str(row["cost_usd"])) if row["cost_usd"] is not None else None),
        "model": (reply.model, row["served_model"]),
        "provider": (reply.provider, row["provider"]),
        "finish reason": (reply.finish, row["finish_reason"]),
        "fallback": (reply.fallback_used, bool(row["fallback_used"])),
        "hold": (Decimal(0), Decimal(str(row["held_usd"]))),
    }
    return [
        f"{name}: reported {reported}, written {written}"
        for name, (reported, written) in pairs.items()
        if reported != written
    ]


def not_safe(reply: Reply, row: dict[str, Any] | None, code: str | None = None) -> list[str]:
    """The reasons why this failure is not safe. No row is right only where nothing was accepted."""
    if reply.complete:
        return ["the answer is whole where an error is due"]
    if reply.error is None:
        return [reply.kind]
    wrong = []
    actual = reply.error.get("code")
    if actual not in TYPED or (code is not None and actual != code):
        wrong.append(f"error {actual!r}" + (f" instead of {code!r}" if code else ""))
    if reply.shape.streamed and reply.status == 200 and not reply.ended:
        wrong.append("the stream has no end")
    if reply.seconds > REQUEST_S + SLACK_S:
        wrong.append(f"took {reply.seconds:.1f} s")
    if row is None:
        if actual not in ("service_unavailable", "rate_limited") and reply.status not in (429, 503):
            wrong.append("no ledger row")
    elif row["status"] in ("open", "succeeded"):
        wrong.append(f"row says {row['status']}")
    elif Decimal(str(row["held_usd"])):
        wrong.append("the row holds money still")
    return wrong


async def whole(cluster: Cluster, reply: Reply, also: Sequence[str] = (), facts: str = "") -> Outcome:
    wrong = [*not_whole(reply, await row_of(cluster, reply.request_id)), *also]
    got = (
        f"{reply.status}, {' → '.join(_attempt(attempt) for attempt in reply.attempts)}"
        if reply.attempts
        else reply.kind
    )
    return held_to(reply.shape, wrong, f"{got}, {reply.seconds:.1f} s{facts}", WHOLE)


async def safe(cluster: Cluster, reply: Reply, code: str | None = None, also: Sequence[str] = ()) -> Outcome:
    row = await row_of(cluster, reply.request_id)
    wrong = [*not_safe(reply, row, code), *also]
    got = f"{reply.kind}, row {row['status'] if row else 'not opened'}, {reply.seconds:.1f} s"
    return held_to(reply.shape, wrong, got, SAFE)


async def whole_or_safe(cluster: Cluster, reply: Reply, also: Sequence[str] = ()) -> Outcome:
    return await (whole if reply.complete else safe)(cluster, reply, also=also)


def _attempt(attempt: dict[str, Any]) -> str:
    return f"{attempt['model']} {attempt['outcome']}"


def tally(replies: Iterable[Reply]) -> str:
    return ", ".join(
        f"{number} {kind}" for kind, number in Counter(reply.kind for reply in replies).most_common()
    )


async def rows_of(cluster: Cluster, key_id: int) -> dict[str, list[dict[str, Any]]]:
    """All rows of a key by the mark of their prompt."""
    rows = await order(
        cluster, "read", sql="SELECT * FROM billing_request WHERE key_id = %s", values=[key_id]
    )
    by_mark: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        metadata = json.loads(row["metadata"]) if isinstance(row["metadata"], str) else row["metadata"]
        by_mark.setdefault((metadata or {}).get("mark", ""), []).append(row)
    return by_mark


async def disagreements(cluster: Cluster, key_id: int, replies: Iterable[Reply]) -> list[str]:
    """Where callers, providers and the ledger tell different stories of a load that is over."""
    rows = await rows_of(cluster, key_id)
    wrong = [f"{mark}: {len(matching)} rows" for mark, matching in rows.items() if len(matching) > 1]
    ids = {row["id"] for matching in rows.values() for row in matching}
    for reply in replies:
        matching = rows.get(reply.prompt.mark)
        if reply.complete:
            if not matching:
                wrong.append(f"{reply.request_id}: answered without a row")
            else:
                wrong += [
                    f"{reply.request_id}: {difference}" for difference in _not_as_written(reply, matching[0])
                ]
                if matching[0]["status"] != "succeeded":
                    wrong.append(f"{reply.request_id}: whole, but its row says {matching[0]['status']}")
        elif reply.status == 200 and reply.request_id not in ids:
            wrong.append(f"{reply.request_id}: accepted without a row")
    for call in await asyncio.to_thread(cluster.simulator.calls):
        mark = _mark_in(json.dumps(call["body"]))
        if mark and mark in {reply.prompt.mark for reply in replies} and mark not in rows:
            wrong.append(f"{mark}: sent upstream without a row")
    return wrong


def _mark_in(text: str) -> str | None:
    at = text.find("Reply with exactly: mark")
    return text[at + 20 : at + 31] if at >= 0 else None


async def left_behind(cluster: Cluster) -> list[str]:
    """Requests that are still open, and holds without a request."""
    wrong = []
    open_rows = await order(
        cluster, "read", sql="SELECT count(*) AS n FROM billing_request WHERE status = 'open'", values=[]
    )
    held = await order(
        cluster,
        "read",
        sql="SELECT count(*) AS n FROM (SELECT w.id FROM billing_window w"
        " LEFT JOIN billing_windowshare s ON s.window_id = w.id GROUP BY w.id"
        " HAVING ABS(w.held_usd + COALESCE(SUM(s.held_usd), 0)) > 0.0000000001"
        " OR w.held_tokens + COALESCE(SUM(s.held_tokens), 0) <> 0) h",
        values=[],
    )
    if open_rows[0]["n"]:
        wrong.append(f"{open_rows[0]['n']} requests open still")
    if held[0]["n"]:
        wrong.append(f"{held[0]['n']} windows hold something still")
    return wrong


async def settled_by_itself(cluster: Cluster, within_s: float = 3) -> list[str]:
    """Open requests and holds that are left after a while, without any sweep."""
    until = time.monotonic() + within_s
    while True:
        wrong = await left_behind(cluster)
        if not wrong or time.monotonic() > until:
            return wrong
        await asyncio.sleep(0.1)


async def swept(cluster: Cluster, within_s: float) -> tuple[int, list[str]]:
    """Let the sweeper look every half second until nothing is left; how many it settled, what is left."""
    until, settled = time.monotonic() + within_s, 0
    while True:
        settled += await order(cluster, "sweep")
        wrong = await left_behind(cluster)
        if not wrong or time.monotonic() > until:
            return settled, wrong
        await asyncio.sleep(0.5)
