"""Processes on this machine: which core they use, their CPU time and memory, and how noisy the machine is."""

import contextlib
import os
import platform
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_TERM_S = 8.0  # for a process to end after SIGTERM
_CORES = sorted(os.sched_getaffinity(0))
GATEWAY_CORE, LOAD_CORE = _CORES[0], _CORES[-1]


class Machine(msgspec.Struct, frozen=True):
    """Where figures were measured."""

    processor: str
    cores: int
    memory_gb: int
    system: str
    python: str

    def __str__(self) -> str:
        return (
            f"{self.processor}, {self.cores} cores, {self.memory_gb} GB, {self.system}, Python {self.python}"
        )


def this_machine() -> Machine:
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            processor = line.split(":", 1)[1].strip()
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    system = f"Linux {platform.release().split('-')[0]}"
    cores = os.cpu_count() or 1
    return Machine(processor, cores, round(memory_kb / 2**20), system, platform.python_version())


@contextlib.contextmanager
def running(
    command: Sequence[str], log: Path, core: int | str, env: Mapping[str, str], cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, whose whole group is ended afterwards.

    `core`: its number, or several as in "0-3".
    """
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603
            ["taskset", "-c", str(core), *command],  # noqa: S607
            cwd=cwd,
            env=dict(env),
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TERM_S)
            if number is signal.SIGTERM:
                continue  # processes that outlived the first are killed too
            return


def free_port() -> int:
    """Return a port below the range of outgoing connections, so that it stays free until it is bound."""
    while True:
        port = random.randint(18_000, 31_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def process_tree(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int(_stat_fields(int(entry.name))[1])
                children.setdefault(parent, []).append(int(entry.name))
    tree, waiting = [], [pid]
    while waiting:
        tree.append(waiting.pop())
        waiting += children.get(tree[-1], [])
    return tree


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, that a process and its descendants have used."""
    ticks = 0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            fields = _stat_fields(each)
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS_PER_S


def memory_mb(pid: int) -> float:
    """Proportional set size of a process and its descendants: pages they share count once."""
    kilobytes = 0
    for each in process_tree(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
    return kilobytes / 1024


def busy_s(core: int) -> float:
    """Seconds that a core was used by anything since the machine started."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *values = line.split()
        if name == f"cpu{core}":
            user, nice, system, _, _, irq, soft, steal, *_ = map(int, values)
            return (user + nice + system + irq + soft + steal) / _TICKS_PER_S
    raise LookupError(f"cpu{core}")


def loop_ns() -> float:
    """Nanoseconds an iteration of a fixed loop takes on the gateway's core: more on a busy machine."""
    code = "import time; t = time.perf_counter(); x = 0\nfor i in range(1000000): x += i * i % 7\n"
    code += "print(time.perf_counter() - t)"
    done = subprocess.run(  # noqa: S603
        ["taskset", "-c", str(GATEWAY_CORE), sys.executable, "-c", code],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout) * 1000


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name, which may contain spaces."""
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
