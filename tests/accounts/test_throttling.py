"""Throttles hold over all web processes together, without Redis too."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.core.cache import caches
from django.db import connection

from accounts.models import Remembered, User
from accounts.registration import open_account
from tests.accounts.conftest import PASSWORD

ROOT = Path(__file__).parents[2]
GUESSES = 5  # allauth: wrong passwords for one address in five minutes


@pytest.fixture
def web_processes(live_db: None, tmp_path: Path) -> Iterator[list[str]]:
    """Two web processes on the tests' database, without Redis; their addresses."""
    addresses, processes = [], []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        processes.append(_web_process(port, tmp_path))
        addresses.append(f"http://127.0.0.1:{port}")
    try:
        for address in addresses:
            _await_ready(address)
        yield addresses
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)
        Remembered.objects.all().delete()


def _web_process(port: int, var: Path) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONDONTWRITEBYTECODE": "1",
        "VAR_DIR": str(var),
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "PORT": str(port),
    }
    command = [sys.executable, "-m", "uvicorn", "routeplex_site.asgi:application", "--port", str(port)]
    return subprocess.Popen([*command, "--log-level", "error"], cwd=ROOT, env=environment)


def _database_url() -> str:
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


def _await_ready(address: str) -> None:
    until = time.monotonic() + 30
    while True:
        with suppress(httpx.TransportError):
            if httpx.get(f"{address}/readyz").status_code == 200:
                return
        assert time.monotonic() < until, "the web process did not start"
        time.sleep(0.05)


def sign_in(address: str, email: str, password: str) -> httpx.Response:
    """As a browser of its own does."""
    with httpx.Client(base_url=address, timeout=30) as browser:
        form = browser.get("/accounts/login/").text
        match = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
        assert match is not None
        fields = {"csrfmiddlewaretoken": match.group(1), "login": email, "password": password}
        return browser.post("/accounts/login/", data=fields)


def test_two_web_processes_count_guesses_together(web_processes: list[str]) -> None:
    """At the same moment as well: counting is one step, not reading and then writing."""
    email = f"guessed.{time.time_ns()}@example.com"
    user = User.objects.create_user(email, PASSWORD)
    open_account(user, "unlimited")

    def guess(number: int) -> str:
        return sign_in(web_processes[number % 2], email, f"wrong {number}").text

    # Each process has a port of its own, and so a Host header: that must not make it another count.
    try:
        with ThreadPoolExecutor(4) as guessers:
            answers = list(guessers.map(guess, range(10)))
        refused = ["Too many" in answer for answer in answers]
        assert refused.count(False) <= GUESSES
        for address in web_processes:
            assert sign_in(address, email, PASSWORD).status_code != 302
    finally:
        user.accounts.all().delete()
        user.delete()


def test_without_redis_the_cache_is_the_database(db: None, settings: Any) -> None:
    """A cache in each process's memory would let N processes allow N times as much."""
    if settings.REDIS_URL:
        assert "Redis" in settings.CACHES["default"]["BACKEND"]
        return
    caches["default"].set("known-to-all", "yes", 60)
    assert Remembered.objects.filter(cache_key__contains="known-to-all").exists()
