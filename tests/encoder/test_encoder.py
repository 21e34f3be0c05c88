"""The second look through its public door, with real worker processes."""

import asyncio
import os
import signal

import pytest

from routing.decide.prediction.second_look import SecondLook
from routing.decide.prediction.skills import TEXT_SKILLS
from routing.encoder.encoder import Result
from tests.encoder.worker_processes import PATIENCE_S, Text, ends, judged_in_time, pid, ready, running

EASY = Text("Which planet is closest to the sun?")
HARD = Text(
    "Design a lock-free concurrent hash map with linearizable resize in C++, prove that it is free of ABA"
    " problems under the C++ memory model, and give an optimal reclamation scheme."
)
SOON_S = 0.05


async def test_a_text_is_judged() -> None:
    async with running() as encoder:
        easy, hard = await encoder.second_look(EASY), await encoder.second_look(HARD)
        assert isinstance(easy, SecondLook)
        assert isinstance(hard, SecondLook)
        assert 1 <= easy.level < hard.level <= 5
        assert easy.answer_tokens < hard.answer_tokens
        assert len(easy.skills) == len(TEXT_SKILLS)
        assert sum(easy.skills) == pytest.approx(1)
        assert encoder.counts == {Result.NEW: 2}


async def test_an_idle_worker_answers_within_the_usual_deadline() -> None:
    async with running(deadline_s=0.04) as encoder:
        results = [await encoder.second_look(Text(f"Is {number} prime?")) for number in range(30)]
        assert any(results)  # not all: other tests keep the machine busy


@pytest.mark.parametrize("request_text", ["", "\ud800 unpaired", "word " * 100_000, "\x00", "日本語の質問"])
async def test_any_text_can_be_judged(request_text: str) -> None:
    async with running() as encoder:
        assert await encoder.second_look(Text(request_text, system="\udfff")) is not None


async def test_a_late_result_is_not_waited_for_but_remembered() -> None:
    async with running(deadline_s=SOON_S) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        assert await encoder.second_look(EASY) is None
        assert encoder.counts == {Result.LATE: 1}
        os.kill(pid(encoder), signal.SIGCONT)
        await judged_in_time(encoder, HARD)  # after the earlier text
        os.kill(pid(encoder), signal.SIGSTOP)
        assert await encoder.second_look(EASY) is not None
        assert encoder.counts[Result.REMEMBERED] >= 1


async def test_a_text_that_waited_past_its_deadline_is_never_judged() -> None:
    async with running(deadline_s=SOON_S) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        await asyncio.gather(encoder.second_look(EASY), encoder.second_look(HARD))
        os.kill(pid(encoder), signal.SIGCONT)
        await judged_in_time(encoder, Text("Another text"))
        os.kill(pid(encoder), signal.SIGSTOP)
        assert await encoder.second_look(HARD) is None


async def test_a_full_queue_refuses_at_once() -> None:
    async with running(queue=1, deadline_s=PATIENCE_S) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        judged, waiting = (asyncio.create_task(encoder.second_look(each)) for each in (EASY, HARD))
        await asyncio.sleep(0)
        assert await encoder.second_look(Text("A third text")) is None
        assert encoder.counts == {Result.FULL: 1}
        os.kill(pid(encoder), signal.SIGCONT)
        assert await judged is not None
        assert await waiting is not None


async def test_a_second_worker_takes_what_the_first_has_no_time_for() -> None:
    async with running(workers=2, queue=0) as encoder:
        results = await asyncio.gather(encoder.second_look(EASY), encoder.second_look(HARD))
        assert all(results)


async def test_a_killed_worker_fails_its_texts_at_once_and_is_replaced() -> None:
    async with running(deadline_s=10 * PATIENCE_S) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        judged, waiting = (asyncio.create_task(encoder.second_look(each)) for each in (EASY, HARD))
        await asyncio.sleep(0)
        os.kill(pid(encoder), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_S):
            assert await judged is None
            assert await waiting is None
        assert encoder.counts == {Result.FAILED: 2}
        assert await encoder.second_look(EASY) is None  # no worker yet
        await ready(encoder)
        assert await encoder.second_look(EASY) is not None


async def test_a_repeated_text_is_not_sent_to_the_worker_again() -> None:
    async with running(deadline_s=1) as encoder:
        first = await encoder.second_look(EASY)
        os.kill(pid(encoder), signal.SIGSTOP)
        assert await encoder.second_look(EASY) == first
        assert await encoder.second_look(Text(EASY.english, system="Answer in French.")) is None
        assert encoder.counts == {Result.NEW: 1, Result.REMEMBERED: 1, Result.LATE: 1}


async def test_a_caller_who_disconnects_takes_the_text_back() -> None:
    async with running(queue=1) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        judged, waiting = (asyncio.create_task(encoder.second_look(each)) for each in (EASY, HARD))
        await asyncio.sleep(0)
        judged.cancel()
        waiting.cancel()
        await asyncio.wait((judged, waiting))
        third = asyncio.create_task(encoder.second_look(Text("A third text")))  # the place is free again
        await asyncio.sleep(0)
        os.kill(pid(encoder), signal.SIGCONT)
        assert await third is not None
        assert encoder.counts == {Result.NEW: 1}


async def test_the_event_loop_keeps_running_while_texts_are_judged() -> None:
    async with running(deadline_s=0.5) as encoder:
        os.kill(pid(encoder), signal.SIGSTOP)
        waiting = asyncio.create_task(encoder.second_look(EASY))
        turns = 0
        while not waiting.done():
            await asyncio.sleep(0.001)
            turns += 1
        assert turns > 20


@pytest.mark.parametrize("stopped", [False, True], ids=["idle", "hanging"])
async def test_stopping_leaves_no_process(stopped: bool) -> None:
    async with running() as encoder:
        process = pid(encoder)
        if stopped:
            os.kill(process, signal.SIGSTOP)
            waiting = asyncio.create_task(encoder.second_look(EASY))
            await asyncio.sleep(0)
    assert ends(process)
    if stopped:
        assert await waiting is None
