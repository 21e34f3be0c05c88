"""Other gateways, from the package registries, each with the set-up that was fastest here.

They are installed below var/ at the first use, in the versions given here. One that cannot be installed is
left out of the measurement, and the table says so.
"""

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from bench.speed.machine import GATEWAY_CORE, free_port, running
from bench.speed.programs import VAR
from bench.speed.targets import CHAT_PATH, Gateway, Target

LITELLM = (
    "litellm[proxy]==1.108.7",
    "granian==2.8.9",
    "opentelemetry-api==1.45.2",
    "opentelemetry-sdk==1.45.2",
)
PORTKEY = ("@portkey-ai/gateway@1.15.2", "hono@4.9.7", "@hono/node-server@1.13.7")
TENSORZERO = ("tensorzero==2026.6.0",)
MODEL = "speed"
_KEY = "sk-speed-1234567890abcdef"
_INSTALL_S = 600
_WITHOUT_NETWORK = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "speed"}


class NotInstalled(RuntimeError):
    """A gateway cannot be had from its registry, or its runtime is missing."""


@contextlib.contextmanager
def _litellm(upstream_url: str) -> Iterator[Gateway]:
    python = _python_packages("litellm", LITELLM)
    port, log, config = free_port(), VAR / "litellm.log", VAR / "peers" / "litellm.json"
    parameters = {"model": f"openai/{MODEL}", "api_base": f"{upstream_url}/v1", "api_key": "speed"}
    models = [{"model_name": MODEL, "litellm_params": parameters}]
    # JSON is YAML too.
    config.write_bytes(msgspec.json.encode({"model_list": models, "general_settings": {"master_key": _KEY}}))
    command = [str(python.parent / "litellm"), "--config", str(config), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1", "--run_granian"]
    with running(command, log, GATEWAY_CORE, _environment(_WITHOUT_NETWORK), VAR) as process:
        yield Gateway(
            " + ".join(LITELLM[:2]).replace("==", " "),
            f"http://127.0.0.1:{port}{CHAT_PATH}",
            MODEL,
            process.pid,
            log,
            {"Authorization": f"Bearer {_KEY}"},
        )


@contextlib.contextmanager
def _portkey(upstream_url: str) -> Iterator[Gateway]:
    node, directory = _node_packages("portkey", PORTKEY)
    port, log = free_port(), VAR / "portkey.log"
    server = directory / "node_modules/@portkey-ai/gateway/build/start-server.js"
    env = _environment({"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"})
    command = [node, str(server), f"--port={port}", "--headless"]
    with running(command, log, GATEWAY_CORE, env, directory) as process:
        yield Gateway(
            PORTKEY[0].rpartition("@")[0] + " 1.15.2",
            f"http://127.0.0.1:{port}{CHAT_PATH}",
            MODEL,
            process.pid,
            log,
            {
                "Authorization": f"Bearer {_KEY}",
                "x-portkey-provider": "openai",
                "x-portkey-custom-host": f"{upstream_url}/v1",
            },
        )


@contextlib.contextmanager
def _tensorzero(upstream_url: str) -> Iterator[Gateway]:
    python = _python_packages("tensorzero", TENSORZERO)
    log, config = VAR / "tensorzero.log", VAR / "peers" / "tensorzero.toml"
    url_file = VAR / "peers" / "tensorzero.url"
    url_file.unlink(missing_ok=True)
    config.write_text(
        f"""[gateway]
observability.enabled = false

[models.{MODEL}]
routing = ["upstream"]

[models.{MODEL}.providers.upstream]
type = "openai"
model_name = "{MODEL}"
api_base = "{upstream_url}/v1/"
api_key_location = "env::OPENAI_API_KEY"
"""
    )
    # Its HTTP server is part of its Python package, where only its own tests start it.
    code = (
        "import pathlib, sys, time; from tensorzero import tensorzero;"
        "server = tensorzero._start_http_gateway(config_file=sys.argv[1], clickhouse_url=None,"
        " postgres_url=None, valkey_url=None, async_setup=False);"
        "pathlib.Path(sys.argv[2]).write_text(server.base_url); time.sleep(86400)"
    )
    command = [str(python), "-c", code, str(config), str(url_file)]
    with running(command, log, GATEWAY_CORE, _environment(_WITHOUT_NETWORK), VAR) as process:
        base_url = _url_in(url_file, process)
        yield Gateway(
            TENSORZERO[0].replace("==", " "),
            f"{base_url}/chat/completions",
            f"tensorzero::model_name::{MODEL}",
            process.pid,
            log,
        )


def _url_in(file: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        if file.exists() and (url := file.read_text()):
            return url.replace("0.0.0.0", "127.0.0.1").rstrip("/")  # noqa: S104
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.1)
            break
    raise NotInstalled(f"its server did not start; see {VAR / 'tensorzero.log'}")


def _python_packages(name: str, packages: Sequence[str]) -> Path:
    """The Python of an environment with these packages. Raises NotInstalled."""
    directory = VAR / "peers" / name
    python = directory / "bin" / "python"
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if uv is None:
        raise NotInstalled("uv is not installed")
    _install(
        directory,
        packages,
        [uv, "venv", "--quiet", "--python", sys.executable, str(directory)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *packages],
    )
    return python


def _node_packages(name: str, packages: Sequence[str]) -> tuple[str, Path]:
    """The path of node, and the folder with these packages. Raises NotInstalled."""
    directory = VAR / "peers" / name
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise NotInstalled("node and npm are not installed")
    directory.mkdir(parents=True, exist_ok=True)
    options = ["--silent", "--no-audit", "--no-fund", "--prefix", str(directory)]
    _install(directory, packages, [npm, "install", *options, *packages])
    return node, directory


def _install(directory: Path, packages: Sequence[str], *commands: Sequence[str]) -> None:
    done = directory / "installed"
    if done.exists() and done.read_text().split() == list(packages):
        return
    directory.parent.mkdir(parents=True, exist_ok=True)
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_S)  # noqa: S603
        except subprocess.CalledProcessError as error:
            reason = error.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise NotInstalled(f"cannot be installed: {reason[-1][:200]}") from error
        except subprocess.TimeoutExpired as error:
            raise NotInstalled(f"cannot be installed within {_INSTALL_S} s") from error
    done.write_text("\n".join(packages))


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without what would change another gateway."""
    unwanted = ("DATABASE_URL", "REDIS_URL", "PYTHONPATH", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if name not in unwanted} | dict(settings)


Start = Callable[[str], AbstractContextManager[Gateway]]
_STARTS: dict[str, Start] = {"LiteLLM": _litellm, "Portkey": _portkey, "TensorZero": _tensorzero}
PEERS = [Target(name, start, start_timeout_s=90) for name, start in _STARTS.items()]
