"""Several choices from an API that returns one an answer: parallel calls, read as one answer."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec

from billing.usage import Usage
from core.waiting import end
from routing.language.chat import Served, Started, StreamEvent, UsageReport

_AHEAD = 2  # batches of events read before the caller takes them


class Call(Protocol):
    """A call whose answer is read batch by batch."""

    async def next(self) -> list[StreamEvent] | None:
        """None at the end."""

    async def close(self) -> None: ...


_Item = tuple[int, list[StreamEvent] | BaseException | None]  # None: this call has ended


class Several:
    """The events of `count` parallel calls, each a choice; usage is their sum. One failure ends all."""

    def __init__(self, count: int, call: Callable[[], Call]) -> None:
        self._count, self._call = count, call
        self._waiting: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD)
        self._tasks: list[asyncio.Task[None]] = []
        self._merged, self._running = _Merged(), count

    async def next(self) -> list[StreamEvent] | None:
        """The next events of any call; None at the end."""
        if not self._tasks:
            pumps = (_pump(number, self._call, self._waiting) for number in range(self._count))
            self._tasks = [asyncio.create_task(pump) for pump in pumps]
        while self._running:
            number, batch = await self._waiting.get()
            if isinstance(batch, BaseException):
                raise batch
            if batch is None:
                self._running -= 1
            elif events := [part for event in batch for part in self._merged.of(number, event)]:
                return events
        return None

    async def close(self) -> None:
        await end(*self._tasks)


class _Merged:
    """Reads the events of each call as those of its choice."""

    def __init__(self) -> None:
        self._usages: dict[int, UsageReport] = {}
        self._has_started = False

    def of(self, number: int, event: StreamEvent) -> Iterator[StreamEvent]:
        match event:
            case Started():
                if not self._has_started:
                    self._has_started = True
                    yield event
            case Served():
                yield event
            case UsageReport():
                self._usages[number] = event
                summed = sum((report.usage for report in self._usages.values()), Usage())
                yield UsageReport(summed, sum(report.calls for report in self._usages.values()))
            case _:
                yield msgspec.structs.replace(event, choice=number)


async def _pump(number: int, call: Callable[[], Call], into: asyncio.Queue[_Item]) -> None:
    try:
        answer = call()
        try:
            while (batch := await answer.next()) is not None:
                await into.put((number, batch))
        finally:
            await answer.close()
    except Exception as failure:
        await into.put((number, failure))
        return
    await into.put((number, None))
