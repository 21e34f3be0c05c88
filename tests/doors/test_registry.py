"""The list of doors is the only place that knows them all: an invented fifth door needs one entry there."""

import ast
import asyncio
import importlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from django.urls import clear_url_caches

import routeplex_site.urls
import routing.doors.urls
from billing.models import Request
from routing.doors import registry
from tests.conftest import Simulator
from tests.doors import say_door

ROOT = Path(__file__).resolve().parents[2]
DOORS = registry.DOORS  # before a fixture adds one


def _reload_urls() -> None:
    importlib.reload(routing.doors.urls)
    importlib.reload(routeplex_site.urls)
    clear_url_caches()


@pytest.fixture(scope="module")
def five_doors(_live_server: str) -> Iterator[str]:
    """The base URL of a second server that has the invented door too, after one entry in the list."""
    from routeplex_site.asgi import Handler

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "DOORS", (*registry.DOORS, say_door.DOOR))
        _reload_urls()
        server = uvicorn.Server(
            uvicorn.Config(Handler(), host="127.0.0.1", port=port, log_level="warning", access_log=False)
        )
        thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            assert time.monotonic() < deadline, "the server did not start in time"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
        server.should_exit = True
        thread.join(timeout=10)
    _reload_urls()


@pytest.fixture
def say(five_doors: str, server: str, api_key: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {api_key}"}
    with httpx.Client(base_url=five_doors, headers=headers, timeout=30) as client:
        yield client


def test_a_fifth_door_answers_whole(say: httpx.Client) -> None:
    response = say.post("/v1/say", json={"say": "What is the capital of France?"})
    assert response.json() == {"text": "The capital of France is Paris."}
    row = Request.objects.get(pk=response.headers["x-request-id"])
    assert (row.door, row.status) == ("say", Request.Status.SUCCEEDED)


def test_a_fifth_door_answers_streamed(say: httpx.Client) -> None:
    response = say.post("/v1/say", json={"say": "What is the capital of France?", "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line.removeprefix("data: ")) for line in response.text.split("\n\n") if line]
    assert len(events) > 1
    assert "".join(event["text"] for event in events) == "The capital of France is Paris."


def test_a_fifth_door_has_idempotency(say: httpx.Client, simulator: Simulator) -> None:
    body, key = {"say": "What is the capital of France?"}, {"Idempotency-Key": "fifth"}
    first, second = (say.post("/v1/say", json=body, headers=key) for _ in range(2))
    assert second.headers["idempotency-replayed"] == "true"
    assert second.content == first.content
    assert len(simulator.calls()) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/v1/say", {"say": 5}, 400, "validation_error"),
        ("GET", "/v1/say", None, 405, "method_not_allowed"),
        ("POST", "/v1/say/louder", {}, 404, "not_found"),
    ],
)
def test_a_fifth_door_has_its_own_form_of_errors(
    say: httpx.Client, method: str, path: str, body: Any, status: int, code: str
) -> None:
    response = say.request(method, path, json=body)
    assert response.status_code == status
    assert response.json() == {"failure": code, "id": response.headers["x-request-id"]}


def test_a_fifth_door_has_its_own_form_of_errors_for_providers(
    say: httpx.Client, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500, count=3)
    response = say.post("/v1/say", json={"say": "Hello"})
    assert (response.status_code, response.json()["failure"]) == (503, "all_providers_failed")


def test_the_other_doors_do_not_change(say: httpx.Client) -> None:
    assert set(say.post("/v1/nothing", json={}).json()["error"]) == {"message", "type", "param", "code"}


def test_only_the_list_of_doors_imports_a_doors_folder() -> None:
    folders = {path.parent.name for path in (ROOT / "routing" / "doors").glob("*/door.py")} - {"shared"}
    assert len(folders) == len(DOORS)
    importers = set()
    for room in ("accounts", "billing", "core", "routing", "routeplex_site"):
        for path in (ROOT / room).rglob("*.py"):
            modules = [
                node.module
                for node in ast.walk(ast.parse(path.read_text()))
                if isinstance(node, ast.ImportFrom) and node.module
            ]
            for folder in folders - {path.parent.name}:
                if any(f"{module}.".startswith(f"routing.doors.{folder}.") for module in modules):
                    importers.add(path.relative_to(ROOT).as_posix())
    assert importers == {"routing/doors/registry.py"}


@pytest.mark.parametrize("path", [path for door in DOORS for path in door.fast_paths])
def test_every_path_of_a_door_is_on_the_fast_path(http: httpx.Client, path: str) -> None:
    """The fast path has no middleware, so its responses have no header of one."""
    assert "x-frame-options" in http.get("/api/v1/models").headers
    response = http.post(path, json={})
    assert response.status_code == 400
    assert "x-frame-options" not in response.headers
