"""Several choices from an API that returns one an answer: parallel calls, read as one answer."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from billing.usage import Usage
from routing.language.chat import Started, StreamEvent, UsageReport

_AHEAD = 64  # events read before the caller takes them

_Call = Callable[[], AsyncGenerator[StreamEvent, None]]
_Item = tuple[int, StreamEvent | BaseException | None]  # None: this call has ended


async def several(count: int, call: _Call) -> AsyncGenerator[StreamEvent, None]:
    """The events of `count` parallel calls, each a choice; usage is their sum. One failure ends all."""
    waiting: asyncio.Queue[_Item] = asyncio.Queue(_AHEAD)
    tasks = [asyncio.create_task(_pump(number, call, waiting)) for number in range(count)]
    usages: dict[int, UsageReport] = {}
    running, started = count, False
    try:
        while running:
            number, event = await waiting.get()
            if isinstance(event, BaseException):
                raise event
            match event:
                case None:
                    running -= 1
                case Started():
                    if not started:
                        started = True
                        yield event
                case UsageReport():
                    usages[number] = event
                    summed = sum((report.usage for report in usages.values()), Usage())
                    yield UsageReport(summed, sum(report.calls for report in usages.values()))
                case _:
                    yield msgspec.structs.replace(event, choice=number)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(number: int, call: _Call, into: asyncio.Queue[_Item]) -> None:
    try:
        async with aclosing(call()) as events:
            async for event in events:
                await into.put((number, event))
    except Exception as failure:
        await into.put((number, failure))
        return
    await into.put((number, None))
