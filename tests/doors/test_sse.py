"""Streams stay alive in silence, and end what feeds them when they are closed."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from routing.doors.shared import sse


async def _numbers(pause_s: float, closed: list[bool]) -> AsyncGenerator[list[int]]:
    try:
        for number in range(3):
            await asyncio.sleep(pause_s)
            yield [number]
    finally:
        closed.append(True)


async def test_what_has_come_is_taken_at_once() -> None:
    closed: list[bool] = []
    async with sse.Inflow(_numbers(0, closed)) as inflow:
        taken = []
        while (batch := await inflow.take(1)) is not None:
            taken += batch
    assert (taken, closed) == ([0, 1, 2], [True])


async def test_silence_is_an_empty_batch_and_breaks_nothing_off() -> None:
    async with sse.Inflow(_numbers(0.02, [])) as inflow:
        batches = []
        while (batch := await inflow.take(0.001)) is not None:
            batches.append(batch)
    assert [] in batches
    assert [number for batch in batches for number in batch] == [0, 1, 2]


async def test_leaving_closes_the_source_before_going_on() -> None:
    closed: list[bool] = []
    async with sse.Inflow(_numbers(10, closed)) as inflow:
        await inflow.take(0.001)
    assert closed == [True]


async def test_the_sources_error_comes_after_what_it_gave() -> None:
    async def failing() -> AsyncGenerator[list[int]]:
        yield [1]
        raise ValueError("broken")

    async with sse.Inflow(failing()) as inflow:
        assert await inflow.take(1) == [1]
        with pytest.raises(ValueError, match="broken"):
            await inflow.take(1)


def test_an_event_is_one_line_of_ascii() -> None:
    assert sse.event({"content": "é\r\n🙂"}) == b'data: {"content":"\\u00e9\\r\\n\\ud83d\\ude42"}\n\n'
