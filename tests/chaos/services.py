"""The processes of a deployment, started and really stopped: PostgreSQL, Redis, simulator, web, worker.

Each is a child of its own session that writes to a file of its own and is ended with its whole group.
"""

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
# What decides how RoutePlex runs is set by the cluster alone, not by the shell the tests are started from.
_SETTINGS = re.compile(
    r"DATABASE_URL|REDIS_\w+|CELERY_\w+|SIMULATOR\w*|UPSTREAMS|WEB_WORKERS|PORT|HOST|VAR_DIR|SECRET_KEY\w*"
    r"|PUBLIC_URL|DJANGO_\w+|\w+_API_KEY|\w+_BASE_URL"
)


def free_port() -> int:
    """Below the range that outgoing connections take theirs from, so that it stays free over a restart."""
    while True:
        port = random.randint(18_000, 31_000)  # noqa: S311
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment(**ours: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _SETTINGS.fullmatch(name)} | ours


def wait_until(true: Callable[[], Any], within_s: float, what: str) -> float:
    """Seconds it took; raises TimeoutError."""
    began = time.monotonic()
    while not true():
        if time.monotonic() > began + within_s:
            raise TimeoutError(f"{what}: not within {within_s:g} s")
        time.sleep(0.02)
    return time.monotonic() - began


class Process:
    """One child process; `start` again after it ended."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str], directory: Path) -> None:
        self.name, self.command, self.env = name, list(command), dict(env)
        self.log = directory / f"{name}.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(
                self.command, env=self.env, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
            )
        self.await_ready()

    def await_ready(self) -> None:
        """Return once it serves."""

    def send(self, number: signal.Signals) -> None:
        if self.running:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """As the kernel does when memory is short: no farewell."""
        if self._child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._child.wait()

    def terminate(self, within_s: float = 40) -> None:
        """As a supervisor does: ask, wait, and only then kill."""
        if self._child is None:
            return
        self.send(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._child.wait(within_s)
        self.kill()

    def memory_mb(self, peak: bool = False) -> float:
        """Resident memory, of all the group's processes; `peak`: the most this one had."""
        if peak:
            return _status_kb(self.pid, "VmHWM") / 1024
        return _status_kb(self.pid, "VmRSS") / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def _status_kb(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise LookupError(field)


class Postgres:
    """A PostgreSQL cluster of our own in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self._data, self._log = directory / "data", directory / "postgres.log"
        self._directory, self.port = directory, free_port()
        self._as_postgres = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        self._pg_ctl = binary("pg_ctl")

    def create(self) -> None:
        self._directory.mkdir(exist_ok=True)
        if self._as_postgres:
            shutil.chown(self._directory, "postgres")
        self._run(
            [binary("initdb"), "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"]
        )

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._directory}"
        self._run([self._pg_ctl, "-D", self._data, "-l", self._log, "-o", options, "-w", "-t", "60", "start"])

    def stop(self, mode: str = "fast") -> None:
        """`fast`: connections are cut and data written; `immediate`: as if the power went."""
        self._run([self._pg_ctl, "-D", self._data, "-m", mode, "-w", "stop"], check=False)

    @property
    def running(self) -> bool:
        return self._run([self._pg_ctl, "-D", self._data, "status"], check=False) == 0

    def url(self, name: str = "postgres", port: int | None = None) -> str:
        return f"postgres://postgres@127.0.0.1:{port or self.port}/{name}"

    def _run(self, command: Sequence[str | Path], check: bool = True) -> int:
        done = subprocess.run(
            [*self._as_postgres, *map(str, command)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if command[0] != self._pg_ctl else subprocess.DEVNULL,
            check=False,
            cwd="/",
        )
        if check and done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr!r}")
        return done.returncode


def binary(name: str) -> str:
    """A program of PostgreSQL, the newest installed."""
    path = shutil.which(name) or next(
        iter(sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), reverse=True)), None
    )
    if path is None:
        raise RuntimeError(f"{name} is not installed: the chaos tests need PostgreSQL's server programs")
    return path


class RedisServer(Process):
    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        server = shutil.which("redis-server")
        if server is None:
            raise RuntimeError("redis-server is not installed: the chaos tests need it")
        command = [
            server,
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        super().__init__("redis", command, environment(), directory)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/10"

    def await_ready(self) -> None:
        wait_until(self._answers, 20, "redis")

    def flush(self) -> None:
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(64)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False


class Simulator(Process):
    """The three providers, played; its control API."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "routing.simulator", "--port", str(self.port), "--speed", "0"]
        super().__init__("simulator", command, environment(), directory)
        self._http = httpx.Client(base_url=self.url, timeout=20)

    def await_ready(self) -> None:
        wait_until(lambda: answers(self.url + "/_control/health"), 30, "simulator")

    def fault(self, **fault: Any) -> None:
        self._http.post("/_control/faults", json=fault).raise_for_status()

    def calm(self) -> None:
        self._http.delete("/_control/faults").raise_for_status()

    def reset(self) -> None:
        self.calm()
        self._http.delete("/_control/calls").raise_for_status()
        self.speed(0)

    def speed(self, speed: float) -> None:
        self._http.post("/_control/speed", json={"speed": speed}).raise_for_status()

    def calls(self, model: str | None = None) -> list[dict[str, Any]]:
        calls = self._http.get("/_control/calls", params={"model": model} if model else {})
        return list(calls.raise_for_status().json()["calls"])


class Web(Process):
    """One uvicorn process with RoutePlex, on a port of its own."""

    def __init__(self, name: str, env: Mapping[str, str], directory: Path, workers: int = 1) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "uvicorn", "routeplex_site.asgi:application", "--host", "127.0.0.1"]
        command += ["--port", str(self.port), "--no-access-log", "--log-level", "warning"]
        command += ["--timeout-graceful-shutdown", "30"]
        command += ["--workers", str(workers)] if workers > 1 else []
        super().__init__(name, command, env, directory)

    def await_ready(self) -> None:
        wait_until(lambda: answers(self.url + "/healthz") or not self.running, 60, self.name)
        if not self.running:
            raise RuntimeError(f"{self.name} did not start, see {self.log}")


class Worker(Process):
    """Celery's worker, its beat, or both in one."""

    def __init__(self, name: str, roles: Sequence[str], env: Mapping[str, str], directory: Path) -> None:
        command = [sys.executable, "-m", "celery", "-A", "routeplex_site", *roles, "--loglevel", "info"]
        if "worker" in roles:
            command += ["--pool", "solo", "--without-gossip", "--without-mingle"]
        super().__init__(name, command, env, directory)


def libfaketime() -> str | None:
    """The library that gives a process a clock of its own, if it is installed."""
    return next((str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
