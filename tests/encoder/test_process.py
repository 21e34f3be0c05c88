"""A worker process: what it inherits, how it ends, and the loops it works with."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
import uvloop

from routing.encoder.artefact import ARTEFACT
from routing.encoder.encoder import Result
from routing.encoder.messages import decode_estimate, encode, texts
from routing.encoder.process import WorkerProcess
from tests.encoder.worker_processes import PATIENCE_S, Text, ends, lives, running

MESSAGE = encode(texts("What is the capital of France?", "", ""))
PARENT = """
import asyncio
from routing.encoder.artefact import ARTEFACT
from routing.encoder.process import WorkerProcess

async def main():
    worker = WorkerProcess(ARTEFACT)
    await worker.start()
    print(worker.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_a_message_is_answered() -> None:
    worker = WorkerProcess(ARTEFACT)
    await worker.start()
    reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    worker.submit(MESSAGE, reply.set_result)
    message = await asyncio.wait_for(reply, PATIENCE_S)
    assert message is not None
    assert decode_estimate(message) is not None
    await worker.end()
    assert not lives(worker.pid)


async def test_a_message_that_cannot_be_judged_fails_alone() -> None:
    worker = WorkerProcess(ARTEFACT)
    await worker.start()
    for message, fails in ((b"\xc1", True), (MESSAGE, False)):
        reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        worker.submit(message, reply.set_result)
        answer = await asyncio.wait_for(reply, PATIENCE_S)
        assert answer is not None
        assert (decode_estimate(answer) is None) is fails
    await worker.end()


async def test_a_worker_that_hangs_is_killed() -> None:
    worker = WorkerProcess(ARTEFACT, reply_timeout_s=0.1)
    await worker.start()
    os.kill(worker.pid, signal.SIGSTOP)
    reply: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    worker.submit(MESSAGE, reply.set_result)
    assert await asyncio.wait_for(reply, PATIENCE_S) is None
    await asyncio.wait_for(worker.ended, PATIENCE_S)
    late: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
    worker.submit(MESSAGE, late.set_result)
    assert late.result() is None
    await worker.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_draining_web_process_keeps_its_worker(number: signal.Signals) -> None:
    async with running() as encoder:
        (worker,) = encoder.workers
        os.kill(worker.pid, number)
        assert await encoder.second_look(Text("Still here?")) is not None


async def test_a_worker_does_not_inherit_provider_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-workers")
    worker = WorkerProcess(ARTEFACT)
    await worker.start()
    command = ["ps", "eww", "-p", str(worker.pid), "-o", "command"]
    shown = (await asyncio.to_thread(subprocess.check_output, command)).decode()
    await worker.end()
    assert "PATH=" in shown
    assert "sk-not-for-workers" not in shown


def test_a_worker_ends_with_a_web_process_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.kill()
    assert ends(worker)


def test_the_production_event_loop_runs_workers_too() -> None:
    async def judged() -> dict[Result, int]:
        async with running() as encoder:
            await encoder.second_look(Text("What is the capital of France?"))
            return dict(encoder.counts)

    assert uvloop.run(judged()) == {Result.NEW: 1}
