"""Rows 29 to 32: hostile callers and providers; others are served meanwhile, and memory stays bounded."""

import asyncio
import base64
import contextlib
import json
import socket
import time
from typing import Any

from tests.chaos.callers import STREAMS, Load, Reply, ask
from tests.chaos.cluster import REQUEST_S, Cluster
from tests.chaos.services import Web
from tests.chaos.table import row
from tests.chaos.upstream_rows import caller_of
from tests.chaos.verdicts import SAFE, SLACK_S, Outcome, held_to, order, row_of, rows_of, tally, whole

_MODEL = "gpt-4o-mini"
_OTHERS_MODEL = "claude-haiku-4-5"  # so that the others' provider is not the one that misbehaves
_CUT_OFF_S = 15.0  # DATABASE_PATIENCE_S + 10, after the request's deadline
_SLOWEST_S = 3.0  # for an answer to others, beside two busy processes
_MOST_MB = 128
_BODY_MB = 19.8
_HUGE = 2_000_000_000


def _chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": finish} | more
    return {"id": "c1", "object": "chat.completion.chunk", "model": _MODEL, "choices": [choice]}


def _frames(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)


def _raw(cluster: Cluster, piece: bytes, **fault: Any) -> None:
    pieces = [base64.b64encode(piece).decode()]
    cluster.simulator.fault(**{"kind": "raw", "model": _MODEL, "pieces": pieces} | fault)


async def _beside(cluster: Cluster, seconds: float) -> tuple[list[str], str]:
    """Load of other callers for these seconds: complaints, and a summary."""
    api_key = await order(cluster, "key")
    web = cluster.webs[0]
    async with Load(
        lambda: [web.url], api_key["secret"], callers=2, pause_s=0.1, model=_OTHERS_MODEL
    ) as load:
        await asyncio.sleep(seconds)
    wrong = [f"others: {reply.kind}" for reply in load.replies if not reply.complete]
    slowest = max((reply.seconds for reply in load.replies), default=99.0)
    wrong += [f"others waited {slowest:.1f} s"] if slowest > _SLOWEST_S else []
    return wrong, f"others {tally(load.replies)}, slowest {slowest:.1f} s"


@row(
    "29",
    "a caller who never reads; a provider that always has more to send",
    "ends at the request's deadline, charged for what came; others unaffected; memory bounded",
)
async def without_end(cluster: Cluster) -> list[Outcome]:
    return [await unread(cluster), await always_ready(cluster)]


async def unread(cluster: Cluster) -> Outcome:
    """Twenty streams without end that no caller reads."""
    api_key, web = await order(cluster, "key"), cluster.webs[0]
    _raw(cluster, _frames(_chunk({"content": " word" * 60})), endless=True)
    body = {"model": _MODEL, "messages": [{"role": "user", "content": "Go on."}], "stream": True}
    web.forget_peak()
    before, sockets = web.memory_mb(), []
    try:
        for _ in range(20):
            sockets.append(_sent(web, api_key["secret"], json.dumps(body).encode()))
        await asyncio.sleep(5)  # until all buffers on the way are full
        wrong, others = await _beside(cluster, 5)
        await asyncio.sleep(REQUEST_S + _CUT_OFF_S - 8)
        grown = web.memory_mb(peak=True) - before
        cut = sum(_is_cut(connection) for connection in sockets)
    finally:
        for connection in sockets:
            connection.close()
    rows = [row for matching in (await rows_of(cluster, api_key["id"])).values() for row in matching]
    charged = [row for row in rows if row["status"] == "partial" and float(row["cost_usd"] or 0) > 0]
    wrong += [] if len(charged) == len(rows) == 20 else [f"{len(charged)} of {len(rows)} rows are charged"]
    wrong += [] if cut == 20 else [f"{cut} of 20 connections were cut"]
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > _MOST_MB else []
    calls = cluster.simulator.calls(_MODEL)
    wrong += [] if all(call["finished"] for call in calls) else ["a provider call goes on"]
    got = f"{len(charged)} rows partial and charged, {cut} connections cut, memory grew by {grown:.0f} MB; "
    got += others
    return held_to("caller never reads", wrong, got, SAFE)


def _sent(web: Web, secret: str, body: bytes) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.connect(("127.0.0.1", web.port))
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n"
    head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def _is_cut(connection: socket.socket) -> bool:
    """Return whether the server has ended the connection, after reading what it sent before."""
    connection.settimeout(3)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


async def always_ready(cluster: Cluster) -> Outcome:
    """A provider whose next piece is always there, read as fast as it comes, so that no read ever waits."""
    cluster.simulator.reset()
    _raw(cluster, _frames(*[_chunk({"content": " a"})] * 400), endless=True)
    web = cluster.webs[0]
    web.forget_peak()
    before = web.memory_mb()
    async with await caller_of(cluster) as http:
        streams = [
            asyncio.create_task(ask(http, shape, model=_MODEL, fallback=False, rescue=False))
            for shape in STREAMS
        ]
        wrong, others = await _beside(cluster, REQUEST_S / 2)
        replies: list[Reply] = await asyncio.gather(*streams)
    grown = web.memory_mb(peak=True) - before
    for reply in replies:
        written = await row_of(cluster, reply.request_id)
        if reply.error is None and reply.finish != "length":
            wrong.append(f"{reply.shape}: {reply.kind}")
        if reply.seconds > REQUEST_S + SLACK_S:
            wrong.append(f"{reply.shape}: took {reply.seconds:.1f} s")
        if written is None or written["status"] == "open" or not float(written["cost_usd"] or 0):
            wrong.append(f"{reply.shape}: row {written and written['status']}, not charged")
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > _MOST_MB else []
    ends = ", ".join(f"{reply.kind} after {reply.seconds:.1f} s" for reply in replies)
    return held_to("always ready", wrong, f"{ends}; memory grew by {grown:.0f} MB; {others}", SAFE)


@row("30", "numbers in an answer that are places: a choice, a call, two billion", "whole; memory bounded")
async def index_bomb(cluster: Cluster) -> list[Outcome]:
    call = {"index": _HUGE, "id": "c", "function": {"name": "f", "arguments": "{}"}}
    bombs = {
        "choice": _chunk({"content": "Oslo."}, "stop", index=_HUGE),
        "call": _chunk({"tool_calls": [call]}, "tool_calls"),
        "negative": _chunk({"content": "Oslo."}, "stop", index=-1),
    }
    results, web = [], cluster.webs[0]
    async with await caller_of(cluster) as http:
        for name, bomb in bombs.items():
            for shape in STREAMS:
                cluster.simulator.reset()
                _raw(cluster, _frames(bomb) + b"data: [DONE]\n\n", count=1)
                web.forget_peak()
                before = web.memory_mb()
                reply = await ask(http, shape, model=_MODEL)
                grown = web.memory_mb(peak=True) - before
                also = [f"{name}: memory grew by {grown:.0f} MB"] if grown > 32 else []
                results.append(await whole(cluster, reply, also, f", {name}: {grown:.0f} MB"))
    return results


@row("31", "usage reports that lie: absurd, negative, of another type", "whole; our own count is charged")
async def lying_usage(cluster: Cluster) -> list[Outcome]:
    lies: dict[str, dict[str, Any]] = {
        "absurd": {"prompt_tokens": 10**15, "completion_tokens": 10**15, "total_tokens": 2 * 10**15},
        "negative": {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12},
        "another type": {"prompt_tokens": "ten", "completion_tokens": [7], "total_tokens": {}},
        "none with text": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }
    results = []
    async with await caller_of(cluster) as http:
        for name, usage in lies.items():
            for shape in STREAMS:
                cluster.simulator.reset()
                last = {"id": "c1", "model": _MODEL, "choices": [], "usage": usage}
                body = _frames(_chunk({"content": "Oslo."}), _chunk({}, "stop"), last) + b"data: [DONE]\n\n"
                _raw(cluster, body, count=1)
                reply = await ask(http, shape, model=_MODEL, fallback=False)
                written = await row_of(cluster, reply.request_id)
                wrong = [] if reply.text == "Oslo." and reply.finish == "stop" else [reply.kind]
                marked = written and (written["usage_issue"] or written["usage_estimated"])
                if written is None or written["status"] != "succeeded" or not marked:
                    wrong.append(f"row {written and written['status']}, not marked")
                elif not 0 < float(written["cost_usd"]) < 0.001 or not 0 < written["output_tokens"] < 50:
                    wrong.append(f"{written['output_tokens']} tokens for {written['cost_usd']} USD")
                issue = (written and written["usage_issue"]) or "as estimated"
                cost = written and written["cost_usd"]
                results.append(held_to(shape, wrong, f"{name}: flagged {issue}, charged {cost}"))
    return results


@row(
    "32",
    "without a key: a body of 19.8 MB of unknown fields; a hundred half-sent large bodies",
    "401 before the body is read; callers with a key are served; memory bounded",
)
async def bodies_without_a_key(cluster: Cluster) -> list[Outcome]:
    return [await key_bomb(cluster), await body_flood(cluster)]


async def key_bomb(cluster: Cluster) -> Outcome:
    fields = (f'"f{number}":0' for number in range(10**7))
    parts, size = [], 0
    for field in fields:
        parts.append(field)
        size += len(field) + 1
        if size > _BODY_MB * 1024 * 1024:
            break
    body = ("{" + ",".join(parts) + "}").encode()
    web, wrong, statuses = cluster.webs[0], [], []
    web.forget_peak()
    before = web.memory_mb()
    bombs = [
        asyncio.create_task(asyncio.to_thread(_refused, web, path, body))
        for path in ("/api/v1/chat", "/v1/chat/completions", "/v1/responses", "/v1/messages")
    ]
    others_wrong, others = await _beside(cluster, 4)
    for status, seconds in await asyncio.gather(*bombs):
        statuses.append(status)
        wrong += [] if status == 401 else [f"status {status}"]
        wrong += [f"answered after {seconds:.1f} s"] if seconds > _SLOWEST_S else []
    grown = web.memory_mb(peak=True) - before
    wrong += others_wrong
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > _MOST_MB else []
    got = f"{len(body) / 2**20:.1f} MB at four APIs: {statuses}, memory grew by {grown:.0f} MB; {others}"
    return held_to("key bomb", wrong, got, SAFE)


def _refused(web: Web, path: str, body: bytes) -> tuple[int, float]:
    """Status and seconds; the answer may come before all is sent."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", web.port), timeout=30) as connection:
        head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        head += f"anthropic-version: 2023-06-01\r\ncontent-length: {len(body)}\r\n\r\n"
        with contextlib.suppress(OSError):
            connection.sendall(head.encode() + body)
        try:
            answer = connection.recv(4096)
        except OSError:
            return 0, time.monotonic() - began
    status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
    return status, time.monotonic() - began


async def body_flood(cluster: Cluster) -> Outcome:
    """Bodies of which the last byte never comes, while a caller with a key sends a large one."""
    web, sockets = cluster.webs[0], []
    web.forget_peak()
    before = web.memory_mb()
    part = b'{"model":"auto","messages":"' + b"x" * 900_000
    head = "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    head += f"content-length: {len(part) + 10}\r\n\r\n"
    try:
        for _ in range(100):
            connection = socket.create_connection(("127.0.0.1", web.port), timeout=10)
            connection.setblocking(False)
            sockets.append(connection)
            with contextlib.suppress(OSError):
                connection.send(head.encode() + part)
            await asyncio.sleep(0.005)
        wrong, others = await _beside(cluster, 3)
        async with await caller_of(cluster) as http:
            body = {"model": _OTHERS_MODEL, "messages": [{"role": "user", "content": "Hello."}]}
            padded = json.dumps(body).encode() + b" " * 8_000_000
            headers = {"Content-Type": "application/json"}
            large = await http.post("/v1/chat/completions", content=padded, headers=headers)
        wrong += [] if large.status_code == 200 else [f"8 MB with a key: {large.status_code}"]
        grown = web.memory_mb(peak=True) - before
    finally:
        for connection in sockets:
            connection.close()
    wrong += [f"memory grew by {grown:.0f} MB"] if grown > _MOST_MB else []
    return held_to("body flood", wrong, f"100 bodies: memory grew by {grown:.0f} MB; {others}", SAFE)
