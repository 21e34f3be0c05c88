"""Callers: ask at either door, streamed or not, and read the answer as strictly as a client library does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import count
from typing import Any, Self

import httpx

_numbers = count(1)
LONGEST_S = 60.0
# All different: where text repeats itself, no one could tell an overlap from it.
_TEXT = """Seven old wizards brew green tea at dawn while quick foxes jump over lazy dogs near my quiet house
by some river, because winter came early, snow fell all night, roads closed, trains stopped, children laughed,
bakers baked warm bread, lamps burned low, clocks struck nine, then music began"""
_WORDS = _TEXT.split()


@dataclass(frozen=True)
class Shape:
    """A door and a way of answering."""

    door: str
    streamed: bool

    def __str__(self) -> str:
        return self.door + (", streamed" if self.streamed else "")


SHAPES = tuple(Shape(door, streamed) for door in ("native", "openai") for streamed in (False, True))
STREAMS = tuple(shape for shape in SHAPES if shape.streamed)
UNSTREAMED = tuple(shape for shape in SHAPES if not shape.streamed)


@dataclass(frozen=True)
class Prompt:
    """A question whose right answer is known, with a mark that tells it from all others."""

    mark: str
    text: str
    answer: str

    @property
    def messages(self) -> list[dict[str, str]]:
        return [{"role": "user", "content": self.text}]


def prompt(words: int = 24) -> Prompt:
    mark = f"mark{next(_numbers):06d}x"
    text = " ".join([mark, *_WORDS[:words]]) + "."
    return Prompt(mark, f"Reply with exactly: {text}", text)


@dataclass
class Reply:
    """The reply. `lost`: how the connection failed; `ended`: the answer's own end was read."""

    shape: Shape
    prompt: Prompt
    at: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    text: str = ""
    finish: str = ""
    model: str = ""
    provider: str = ""
    request_id: str = ""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: Decimal | None = None
    fallback_used: bool = False
    attempts: list[dict[str, Any]] = field(default_factory=list)
    error: dict[str, Any] | None = None
    lost: str = ""
    ended: bool = False
    aborted: bool = False  # by this caller itself

    @property
    def complete(self) -> bool:
        return (
            self.status == 200
            and self.error is None
            and self.ended
            and not self.lost
            and self.text == self.prompt.answer
            and self.finish == "stop"
        )

    @property
    def cut_to_budget(self) -> bool:
        """A right answer, ended where the money ends."""
        begun = self.status == 200 and self.ended and self.error is None and self.finish == "length"
        return begun and self.prompt.answer.startswith(self.text)

    @property
    def kind(self) -> str:
        """In a word or two, for a tally."""
        if self.aborted:
            return "aborted"
        if self.complete:
            return "whole"
        if self.error is not None:
            return f"{self.status} {self.error.get('code')}"
        if self.cut_to_budget:
            return "cut to the budget"
        if self.lost:
            return f"lost ({self.lost})" if self.status is None else f"broken off ({self.lost})"
        return f"{self.status} incomplete ({self.finish!r}, {len(self.text)} of {len(self.prompt.answer)})"


def client(url: str, secret: str, most: int = 500, keep_alive: bool = True) -> httpx.AsyncClient:
    limits = httpx.Limits(max_connections=most, max_keepalive_connections=most if keep_alive else 0)
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.AsyncClient(base_url=url, headers=headers, timeout=LONGEST_S, limits=limits, trust_env=False)


def body_of(
    shape: Shape, question: Prompt, fields: dict[str, Any]
) -> tuple[str, dict[str, Any], dict[str, str]]:
    """Path, JSON and headers; `pool`, `rescue` and `fallback` are passed as the API takes them."""
    fields = dict(fields)
    body: dict[str, Any] = {"messages": question.messages, "metadata": {"mark": question.mark}}
    headers: dict[str, str] = {}
    if shape.streamed:
        body["stream"] = True
    if shape.door == "native":
        if "pool" in fields:
            fields["models"] = fields.pop("pool")
        if shape.streamed:
            body["stream_mode"] = "realtime"
        return "/api/v1/chat", body | fields, headers
    for name, header in (("rescue", "Rescue"), ("fallback", "Fallback")):
        if name in fields:
            headers[f"X-RoutePlex-{header}"] = str(fields.pop(name)).lower()
    if "pool" in fields:
        headers["X-RoutePlex-Models"] = ",".join(fields.pop("pool"))
    if "max_output_tokens" in fields:
        fields["max_tokens"] = fields.pop("max_output_tokens")
    return "/v1/chat/completions", {"model": "routeplex-ai"} | body | fields, headers


async def ask(
    http: httpx.AsyncClient,
    shape: Shape,
    question: Prompt | None = None,
    *,
    leave_after: int | None = None,
    leave_after_s: float | None = None,
    **fields: Any,
) -> Reply:
    """One request. `leave_after`: hang up after that many events; `leave_after_s`: after that time."""
    reply = Reply(shape, question or prompt())
    path, body, headers = body_of(shape, reply.prompt, fields)
    try:
        async with asyncio.timeout(leave_after_s):
            async with http.stream("POST", path, json=body, headers=headers) as response:
                reply.status, reply.headers = response.status_code, dict(response.headers)
                reply.request_id = response.headers.get("x-request-id", "")
                if response.headers.get("content-type", "").startswith("text/event-stream"):
                    await _read_stream(reply, response.aiter_lines(), leave_after)
                else:
                    _read_whole(reply, await response.aread())
    except TimeoutError:
        reply.aborted = True
    except httpx.HTTPError as error:
        reply.lost = type(error).__name__
    reply.seconds = time.monotonic() - reply.at
    return reply


async def _read_stream(reply: Reply, lines: AsyncIterator[str], leave_after: int | None) -> None:
    events = 0
    async for line in lines:
        if not line.startswith("data: "):
            continue
        if line == "data: [DONE]":
            reply.ended = True
            continue
        event = json.loads(line[6:], parse_float=Decimal)
        (_native_event if reply.shape.door == "native" else _openai_event)(reply, event)
        events += 1
        if leave_after is not None and events >= leave_after:
            reply.aborted = True
            return


def _native_event(reply: Reply, event: dict[str, Any]) -> None:
    match event["type"]:
        case "delta":
            reply.text += event["content"]
        case "error":
            reply.error = event
        case "done":
            _native_end(reply, event)


def _native_end(reply: Reply, data: dict[str, Any]) -> None:
    reply.model, reply.provider = data["model_used"], data["provider"]
    reply.finish, reply.fallback_used = data["finish_reason"], data["fallback_used"]
    usage = data["usage"]
    reply.input_tokens, reply.output_tokens = usage["input_tokens"], usage["output_tokens"]
    reply.cost_usd = _usd(usage["cost_usd"])
    reply.attempts = data["routing"]["attempts"]


def _openai_event(reply: Reply, event: dict[str, Any]) -> None:
    if "error" in event:
        reply.error = event["error"]
        return
    for choice in event["choices"]:
        reply.text += choice["delta"].get("content") or ""
        reply.finish = choice.get("finish_reason") or reply.finish
    _openai_end(reply, event)


def _openai_end(reply: Reply, body: dict[str, Any]) -> None:
    if (usage := body.get("usage")) is not None:
        reply.input_tokens, reply.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        reply.model = body["model"]
    extra = body.get("x_routeplex") or {}
    if "cost_usd" in extra:
        reply.cost_usd = _usd(extra["cost_usd"])
        reply.provider, reply.fallback_used = extra["provider"], extra["fallback_used"]
        reply.attempts = extra["routing"]["attempts"]


def _read_whole(reply: Reply, raw: bytes) -> None:
    try:
        body = json.loads(raw, parse_float=Decimal)
    except ValueError:
        reply.lost = "not JSON"
        return
    reply.ended = True
    if reply.status != 200:
        reply.error = body.get("error") or {"code": "untyped"}
    elif reply.shape.door == "native":
        reply.text = body["data"]["output"]
        _native_end(reply, body["data"])
    else:
        choice = body["choices"][0]
        reply.text, reply.finish = choice["message"]["content"] or "", choice["finish_reason"]
        _openai_end(reply, body)


def _usd(value: Any) -> Decimal | None:
    return None if value is None else Decimal(str(value))


class Load:
    """Callers that ask one after the other, each in all shapes in turn, until the block is left.

    `where` gives the web processes' addresses; a caller moves on to the next with each request.
    """

    def __init__(
        self,
        where: Callable[[], list[str]],
        secret: str,
        *,
        callers: int = 8,
        pause_s: float = 0.05,
        keep_alive: bool = True,
        **fields: Any,
    ) -> None:
        self._where, self._secret, self._fields = where, secret, fields
        self._callers, self._pause_s, self._keep_alive = callers, pause_s, keep_alive
        self.replies: list[Reply] = []
        self._clients: dict[str, httpx.AsyncClient] = {}
        self._on = True

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(self._call(number)) for number in range(self._callers)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._on = False
        await asyncio.gather(*self._tasks)
        for http in self._clients.values():
            await http.aclose()

    async def _call(self, number: int) -> None:
        for turn in count(number):
            if not self._on:
                return
            places = self._where()
            shape = SHAPES[turn % len(SHAPES)]
            url = places[(turn // len(SHAPES)) % len(places)]
            self.replies.append(await ask(self._client(url), shape, **self._fields))
            await asyncio.sleep(self._pause_s)

    def _client(self, url: str) -> httpx.AsyncClient:
        if url not in self._clients:
            self._clients[url] = client(url, self._secret, keep_alive=self._keep_alive)
        return self._clients[url]
