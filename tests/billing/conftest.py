"""Fixtures for the ledger: rows ready to be opened, and a writer that is closed after the test."""

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from billing.ledger import Ledger, apply
from billing.models import Request
from billing.windows import Payer
from billing.writer import GroupWriter
from routing.ids import new_request_id


@pytest.fixture
async def ledger(live_db: None) -> AsyncIterator[Ledger]:
    writer = GroupWriter(apply, patience_s=1.0)
    yield Ledger(writer)
    await writer.close()


@pytest.fixture
def new_row(account: Any) -> Callable[..., Request]:
    """Makes unsaved Request rows of one account and key."""
    from accounts.keys import create_key

    key, _ = create_key(account, "tests")

    def make(**fields: Any) -> Request:
        now = datetime.now(UTC)
        defaults: dict[str, Any] = {
            "id": new_request_id(),
            "account": account,
            "key": key,
            "created_at": now,
            "lease_until": now + timedelta(minutes=3),
            "door": "native",
            "mode": "routeplex-ai",
            "strategy": "auto",
            "routed_model": "m",
            "trace": {},
        }
        return Request(**defaults | fields)

    return make


def payer_of(row: Request, time_zone: str = "UTC") -> Payer:
    return Payer(row.account_id, row.key_id, time_zone)


class RedisServer:
    """A Redis of the tests' own, that can be stopped and started."""

    def __init__(self, directory: Any) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(
            [*command, "--dir", str(self._directory)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        with Redis.from_url(self.url) as client:
            deadline = time.monotonic() + 10
            while True:
                try:
                    client.ping()
                    return
                except RedisError:
                    assert time.monotonic() < deadline, "redis-server did not start"
                    time.sleep(0.02)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def redis_server(tmp_path: Any) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path)
    server.start()
    yield server
    server.stop()
