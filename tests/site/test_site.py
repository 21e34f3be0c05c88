"""The frame: liveness, readiness, refusals, and settings that are fit for production."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from django.db import OperationalError
from django.http import HttpResponse
from django.test import Client, RequestFactory

from routeplex_site.middleware import DatabaseAway

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.django_db
def test_it_is_alive_and_ready(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.json()["catalog"]) == (200, "ok")


@pytest.mark.parametrize("path", ["/api/v1/models", "/v1/models"])
def test_a_strange_host_gets_json_below_the_apis_paths(server: str, path: str) -> None:
    response = httpx.get(server + path, headers={"Host": "evil.example"})
    assert response.status_code == 400
    assert response.json()["error"]["code"] == "bad_request"


def test_every_response_has_a_request_id(server: str) -> None:
    for path in ("/", "/healthz", "/api/v1/models", "/nowhere"):
        assert httpx.get(server + path).headers["x-request-id"].startswith("req_")


def test_a_body_over_the_limit_is_refused_while_it_is_read(http: httpx.Client) -> None:
    response = http.post("/api/v1/chat", content=b" " * (20 * 1024 * 1024 + 1))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == "payload_too_large"


def test_production_settings_pass_djangos_deployment_check(tmp_path: Path) -> None:
    environment = os.environ | {
        "PUBLIC_URL": "https://routeplex.example.com",
        "ALLOWED_HOSTS": "routeplex.example.com",
        "SECRET_KEY": "a-long-enough-key-for-this-check-" * 3 + "0123456789!@#",
        "OPENAI_API_KEY": "sk-test",
        "VAR_DIR": str(tmp_path),
    }
    del environment["DJANGO_ALLOW_ASYNC_UNSAFE"]  # ours, for the tests' browser
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(("path", "kind"), [("/requests/", "text/html"), ("/api/v1/requests", "json")])
def test_a_database_that_is_away_is_a_503_with_retry_after(path: str, kind: str) -> None:
    request = RequestFactory().get(path)
    away = OperationalError("could not connect to server at db.internal")
    response = DatabaseAway(lambda request: HttpResponse()).process_exception(request, away)
    assert response is not None
    assert (response.status_code, response["Retry-After"]) == (503, "5")
    assert kind in response["Content-Type"]
    assert b"db.internal" not in response.content


def test_files_are_for_the_user_of_the_process_alone(tmp_path: Path) -> None:
    var = tmp_path / "var"
    var.mkdir(mode=0o755)
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(var), "SIMULATOR": "on"}
    command = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    assert {path.name for path in var.iterdir()} >= {"routeplex.sqlite3", "secret_key", "queue"}
    for path in (var, *var.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize(("simulator", "when"), [("off", "mandatory"), ("on", "optional")])
def test_addresses_are_confirmed_first_where_providers_are_live(
    tmp_path: Path, simulator: str, when: str
) -> None:
    """Otherwise signing up shows which addresses have an account."""
    environment = {"PATH": os.environ["PATH"], "VAR_DIR": str(tmp_path), "SIMULATOR": simulator}
    code = "from routeplex_site import settings; print(settings.ACCOUNT_EMAIL_VERIFICATION)"
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [when]


def test_the_icon_is_where_browsers_look_for_it(client: Client) -> None:
    icon = client.get("/favicon.ico")
    assert icon.status_code == 200
    assert icon.content[:4] == b"\x00\x00\x01\x00"


def test_run_refuses_a_port_that_another_program_holds() -> None:
    """It used to migrate, and then to announce the other program's answers as its own."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        environment = os.environ | {"PORT": str(other.getsockname()[1]), "HOST": "127.0.0.1"}
        ran = subprocess.run(
            [sys.executable, "manage.py", "run"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert ran.returncode != 0
    assert "cannot be used" in ran.stderr
    assert "RoutePlex is at" not in ran.stdout
