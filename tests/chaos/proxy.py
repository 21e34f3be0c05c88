"""A TCP proxy: a slow line to a database; and a balancer, which asks web processes whether they are ready."""

import asyncio
import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from tests.chaos.services import free_port

_PIECE = 65536
_LOOK_EVERY_S = 0.3


class Proxy:
    """Passes connections on to the next target that takes them. `delay_s`: before each piece sent on;
    `frozen`: nothing passes, though nothing is closed.
    """

    def __init__(self, targets: Callable[[], list[int]]) -> None:
        self.port, self._targets = free_port(), targets
        self.url = f"http://127.0.0.1:{self.port}"
        self.delay_s, self._turn = 0.0, 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._lines: set[asyncio.Task[None]] = set()
        self._away: set[int] = set()  # these targets are asked last

    def freeze(self) -> None:
        self._flowing.clear()

    def thaw(self) -> None:
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=1024)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for line in self._lines:
            line.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._lines.add(task)
        try:
            beyond = await self._connected()
            if beyond is None:
                return
            await asyncio.gather(self._pass_on(reader, beyond[1]), self._pass_on(beyond[0], writer))
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._lines.discard(task)
            with contextlib.suppress(OSError):
                writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """The next target that accepts: one that refuses has nothing of the request yet."""
        targets = self._targets()
        self._turn += 1
        first = self._turn % len(targets)
        for port in sorted(targets[first:] + targets[:first], key=self._away.__contains__):
            with contextlib.suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", port)
        return None

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(_PIECE):
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
        finally:
            with contextlib.suppress(OSError):
                writer.close()


class Balancer(Proxy):
    """A proxy that turns away from a target whose `/readyz` says 503, or that does not answer."""

    async def __aenter__(self) -> Self:
        self._watch = asyncio.create_task(self._check_targets())
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._watch.cancel()
        await super().__aexit__(kind, error, trace)

    async def _check_targets(self) -> None:
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while True:
                targets = self._targets()
                ready = await asyncio.gather(*(self._is_ready(http, port) for port in targets))
                self._away = {port for port, yes in zip(targets, ready, strict=True) if not yes}
                await asyncio.sleep(_LOOK_EVERY_S)

    async def _is_ready(self, http: httpx.AsyncClient, port: int) -> bool:
        try:
            return (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False
