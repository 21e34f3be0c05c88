"""The web process starts its encoder when it is needed, and stops it."""

import asyncio
from typing import Any

import pytest

from routing.encoder.encoder import Encoder, Result
from routing.state.runtime import Runtime
from tests.encoder.worker_processes import PATIENCE_S, Text, ends, pid, ready


async def test_the_first_second_look_starts_a_worker_that_ends_with_the_process(live_db: None) -> None:
    runtime = Runtime(Encoder(workers=1, queue=1, deadline_s=PATIENCE_S))
    await runtime.start()
    assert await runtime.encoder.second_look(Text("Hello")) is None
    await ready(runtime.encoder)
    process = pid(runtime.encoder)
    assert await runtime.encoder.second_look(Text("Hello")) is not None
    await runtime.stop()
    assert await asyncio.to_thread(ends, process)


@pytest.mark.parametrize(("mode", "result"), [("off", Result.OFF), ("auto", Result.FAILED)])
async def test_the_setting_turns_the_encoder_off(settings: Any, mode: str, result: Result) -> None:
    settings.ENCODER = mode
    encoder = Runtime().encoder
    await encoder.second_look(Text("Hello"))
    await encoder.stop()
    assert encoder.counts == {result: 1}  # FAILED: no worker is ready yet
