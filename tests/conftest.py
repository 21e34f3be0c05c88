"""The tests' vocabulary: a simulator of the providers, a live server, accounts and their keys.

Live tests use real sockets and see committed rows. They never flush the database; each creates its own
account. The catalog is seeded once.
"""

import asyncio
import itertools
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import certifi
import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.redis_server import own_redis as own_redis
from tests.redis_server import redis_url as redis_url

os.environ.setdefault(
    "DJANGO_ALLOW_ASYNC_UNSAFE", "true"
)  # Playwright runs an event loop in the tests' thread

os.environ["ENCODER"] = "off"  # of servers that tests start: see pytest_configure

collect_ignore = ["ecosystem"]  # separate packages and command: make ecosystem
# Tests that store nothing, or that look at pages in a browser. What they see is the same on SQLite and
# PostgreSQL, so they run on SQLite only.
STORED_ALIKE = (
    "tests/bench",
    "tests/decide",
    "tests/encoder",
    "tests/journeys/test_accessible.py",
    "tests/test_house.py",
)
_numbers = itertools.count(1)

# How long an example takes, or its generation, depends on how busy the machine is.
hypothesis_settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("tests")


def pytest_configure(config: pytest.Config) -> None:
    """Make decisions repeatable and passwords cheap to hash; give each worker its own Redis database."""
    from django.conf import settings

    settings.EXPLORATION_DRAW = lambda: 0.0  # automatic decisions explore nothing
    settings.STATIC_ROOT = tempfile.mkdtemp()  # not what an earlier collectstatic left in the developer's own
    settings.ENCODER = "off"  # a second look within 40 ms depends on how busy the machine is
    # The default hasher takes 0.2 s per account.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    os.environ["SSL_CERT_FILE"] = _one_certificate()
    _skip_disk_flushes(settings.DATABASES["default"])
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    settings.REDIS_PREFIX = f"test-{worker}-{os.getpid()}"
    if settings.REDIS_URL:
        address, _, number = settings.REDIS_URL.rpartition("/")
        settings.CACHES["default"]["LOCATION"] = f"{address}/{int(number) + int(worker[2:])}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL, leave out what `STORED_ALIKE` names, unless the command line names it too."""
    from django.conf import settings

    if "sqlite3" in settings.DATABASES["default"]["ENGINE"]:
        return
    alike = [path for path in STORED_ALIKE if not any(argument.startswith(path) for argument in config.args)]
    left_out = [item for item in items if item.nodeid.startswith(tuple(alike))]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if not item.nodeid.startswith(tuple(alike))]


def _one_certificate() -> str:
    """Path of a file with one certificate authority.

    No test calls the internet, but each HTTP client of a test, and each server that it starts, reads all
    authorities: 45 ms with certifi's own file.
    """
    end = "-----END CERTIFICATE-----\n"
    first, _, _ = Path(certifi.where()).read_text().partition(end)
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(first + end)
    return file.name


def _skip_disk_flushes(database: dict[str, Any]) -> None:
    """Let this process's connections not wait until the disk has a commit, 1 to 5 ms each.

    Only a machine that loses power needs it, not a killed process. Servers that tests start keep it.
    """
    options = database["OPTIONS"]
    if "sqlite3" in database["ENGINE"]:
        full, off = "PRAGMA synchronous=FULL", "PRAGMA synchronous=OFF"
        assert full in options["init_command"]
        options["init_command"] = options["init_command"].replace(full, off)
    else:
        options["options"] = f"{options.get('options', '')} -c synchronous_commit=off".strip()


class Simulator:
    """The three providers, simulated by a separate process."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.Client(base_url=url, timeout=10)

    def fault(self, **fault: Any) -> None:
        """Inject one fault, e.g. `fault(provider="openai", kind="status", status=500, count=1)`."""
        self._http.post("/_control/faults", json=fault).raise_for_status()

    def calls(self, **filters: str) -> list[dict[str, Any]]:
        return self._http.get("/_control/calls", params=filters).raise_for_status().json()["calls"]

    def reset(self) -> None:
        self._http.delete("/_control/faults").raise_for_status()
        self._http.delete("/_control/calls").raise_for_status()


@pytest.fixture(scope="session")
def _simulator_process() -> Iterator[Simulator]:
    command = [sys.executable, "-m", "routing.simulator", "--port", "0", "--speed", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        yield Simulator(url)
        process.terminate()


@pytest.fixture
def simulator(_simulator_process: Simulator) -> Iterator[Simulator]:
    """The simulator without faults and with an empty list of calls."""
    _simulator_process.reset()
    yield _simulator_process
    _simulator_process.reset()


@pytest.fixture(scope="session", autouse=True)
def _patient_redis() -> Iterator[None]:
    """Give Redis calls more time than in production, so that a busy machine causes no apparent outage."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("billing.ledger.redis_rate_limits._TIMEOUT_S", 3.0)
        patched.setattr("routing.state.encrypted_store._TIMEOUT_S", 3.0)
        patched.setattr("routing.state.conversations._TIMEOUT_S", 3.0)
        yield


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """Always create the test database: pytest-django creates none when only live tests run."""
    from django.core.management import call_command
    from django.test.utils import setup_databases, teardown_databases

    with django_db_blocker.unblock():
        databases = setup_databases(verbosity=0, interactive=False, aliases={"default"})
        call_command("seed", verbosity=0)
        _postpone_retirements()
    yield
    with django_db_blocker.unblock():
        _close_other_connections()
        teardown_databases(databases, verbosity=0)


def _postpone_retirements() -> None:
    from tests.evergreen import postpone_retirements  # imports models, so not before Django is set up

    postpone_retirements()


def _close_other_connections() -> None:
    """Close other connections: PostgreSQL drops no database that the live server is connected to."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )


@pytest.fixture(scope="session")
def _live_server(
    _simulator_process: Simulator, django_db_setup: None, django_db_blocker: Any
) -> Iterator[str]:
    from django.conf import settings
    from django.test import override_settings

    listener = socket.socket()
    # Small, so that a caller who does not read is noticed after some 100 KB rather than 4 MB.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
    listener.bind(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    paths = {"openai": "/v1", "anthropic": "", "google": ""}
    providers = [
        provider
        | {
            "base_url": _simulator_process.url + paths[provider["name"]],
            "api_key": "the-operators-own-5e3f77aa",
        }
        for provider in settings.PROVIDERS
    ]
    overrides = {
        "PROVIDERS": providers,
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FIRST_BYTE_TIMEOUT_S": 1.0,
        "FIRST_BYTE_PATIENCE": 0.0,
        "IDLE_TIMEOUT_S": 1.0,
        "REQUEST_TIMEOUT_S": 20.0,
    }
    with django_db_blocker.unblock(), override_settings(**overrides):
        from routeplex_site.asgi import application

        server = uvicorn.Server(uvicorn.Config(application, log_level="warning", access_log=False))
        serve = server.serve
        thread = threading.Thread(target=lambda: asyncio.run(serve(sockets=[listener])), daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def server(_live_server: str, simulator: Simulator, live_db: None) -> str:
    """The base URL of a live server that uses the simulator; earlier failures are forgotten."""
    from routing.state import runtime

    for alive in runtime.alive():
        alive.breaker.reset()
    return _live_server


@pytest.fixture
def live_db(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """Committed access to the test database, as the live server has it; nothing is rolled back."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def account(live_db: None) -> Any:
    """A new account without limits, with one member."""
    from accounts.models import Account, Member, Plan, User

    user = User.objects.create_user(f"person{next(_numbers)}.{os.getpid()}@example.com", "correct-horse-9")
    account = Account.objects.create(name="Tests", plan=Plan.objects.get(pk="unlimited"))
    Member.objects.create(account=account, user=user)
    return account


@pytest.fixture
def api_key(account: Any) -> str:
    """The secret of a new key without limits."""
    from accounts.keys import create_key

    return create_key(account, "tests")[1]


@pytest.fixture
def http(server: str, api_key: str) -> Iterator[httpx.Client]:
    """An HTTP client with the key set."""
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=server, headers=headers, timeout=30) as client:
        yield client
