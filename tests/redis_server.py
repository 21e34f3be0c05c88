"""A real Redis for tests: the one they were given, or one of their own that they may take away."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest
import redis


class RedisServer:
    """A Redis of the test's own, which it may take away and bring back."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(redis.RedisError), redis.Redis.from_url(self.url) as client:
                client.ping()
                return
            assert time.monotonic() < until, "Redis did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The Redis the tests were given, else one of their own, else the one of this machine."""
    if given := os.environ.get("REDIS_URL"):
        yield given
    elif shutil.which("redis-server"):
        server = RedisServer()
        server.start()
        yield server.url
        server.stop()
    else:
        yield "redis://127.0.0.1:6379/0"
