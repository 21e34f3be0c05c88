"""A separate RoutePlex, started as in the README; clients get only its address and a key."""

import contextlib
import json
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parent.parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
MODELS = ("gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash", "auto")
LONG = "Explain in detail how a compiler works."
QUESTION = "What is the weather in Paris? Use the get weather tool."
# The second turn of a conversation, which sends the first answer back; and what the simulator answers.
THANKS = "Reply with exactly: You are welcome to ask again."
WELCOME = "You are welcome to ask again."


@pytest.fixture(scope="session")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("var")


@pytest.fixture(scope="session")
def routeplex(var: Path) -> Iterator[str]:
    """Return its base URL."""
    with served(var, SIMULATOR="on", SIMULATOR_SPEED="0", SIMULATOR_PORT=str(free_port())) as url:
        yield url


def free_port() -> int:
    """Below the range that outgoing connections take theirs from, so that it stays free."""
    while True:
        port = random.randint(18_000, 31_000)  # noqa: S311
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def served(var: Path, **settings: str) -> Iterator[str]:
    """Run RoutePlex with these settings; yield its base URL."""
    port = free_port()
    settings |= {"PORT": str(port), "VAR_DIR": str(var), "WEB_WORKERS": "1"}
    url = f"http://localhost:{port}"
    with (var / "log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, "manage.py", "run"], cwd=ROOT, env=os.environ | settings, stdout=log, stderr=log
        )
        try:
            _wait(url, process, var / "log")
            yield url
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 120
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
def key(routeplex: str, var: Path) -> str:
    return key_of(var)


def key_of(var: Path) -> str:
    """Create a key of the RoutePlex that keeps its data in `var`."""
    created = subprocess.run(
        [PYTHON, "manage.py", "create_key", "--email", "me@example.com"],
        cwd=ROOT, env=os.environ | {"VAR_DIR": str(var)}, capture_output=True, text=True, check=True,
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
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would fetch a table when it is imported
    }
    return f"{routeplex}/v1"


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory, address: str, key: str) -> Callable[..., Any]:
    """Return a function that runs a script of `node/` for a model, and returns the JSON it prints.

    The clients are installed from their lock, once per run.
    """
    home, programs = tmp_path_factory.mktemp("node"), PYTHON.parent
    shutil.copytree(Path(__file__).parent / "node", home, dirs_exist_ok=True)
    environment = os.environ | {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [programs / "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    subprocess.run(command, cwd=home, env=environment, check=True, capture_output=True, timeout=180)

    def run(script: str, model: str) -> Any:
        settings = {
            "ROUTEPLEX_URL": address,
            "ROUTEPLEX_KEY": key,
            "ROUTEPLEX_MODEL": model,
            "LONG": LONG,
            "QUESTION": QUESTION,
            "THANKS": THANKS,
        }
        ran = subprocess.run(
            [programs / "node", script],
            cwd=home, env=environment | settings, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    return run
