"""The two programs in C beside this module: the upstream that answers, and the load generator."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bench.speed.machine import LOAD_CORE, ROOT, free_port, running

VAR = ROOT / "var" / "speed"
_HERE = Path(__file__).parent
_SPARE_S = 20.0  # beyond the length of a run, until a load generator counts as stuck


class NoCompiler(Exception):
    """There is no C compiler to build the programs with."""


class Times(msgspec.Struct, frozen=True):
    """A distribution, in µs."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class LoadResult(msgspec.Struct, frozen=True):
    """The output of load.c, whose first lines say what is measured. Times in µs."""

    started: int
    succeeded: int
    failed: int
    refused: int
    timed_out: int
    reconnects: int
    most_queued: int
    requests_per_s: float
    events_per_s: float
    load_cpu_s: float
    latency: Times
    overhead: Times
    first_byte: Times
    event_delay: Times
    first_error: str


class Answers(msgspec.Struct, frozen=True):
    """How the upstream answers a request."""

    delay_ms: int = 0
    events: int = 0  # 0: not streamed
    interval_us: int = 0

    @property
    def streamed(self) -> bool:
        return self.events > 0

    def __str__(self) -> str:
        """The words in the prompt that tell the upstream so."""
        return (
            f"upstream-delay-ms={self.delay_ms} upstream-events={self.events}"
            f" upstream-interval-us={self.interval_us}"
        )


def program(name: str) -> Path:
    """The built program. Raises NoCompiler."""
    source, built = _HERE / f"{name}.c", VAR / "bin" / name
    if built.exists() and built.stat().st_mtime > source.stat().st_mtime:
        return built
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NoCompiler("bench/speed needs a C compiler: on Debian, apt install gcc libc6-dev")
    built.parent.mkdir(parents=True, exist_ok=True)
    unfinished = built.with_suffix(f".{os.getpid()}")
    subprocess.run([compiler, "-O2", "-o", unfinished, source], check=True)  # noqa: S603
    unfinished.replace(built)
    return built


@contextlib.contextmanager
def upstream() -> Iterator[str]:
    """The base URL of an upstream that runs, without a path."""
    port = free_port()
    with running([str(program("upstream")), str(port)], VAR / f"upstream-{port}.log", LOAD_CORE, os.environ):
        url = f"http://127.0.0.1:{port}"
        for _ in range(100):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/stats", timeout=1):  # noqa: S310
                break
            time.sleep(0.02)
        yield url


def request_body(model: str, answers: Answers, pad: str = "") -> dict[str, Any]:
    """The request of all measurements, of about 900 bytes; `pad` lengthens the prompt."""
    body: dict[str, Any] = json.loads((_HERE / "request.json").read_text())
    body["model"] = model
    body["messages"][-1]["content"] += f"{pad}{answers}"
    if answers.streamed:
        body["stream"] = True
    return body


def load(
    url: str,
    body: Mapping[str, Any],
    headers: Mapping[str, str],
    *,
    connections: int,
    seconds: float,
    rate: float = 0,
    warm_up_s: float = 0.5,
    timeout_s: float = 30,
    keys: Path | None = None,
) -> LoadResult:
    """Send requests for some seconds and return what happened.

    `rate`: requests per second on a fixed schedule; 0: each connection always has a request in flight.
    `keys`: a file with an API key a line, used in turn. Raises RuntimeError when nothing can be measured.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(body, file)
        file.flush()
        command = ["taskset", "-c", str(LOAD_CORE), str(program("load")), "-u", url, "-b", file.name]
        command += ["-c", str(connections), "-d", str(seconds), "-w", str(warm_up_s), "-t", str(timeout_s)]
        command += ["-r", str(rate)] if rate else []
        command += ["-s"] if body.get("stream") else []
        command += ["-k", str(keys)] if keys else []
        for name, value in headers.items():
            command += ["-H", f"{name}: {value}"]
        longest_s = seconds + warm_up_s + 2 * timeout_s + _SPARE_S
        done = subprocess.run(command, capture_output=True, text=True, timeout=longest_s, check=False)  # noqa: S603
    if not done.stdout:
        raise RuntimeError(f"load: {done.stderr.strip()}")
    return msgspec.json.decode(done.stdout, type=LoadResult)
