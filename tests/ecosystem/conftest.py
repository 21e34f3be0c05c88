"""A separate RoutePlex, started as in the README; clients get only its address and a key."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
MODELS = ("gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash", "auto")
LONG = "Explain in detail how a compiler works."
QUESTION = "What is the weather in Paris? Use the get weather tool."


@pytest.fixture(scope="session")
def routeplex(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return its base URL."""
    with socket.socket() as web, socket.socket() as upstream:
        web.bind(("127.0.0.1", 0))
        upstream.bind(("127.0.0.1", 0))
        port, simulator = web.getsockname()[1], upstream.getsockname()[1]
    var = tmp_path_factory.mktemp("var")
    environment = os.environ | {
        "PORT": str(port),
        "SIMULATOR_PORT": str(simulator),
        "SIMULATOR_SPEED": "0",
        "VAR_DIR": str(var),
    }
    os.environ |= {"VAR_DIR": str(var)}
    url = f"http://localhost:{port}"
    with (var / "log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "manage.py", "run"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            _wait(url, process, var / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    pytest.fail(log.read_text())


@pytest.fixture(scope="session")
def key(routeplex: str) -> str:
    created = subprocess.run(
        [PYTHON, "manage.py", "create_key", "--email", "me@example.com"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return created.stdout.strip()


@pytest.fixture(scope="session", autouse=True)
def address(routeplex: str, key: str) -> str:
    """Return its `/v1` address, and set the environment variables that the clients read."""
    os.environ |= {
        "OPENAI_BASE_URL": f"{routeplex}/v1",
        "OPENAI_API_BASE": f"{routeplex}/v1",
        "OPENAI_API_KEY": key,
        "ANTHROPIC_BASE_URL": routeplex,
        "ANTHROPIC_API_KEY": key,
    }
    return f"{routeplex}/v1"


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)
