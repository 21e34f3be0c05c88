"""Tasks that are ready together compute a few in each turn of the event loop."""

import asyncio

from core.fair_turns import FairTurns


async def _order_of(turns: FairTurns, names: str, done: list[str]) -> list["asyncio.Task[None]"]:
    async def compute(name: str) -> None:
        await turns.wait()
        done.append(name)

    return [asyncio.create_task(compute(name)) for name in names]


async def _turns_until(done: list[str], count: int) -> list[str]:
    """The items that each turn of the loop adds to `done`, until it has `count`."""
    added = []
    for _ in range(100):
        before = len(done)
        await asyncio.sleep(0)
        added.append("".join(done[before:]))
        if len(done) == count:
            return [step for step in added if step]
    raise AssertionError(f"only {done} got a turn")


async def test_some_compute_in_each_turn_in_their_order() -> None:
    done: list[str] = []
    await _order_of(FairTurns(3), "abcdefgh", done)
    assert await _turns_until(done, 8) == ["abc", "def", "gh"]


async def test_a_single_task_does_not_wait() -> None:
    turns = FairTurns(1)
    for _ in range(3):
        await asyncio.wait_for(turns.wait(), 1)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_a_later_task_waits_behind_the_others() -> None:
    done: list[str] = []
    turns = FairTurns(2)
    await _order_of(turns, "abcdef", done)
    await asyncio.sleep(0)
    await _order_of(turns, "gh", done)
    await _turns_until(done, 8)
    assert "".join(done) == "abcdefgh"


async def test_a_cancelled_task_takes_no_turn() -> None:
    done: list[str] = []
    tasks = await _order_of(FairTurns(1), "abcd", done)
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()
    assert await _turns_until(done, 2) == ["d"]


async def test_the_loop_does_other_work_between_turns() -> None:
    done: list[str] = []
    loop = asyncio.get_running_loop()
    await _order_of(FairTurns(1), "abc", done)

    def tick() -> None:
        done.append("-")
        if done.count("-") < 20:
            loop.call_soon(tick)

    loop.call_soon(tick)
    await _turns_until(done, 23)
    assert "".join(done).replace("-", "") == "abc"
    assert "ab" not in "".join(done)
