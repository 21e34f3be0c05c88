"""The targets of a measurement: RoutePlex, and the upstream and a bare ASGI application to compare it with.

The other gateways are in `peers`.
"""

import contextlib
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from pathlib import Path

import msgspec

from bench.speed.machine import GATEWAY_CORE, ROOT, free_port, running
from bench.speed.programs import VAR
from bench.speed.stores import Settings, store
from tests.chaos.services import environment

CHAT_PATH = "/v1/chat/completions"


class Gateway(msgspec.Struct, frozen=True):
    """A gateway that is starting. `pid` is None for the upstream itself."""

    version: str
    url: str
    model: str
    pid: int | None
    log: Path | None = None
    headers: dict[str, str] = {}
    keys: Path | None = None  # a file with an API key a line
    storage: Settings = {}  # of RoutePlex


class Target(msgspec.Struct, frozen=True):
    """A gateway that can be started in front of an upstream."""

    name: str
    start: Callable[[str], AbstractContextManager[Gateway]]  # given the upstream's base URL
    start_timeout_s: float = 60


@contextlib.contextmanager
def _direct(upstream_url: str) -> Iterator[Gateway]:
    yield Gateway("", upstream_url + CHAT_PATH, "gpt-4o-mini", None)


@contextlib.contextmanager
def floor(upstream_url: str) -> Iterator[Gateway]:
    port, log = free_port(), VAR / "floor.log"
    command = [*uvicorn("bench.speed.floor:application", port), "--lifespan", "off"]
    with running(command, log, GATEWAY_CORE, os.environ) as process:
        name = f"uvicorn {version('uvicorn')}, Python {platform.python_version()}"
        yield Gateway(name, f"http://127.0.0.1:{port}{CHAT_PATH}", "gpt-4o-mini", process.pid, log)


def uvicorn(application: str, port: int, workers: int = 1) -> list[str]:
    """The command that serves an application, with the options of `manage.py run`."""
    command = [sys.executable, "-m", "uvicorn", application, "--host", "127.0.0.1", "--port", str(port)]
    return [
        *command,
        "--workers",
        str(workers),
        "--no-access-log",
        "--no-proxy-headers",
        "--log-level",
        "warning",
    ]


@contextlib.contextmanager
def routeplex(
    upstream_url: str,
    model: str,
    store_name: str,
    *,
    keys: int = 1,
    workers: int = 1,
    cores: int | str = GATEWAY_CORE,
    **settings: str,
) -> Iterator[Gateway]:
    """RoutePlex as operators run it. The upstream answers for all three providers, each in its own format."""
    providers = {
        "OPENAI_API_KEY": "speed",
        "OPENAI_BASE_URL": f"{upstream_url}/v1",
        "ANTHROPIC_API_KEY": "speed",
        "ANTHROPIC_BASE_URL": upstream_url,
        "GEMINI_API_KEY": "speed",
        "GEMINI_BASE_URL": upstream_url,
    }
    with store(store_name) as storage:
        port = free_port()
        web = {"PORT": str(port), "WEB_WORKERS": str(workers), "SIMULATOR": "off", "UPSTREAMS": ""}
        env = environment(**providers | web | storage | settings)
        key_file = _prepared(env, storage, keys)
        headers = {"Authorization": f"Bearer {key_file.read_text().split()[0]}"} if keys == 1 else {}
        log = VAR / f"routeplex-{port}.log"
        command = uvicorn("routeplex_site.asgi:application", port, workers)
        with running(command, log, cores, env) as process:
            yield Gateway(
                _commit(),
                f"http://127.0.0.1:{port}{CHAT_PATH}",
                model,
                process.pid,
                log,
                headers,
                key_file if keys > 1 else None,
                storage,
            )


def _prepared(env: Settings, storage: Settings, keys: int) -> Path:
    """The file of API keys of a store that was empty."""
    command = [sys.executable, "-m", "bench.speed.prepare", str(keys)]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"preparing the store failed:\n{done.stderr}")
    file = Path(storage["VAR_DIR"]) / "keys"
    file.write_text(done.stdout)
    return file


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def own_targets(store_name: str) -> list[Target]:
    """RoutePlex when it chooses the model and when the request names one, then the two floors."""

    def start(model: str) -> Callable[[str], AbstractContextManager[Gateway]]:
        return lambda upstream_url: routeplex(upstream_url, model, store_name)

    return [
        Target("auto", start("auto")),
        Target("manual", start("gpt-4o-mini")),
        Target("floor", floor),
        Target("direct", _direct),
    ]
