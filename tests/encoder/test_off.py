"""Without workers there is no second look, and nothing waits for it."""

import asyncio
from pathlib import Path

from routing.encoder.artefact import is_available
from routing.encoder.encoder import Encoder, Result
from tests.encoder.worker_processes import PATIENCE_S, Text

EASY = Text("Which planet is closest to the sun?")


async def test_no_second_look_when_off() -> None:
    encoder = Encoder(workers=0, queue=4, deadline_s=1)
    encoder.start()
    assert await encoder.second_look(EASY) is None
    assert encoder.counts == {Result.OFF: 1}
    assert not encoder.workers
    await encoder.stop()


def test_not_available_without_files(tmp_path: Path) -> None:
    assert not is_available(tmp_path)


async def test_a_damaged_file_gives_no_second_look(tmp_path: Path) -> None:
    for name in ("encoder.onnx", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    encoder = Encoder(workers=1, queue=4, deadline_s=PATIENCE_S, folder=tmp_path)
    encoder.start()
    assert await encoder.second_look(EASY) is None
    await asyncio.sleep(1)
    assert await encoder.second_look(EASY) is None
    assert encoder.counts == {Result.FAILED: 2}
    await encoder.stop()


async def test_stopping_during_the_start_leaves_no_second_look() -> None:
    encoder = Encoder(workers=1, queue=4, deadline_s=1)
    encoder.start()
    await asyncio.sleep(0)
    await encoder.stop()
    assert await encoder.second_look(EASY) is None
    assert not encoder.workers
