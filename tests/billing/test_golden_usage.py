"""Reported usage and its cost, to the last digit worked out by hand (tests/billing/golden/README.md)."""

import asyncio
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from billing.models import Attempt, Request
from billing.prices.prices import PriceTier, UnitPrices, cost, unit_prices
from billing.usage import Usage
from routing.language.chat import UsageReport
from routing.providers.anthropic import answers as anthropic_answer
from routing.providers.gemini import answers as gemini_answer
from routing.providers.openai import (
    chat_answers as openai_chat_answer,
)
from routing.providers.openai import (
    responses_answers as openai_responses_answer,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure
from routing.providers.shared.wire import CallContext

GOLDEN = Path(__file__).parent / "golden"
CLASSES = ("uncached_input", "output", "cache_read", "cache_write", "cache_write_1h")
READERS: dict[str, Any] = {
    "openai_chat": openai_chat_answer,
    "openai_responses": openai_responses_answer,
    "anthropic": anthropic_answer,
    "gemini": gemini_answer,
}
FIXTURES = sorted(path for dialect in READERS for path in (GOLDEN / dialect).glob("*.json"))
FIXTURES = [path for path in FIXTURES if not path.name.endswith(".whole.json")]
BODIES = [body for path in FIXTURES for body in sorted(path.parent.glob(f"{path.stem}.*.*"))]


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


def expected(body: Path) -> dict[str, Any]:
    golden: dict[str, Any] = json.loads((body.parent / f"{body.name.split('.')[0]}.json").read_text())
    return golden


def tiers(golden: dict[str, Any]) -> tuple[PriceTier, ...]:
    return tuple(
        PriceTier(
            tier["over_input_tokens"],
            UnitPrices(**{name: Decimal(tier[name]) for name in CLASSES}),
        )
        for tier in golden["usd_per_mtok"]
    )


def reported(body: Path, dialect: str | None = None) -> Usage | None:
    """The last usage an adapter reads out of the answer."""
    reader, context = READERS[dialect or body.parent.name], CallContext("provider", "asked-model")
    if body.suffix == ".json":
        events = list(reader.whole(body.read_bytes(), context))
    else:
        stream = reader.Stream(context)
        events = [*stream.feed(body.read_bytes()), *stream.end()]
    usages = [event.usage for event in events if isinstance(event, UsageReport)]
    return usages[-1] if usages else None


def by_hand(arithmetic: list[str]) -> Fraction:
    """The sum of a fixture's own terms in USD; each must be right in itself."""
    total = Fraction(0)
    for line in arithmetic[:-1]:
        term, _, product = line.partition(": ")[2].partition(" = ")
        tokens, _, price = term.partition(" × ")
        assert Fraction(tokens) * Fraction(price) == Fraction(product), line
        total += Fraction(product)
    assert arithmetic[-1].startswith("sum: ")
    micros, _, usd = arithmetic[-1].removeprefix("sum: ").partition(" / 1000000 = ")
    assert Fraction(micros) == total
    assert Fraction(usd) == total / 1_000_000
    return Fraction(usd)


def test_the_table_is_complete() -> None:
    for dialect in READERS:
        for length in ("short", "long"):
            for cached in ("uncached", "cached"):
                for thinking in ("plain", "reasoning"):
                    stem = GOLDEN / dialect / f"{length}_{cached}_{thinking}"
                    for ending in ("json", "whole.json", "stream.sse"):
                        assert stem.with_name(f"{stem.name}.{ending}").exists()


@pytest.mark.parametrize("fixture", FIXTURES, ids=name)
def test_a_fixtures_own_arithmetic_is_right(fixture: Path) -> None:
    golden = json.loads(fixture.read_text())
    usage = golden["usage"]
    in_all = sum(usage[name] for name in usage if name.endswith("_tokens"))
    assert golden["input_tokens_in_all"] == in_all - usage["output_tokens"] - usage["reasoning_tokens"]
    assert abs(by_hand(golden["arithmetic"]) - Fraction(golden["cost_usd"])) <= Fraction(1, 2 * 10**9)


@pytest.mark.parametrize("body", BODIES, ids=name)
def test_an_answers_usage_and_cost_are_those_worked_out_by_hand(body: Path) -> None:
    golden = expected(body)
    usage = reported(body)
    assert usage == Usage(**golden["usage"])
    assert usage.input_tokens == golden["input_tokens_in_all"]
    assert f"{cost(usage, unit_prices(tiers(golden), usage.input_tokens)):f}" == golden["cost_usd"]


@pytest.mark.parametrize("body", sorted((GOLDEN / "without_usage").glob("*")), ids=name)
def test_an_answer_without_usage_is_never_taken_for_one_of_no_tokens(body: Path) -> None:
    dialect = next(dialect for dialect in READERS if body.name.startswith(dialect))
    if "cut" in body.name:
        with pytest.raises(UpstreamFailure) as caught:
            reported(body, dialect)
        assert caught.value.kind is FailureKind.TRUNCATED
    else:
        assert reported(body, dialect) is None


class Player:
    """A provider on a real socket that answers every request with the body it was given."""

    def __init__(self) -> None:
        self.body = GOLDEN
        self.paths: list[str] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))
        self.paths.append(head.split(" ")[1])
        kind = "application/json" if self.body.suffix == ".json" else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        writer.write(self.body.read_bytes())
        await writer.drain()
        writer.close()


class Doors:
    """Asks at a door, for the body that the provider will play."""

    def __init__(self, http: httpx.AsyncClient, player: Player) -> None:
        self._http, self._player = http, player

    async def ask(self, door: str, body: Path, model: str, secret: str, words: int = 0) -> Request:
        """The settled ledger row of a request that the provider answers so; `words` lengthen its prompt."""
        self._player.body = body
        path = "/api/v1/chat" if door == "native" else "/v1/chat/completions"
        payload: dict[str, Any] = {
            "model": model,
            "messages": [{"role": "user", "content": "What is the capital of France?" + " bread" * words}],
            "stream": body.suffix == ".sse",
        }
        if "responses" in str(body):  # tools with reasoning are not to be had at Chat Completions
            payload["tools"] = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
        headers = {"Authorization": f"Bearer {secret}"}
        if door == "native":
            payload |= {"fallback": False, "rescue": False}
        else:
            headers |= {"X-RoutePlex-Fallback": "false", "X-RoutePlex-Rescue": "false"}
        response = await self._http.post(path, json=payload, headers=headers)
        assert response.status_code == 200, response.text
        return await Request.objects.aget(pk=response.headers["x-request-id"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(django_db_setup: None, django_db_blocker: Any) -> AsyncIterator[Doors]:
    """Both doors, whose three providers are one player of golden answers."""
    from routeplex_site.asgi import application
    from routing.state import runtime

    player = Player()
    server = await asyncio.start_server(player.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    wires = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
    providers = [{"name": name, "dialect": wires[name], "base_url": url, "api_key": "k"} for name in wires]
    with django_db_blocker.unblock(), override_settings(PROVIDERS=providers):
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            yield Doors(http, player)
        await runtime.stop()
    server.close()


THROUGH_THE_DOORS = [
    body
    for body in BODIES
    if body.name.split(".")[0] in ("short_cached_reasoning", "long_cached_plain", "long_uncached_reasoning")
]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("door", ["native", "openai"])
@pytest.mark.parametrize("body", THROUGH_THE_DOORS, ids=name)
async def test_the_ledger_has_the_cost_worked_out_by_hand(
    doors: Doors, body: Path, door: str, live_db: None, api_key: str
) -> None:
    golden = expected(body)
    row = await doors.ask(door, body, golden["model"], api_key, golden["input_tokens_in_all"])
    assert row.status == Request.Status.SUCCEEDED
    chosen = next(
        tier
        for tier in golden["usd_per_mtok"]
        if tier["over_input_tokens"] == golden["tier_over_input_tokens"]
    )
    assert {name: Decimal(price) for name, price in (row.unit_prices or {}).items()} == {
        name: Decimal(chosen[name]) for name in CLASSES
    }, "the book has other prices now"
    for column in golden["usage"]:
        if column != "estimated":
            assert getattr(row, column) == golden["usage"][column], column
    assert not row.usage_estimated
    assert f"{row.cost_usd:f}" == golden["cost_usd"]
    attempt = await Attempt.objects.aget(request=row)
    assert (attempt.charged, f"{attempt.cost_usd:f}") == (True, golden["cost_usd"])


# "The capital of France is Paris." are seven tokens in the encoding of the OpenAI models:
# The| capital| of| France| is| Paris|.
SEVEN = 7


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("door", ["native", "openai"])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("openai_chat_cut.stream.sse", "partial"),
        ("openai_chat_usage_null.stream.sse", "succeeded"),
        ("openai_chat_usage_null.whole.json", "succeeded"),
        ("openai_chat_usage_absent.whole.json", "succeeded"),
    ],
)
async def test_without_usage_tokens_are_counted_here_and_marked_as_estimated(
    doors: Doors, body: str, status: str, door: str, live_db: None, api_key: str
) -> None:
    row = await doors.ask(door, GOLDEN / "without_usage" / body, "gpt-6-luna", api_key)
    assert (row.status, row.usage_estimated, row.output_tokens) == (status, True, SEVEN)
    assert row.uncached_input_tokens == row.trace["input_tokens"] > 0
    # 0.1 USD per million of input, 0.5 of output
    by_hand = (row.uncached_input_tokens * 100 + SEVEN * 500) / Fraction(10**9)
    assert Fraction(row.cost_usd or 0) == by_hand


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("door", ["native", "openai"])
async def test_a_cut_stream_costs_its_reported_input_and_the_output_received(
    doors: Doors, door: str, live_db: None, api_key: str
) -> None:
    """Input as message_start counts it, 421 + 3000 read + 500 and 64 written; output as counted here."""
    body = GOLDEN / "without_usage" / "anthropic_cut.stream.sse"
    row = await doors.ask(door, body, "claude-haiku-5-5", api_key, 4000)
    assert row.status == Request.Status.PARTIAL
    counts = (
        row.uncached_input_tokens,
        row.cache_read_tokens,
        row.cache_write_tokens,
        row.cache_write_1h_tokens,
    )
    assert counts == (421, 3000, 500, 64)
    assert row.output_tokens > 1, "message_start counts no more than where the output begins"
    # 421 × 0.1 + 3000 × 0.01 + 500 × 0.125 + 64 × 0.2 = 147.4 millionths, and the output at 0.5
    assert Fraction(row.cost_usd or 0) == Fraction("0.0001474") + row.output_tokens * Fraction("0.0000005")
    assert row.usage_estimated


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("body", ["openai_responses_cut.stream.sse", "gemini_cut.stream.sse"])
async def test_a_stream_cut_before_any_usage_is_estimated_in_every_dialect(
    doors: Doors, body: str, live_db: None, api_key: str
) -> None:
    model = "gpt-6-astra" if "responses" in body else "gemini-2.5-pro"
    row = await doors.ask("native", GOLDEN / "without_usage" / body, model, api_key)
    assert (row.status, row.usage_estimated) == (Request.Status.PARTIAL, True)
    assert row.output_tokens >= SEVEN
    assert row.cost_usd
    assert row.cost_usd > 0


tokens = st.integers(0, 3_000_000)
usages = st.builds(
    Usage,
    uncached_input_tokens=tokens,
    cache_read_tokens=tokens,
    cache_write_tokens=tokens,
    cache_write_1h_tokens=tokens,
    output_tokens=tokens,
)
price = st.decimals("0", "99999999.999999", places=6)  # the column's bounds
prices = st.builds(UnitPrices, price, price, price, price, price)


def exactly(usage: Usage, at: UnitPrices) -> Fraction:
    return (
        usage.uncached_input_tokens * Fraction(at.uncached_input)
        + usage.cache_read_tokens * Fraction(at.cache_read)
        + usage.cache_write_tokens * Fraction(at.cache_write)
        + usage.cache_write_1h_tokens * Fraction(at.cache_write_1h)
        + usage.output_tokens * Fraction(at.output)
    ) / 1_000_000


@given(usages, prices)
def test_cost_is_the_exact_sum_rounded_half_even_and_never_negative(usage: Usage, at: UnitPrices) -> None:
    exact = exactly(usage, at)
    nanos = round(exact * 10**9)  # a Fraction rounds half to even
    assert Fraction(cost(usage, at)) == Fraction(nanos, 10**9) >= 0
    assert cost(usage, at).as_tuple().exponent == -9


@given(usages, usages, prices)
def test_costs_add_up_within_rounding(first: Usage, second: Usage, at: UnitPrices) -> None:
    apart = Fraction(cost(first, at)) + Fraction(cost(second, at))
    assert abs(Fraction(cost(first + second, at)) - apart) <= Fraction(3, 2 * 10**9)
