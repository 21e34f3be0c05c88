"""A whole RoutePlex as an operator runs it, or as one process with SQLite; everything is gone at the end."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from routing.execute.shared_breaker import circuits_of_all
from tests.chaos.raw import Raw
from tests.chaos.services import (
    ROOT,
    Postgres,
    Process,
    RedisServer,
    Simulator,
    Web,
    Worker,
    environment,
    libfaketime,
)

# Deadlines short enough that a table of failures is over in minutes.
FIRST_BYTE_S, IDLE_S, REQUEST_S, HEARTBEAT_S, SILENCE_S, PATIENCE_S = 1.0, 1.0, 20.0, 1.0, 3.0, 5.0
DRAIN_S = 3.0
DEADLINES = {
    "FIRST_BYTE_TIMEOUT_S": str(FIRST_BYTE_S),
    "FIRST_BYTE_PATIENCE": "0",
    "IDLE_TIMEOUT_S": str(IDLE_S),
    "REQUEST_TIMEOUT_S": str(REQUEST_S),
    "HEARTBEAT_S": str(HEARTBEAT_S),
    "PROCESS_SILENCE_S": str(SILENCE_S),
    "DATABASE_PATIENCE_S": str(PATIENCE_S),
    "DRAIN_S": str(DRAIN_S),
}


class Refused(Exception):
    """An order to the operator failed, as one does while the database is away."""


class Operator:
    """The process that takes orders; see tests/chaos/operator.py."""

    def __init__(self, env: Mapping[str, str], directory: Path) -> None:
        self._lock = threading.Lock()
        with (directory / "operator.log").open("ab") as log:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.chaos.operator"],
                env=env,
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    def order(self, name: str, **values: Any) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with self._lock:
            self._child.stdin.write(json.dumps({"order": name} | values) + "\n")
            self._child.stdin.flush()
            line = self._child.stdout.readline()
        answer = json.loads(line) if line else {"error": "the operator's process has ended"}
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["done"]

    def end(self) -> None:
        self._child.kill()
        self._child.wait()


class Cluster:
    """PostgreSQL, Redis, simulator and some web processes; `embedded`: SQLite and one process.

    Use as a context manager. `settings` are environment variables; `raw` is a further provider that
    misbehaves, once it is started.
    """

    def __init__(
        self,
        webs: int = 2,
        *,
        embedded: bool = False,
        storage: Path | None = None,
        simulator: Simulator | None = None,
        **settings: str,
    ) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="routeplex-chaos-"))
        self.directory.chmod(0o755)  # PostgreSQL runs as another user
        self.embedded, self._count = embedded, 1 if embedded else webs
        self.storage = storage or self.directory
        self._own_simulator, self._settings = simulator is None, settings
        self.simulator = simulator or Simulator(self.directory)
        self.postgres = None if embedded else Postgres(self.storage / "postgres")
        self.redis = None if embedded else RedisServer(self.directory)
        self.raw = None if embedded else Raw(self.directory)
        self.webs: list[Web] = []
        self._others: list[Process] = []
        self.failed = False

    @property
    def env(self) -> dict[str, str]:
        var = self.storage / "var"
        var.mkdir(exist_ok=True)
        ours = {
            "VAR_DIR": str(var),
            "SECRET_KEY": "chaos",
            "SIMULATOR": "on",
            "SIMULATOR_URL": self.simulator.url,
            "WEB_WORKERS": str(self._count),
            "UPSTREAMS": json.dumps(self.raw.upstreams()) if self.raw else "",
        }
        if self.postgres is not None and self.redis is not None:
            ours["DATABASE_URL"], ours["REDIS_URL"] = self.postgres.url(), self.redis.url
        return environment(**DEADLINES | ours | self._settings)

    def __enter__(self) -> Self:
        try:
            if self._own_simulator:
                self.simulator.start()
            if self.postgres is not None and self.redis is not None:
                self.postgres.create()
                self.postgres.start()
                self.redis.start()
            self.operator = Operator(self.env, self.directory)
            self.operator.order("prepare")
            for _ in range(self._count):
                self.add_web()
        except BaseException:
            self.failed = True
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add_web(self, name: str | None = None, workers: int = 1, **env: str) -> Web:
        """One more web process; `env` is what is different about it. The others do not know of it."""
        web = Web(name or f"web{len(self.webs) + 1}", self.env | env, self.directory, workers)
        (self.webs if name is None else self._others).append(web)
        web.start()
        return web

    def add_worker(self, name: str, *roles: str) -> Worker:
        worker = Worker(name, roles, self.env, self.directory)
        self._others.append(worker)
        worker.start()
        return worker

    def operator_later(self, by: str) -> Operator | None:
        """An operator whose clock is ahead; None: that needs libfaketime."""
        library = libfaketime()
        return (
            Operator(self.env | {"LD_PRELOAD": library, "FAKETIME": by}, self.directory) if library else None
        )

    def remove(self, process: Process) -> None:
        process.terminate()
        self._others.remove(process)

    def close_breakers(self) -> None:
        """Where a row left a circuit open, processes anew and Redis empty: the next is judged alone."""
        if self.redis is None or not circuits_of_all(self.redis.url, "routeplex", (), 0):
            return
        for web in self.webs:
            web.kill()
        self.redis.flush()
        with ThreadPoolExecutor() as together:
            list(together.map(Web.start, self.webs))

    def close(self) -> None:
        for process in [*self._others, *self.webs]:
            process.kill()
        if hasattr(self, "operator"):
            self.operator.end()
        if self.redis is not None:
            self.redis.kill()
        if self.postgres is not None:
            self.postgres.stop("immediate")
        if self._own_simulator:
            self.simulator.kill()
        if self.failed or os.environ.get("KEEP"):
            print(f"the processes' logs are kept in {self.directory}")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
