"""Upstreams that lead to the simulator, and servers that misbehave below HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from routing.language.arms import Effort, ModelFacts
from routing.language.chat import ChatRequest, ChatResult, Collector, Finished, Started, StreamEvent
from routing.providers.transport.config import Deadlines, Provider
from routing.providers.upstreams import Upstreams
from tests.conftest import Simulator

PATHS = {"openai": "/v1", "anthropic": "", "google": ""}
WIRES = {"openai": "openai", "anthropic": "anthropic", "google": "gemini"}
QUICK = Deadlines(connect_s=1.0, first_byte_s=0.3, idle_s=0.3)


class Caller:
    """Completes requests and collects what comes."""

    def __init__(self, upstreams: Upstreams) -> None:
        self.upstreams = upstreams

    async def events(
        self, request: ChatRequest, model: ModelFacts, effort: Effort | None = None, *, stream: bool = True
    ) -> list[StreamEvent]:
        """All events, in the order every answer keeps: Started first, Finished last."""
        batches = self.upstreams.complete(request, model, effort, stream=stream)
        events = [event async for batch in batches for event in batch]
        assert isinstance(events[0], Started)
        assert isinstance(events[-1], Finished)
        return events

    async def ask(
        self, request: ChatRequest, model: ModelFacts, effort: Effort | None = None, *, stream: bool = True
    ) -> ChatResult:
        collector = Collector()
        for event in await self.events(request, model, effort, stream=stream):
            collector.add(event)
        return collector.result()


@pytest.fixture
async def caller(simulator: Simulator) -> AsyncIterator[Caller]:
    """A caller of all three providers, played by the simulator."""
    providers = [
        Provider(name, WIRES[name], simulator.url + path, api_key="sim-key") for name, path in PATHS.items()
    ]
    upstreams = Upstreams([*providers, Provider("local", "openai_chat", simulator.url + "/v1", "sim-key")])
    yield Caller(upstreams)
    await upstreams.aclose()


Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def misbehaving(
    behaviour: Behaviour, dialect: str = "openai", deadlines: Deadlines = QUICK
) -> AsyncIterator[Upstreams]:
    """Upstreams whose one provider, "raw", is a socket server: it reads a request and runs `behaviour`."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(
                    line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
                )
                await reader.readexactly(int(length.split(b":")[1]))
                await behaviour(reader, writer)
                if writer.is_closing():
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstreams = Upstreams([Provider("raw", dialect, f"http://127.0.0.1:{port}", "s3cret-key")], deadlines)  # type: ignore[arg-type]
    try:
        yield upstreams
    finally:
        await upstreams.aclose()
        server.close()
