"""Where a gateway's time goes under load, as py-spy samples it."""

import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from bench.speed.machine import LOAD_CORE, ROOT
from bench.speed.phases import AT_ONCE, await_answer
from bench.speed.programs import VAR, load, request_body
from bench.speed.targets import Target

_SAMPLES_PER_S = 250
_SHOWN = 45
_FRAME = re.compile(r"(?P<function>.*) \((?P<file>.*?)(:(?P<line>\d+))?\)$")


def profile(target: Target, upstream_url: str, connections: int = 32, seconds: float = 12.0) -> Path:
    """Print the functions that hold the interpreter under load, and return a flame graph for speedscope.app.

    Raises RuntimeError when py-spy may not look into processes: it needs root, or kernel.yama.ptrace_scope=0.
    """
    spy = shutil.which("py-spy", path=str(Path(sys.executable).parent)) or shutil.which("py-spy")
    if spy is None:
        raise RuntimeError("py-spy is not installed: make setup")
    stacks = VAR / f"profile-{target.name}.txt"
    with target.start(upstream_url) as gateway:
        await_answer(gateway, target.start_timeout_s)
        body = request_body(gateway.model, AT_ONCE)
        load(gateway.url, body, gateway.headers, connections=connections, seconds=2)
        loading = threading.Thread(
            target=lambda: load(
                gateway.url, body, gateway.headers, connections=connections, seconds=seconds + 2
            )
        )
        loading.start()
        time.sleep(1)
        options = ["--rate", str(_SAMPLES_PER_S), "--duration", str(int(seconds)), "--gil", "--threads"]
        command = [spy, "record", "--pid", str(gateway.pid), "--format", "raw", "--output", str(stacks)]
        done = subprocess.run(  # noqa: S603
            ["taskset", "-c", str(LOAD_CORE), *command, *options],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
        )
        loading.join()
    if done.returncode:
        raise RuntimeError(f"py-spy: {done.stderr.strip()}")
    print(summary(stacks.read_text()))
    return stacks


def summary(stacks: str) -> str:
    """The functions with the most time, inclusive and of their own, as shares of all samples with the GIL."""
    own: Counter[str] = Counter()
    inclusive: Counter[str] = Counter()
    threads: Counter[str] = Counter()
    total = 0
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        frames = stack.split(";")
        samples = int(number)
        total += samples
        threads[frames[0]] += samples
        names = [_name(frame) for frame in frames[1:]]
        for name in set(names):
            inclusive[name] += samples
        if names:
            own[names[-1]] += samples
    total = max(total, 1)
    lines = [f"{100 * samples / total:5.1f} %  {thread}" for thread, samples in threads.most_common(8)]
    lines += ["", " total    own   function"]
    lines += [
        f"{100 * samples / total:5.1f} % {100 * own[name] / total:5.1f} %  {name}"
        for name, samples in inclusive.most_common(_SHOWN)
    ]
    lines += ["", "   own   function"]
    lines += [f"{100 * samples / total:5.1f} %  {name}" for name, samples in own.most_common(_SHOWN)]
    return "\n".join(lines)


def _name(frame: str) -> str:
    """A function with its file, without line numbers and the folders of packages."""
    match = _FRAME.match(frame)
    if match is None:
        return frame
    file = match["file"].replace(f"{ROOT}/", "").rpartition("site-packages/")[2]
    return f"{match['function']}  {file}"
