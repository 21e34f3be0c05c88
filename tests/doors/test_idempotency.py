"""Requests with an Idempotency-Key: answered and charged once, told again byte for byte (spec/ledger.md)."""

import os
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection
from openai import ConflictError, OpenAI

from accounts.keys import create_key
from accounts.models import Account, Plan
from billing.ledger import idempotency
from billing.ledger.idempotency import forget_expired
from billing.models import IdempotentOutcome, Request, WebProcess
from tests.conftest import Simulator
from tests.doors.conftest import Door, events

MANUAL = "gpt-4o"
PATIENCE_S = 10.0


class Asking:
    """One request that can be repeated: a door, streamed or not, under a key of its own."""

    def __init__(self, door: Door, streamed: bool) -> None:
        self.door, self.streamed = door, streamed
        self.key = uuid.uuid4().hex

    def ask(self, key: str | None = None, **fields: Any) -> httpx.Response:
        told = {"Idempotency-Key": key or self.key}
        mode = {"stream_mode": "realtime"} if self.streamed and self.door.name == "native" else {}
        return self.door.ask(headers=told, **({"model": MANUAL, "stream": self.streamed} | mode | fields))

    @property
    def outcome(self) -> IdempotentOutcome | None:
        return IdempotentOutcome.objects.filter(key=self.key).first()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def asking(door: Door, request: pytest.FixtureRequest) -> Asking:
    """Every test that takes it runs at both doors, streamed and not."""
    return Asking(door, request.param)


def rows(account: Account) -> list[Request]:
    return list(Request.objects.filter(account=account).order_by("created_at"))


def told(response: httpx.Response) -> dict[str, str]:
    """The headers that are the application's; the server adds its own."""
    return {
        name: value
        for name, value in response.headers.items()
        if name not in ("date", "server", "idempotency-replayed", "transfer-encoding")
    }


def until(seen: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (found := seen()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return found


def test_the_same_request_again_gets_the_same_answer_and_costs_nothing(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    first, second = asking.ask(), asking.ask()
    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert told(second) == told(first)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    (row,) = rows(account)
    assert (row.status, row.pk) == (Request.Status.SUCCEEDED, second.headers["x-request-id"])
    assert row.cost_usd is not None
    assert row.cost_usd > 0
    assert len(simulator.calls()) == 1
    if asking.streamed:
        assert events(second) == events(first)


def test_a_text_beyond_latin_1_is_told_again_as_it_was(asking: Asking) -> None:
    question = [{"role": "user", "content": "Repeat exactly: Zürich 東京 🙂 line"}]
    assert asking.ask(messages=question).content == asking.ask(messages=question).content


def test_what_is_kept_lies_in_the_database_unreadable(asking: Asking) -> None:
    asking.ask()
    kept = asking.outcome
    assert kept is not None
    assert kept.body is not None
    assert b"Paris" not in bytes(kept.body)


@pytest.mark.parametrize("other", [{"max_tokens": 9}, {"temperature": 0.5}])
def test_another_body_under_the_same_key_is_a_conflict(
    asking: Asking, account: Account, simulator: Simulator, other: dict[str, Any]
) -> None:
    if asking.door.name == "native":
        other = {"max_output_tokens": 9} if "max_tokens" in other else other
    asking.ask()
    refused = asking.ask(**other)
    assert (refused.status_code, asking.door.code(refused)) == (409, "idempotency_conflict")
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_another_steering_header_or_door_is_a_conflict(
    native: Door, openai_door: Door, account: Account
) -> None:
    key = {"Idempotency-Key": uuid.uuid4().hex}
    assert openai_door.ask(headers=key).status_code == 200
    assert openai_door.ask(headers=key | {"X-RoutePlex-Strategy": "cost"}).status_code == 409
    assert native.ask(headers=key).status_code == 409
    assert openai_door.ask(headers=key | {"User-Agent": "another"}).status_code == 200
    assert len(rows(account)) == 1


def test_another_accounts_key_of_the_same_name_is_another_key(
    asking: Asking, server: str, account: Account, simulator: Simulator
) -> None:
    other = Account.objects.create(name="Others", plan=Plan.objects.get(pk="unlimited"))
    asking.ask()
    with httpx.Client(base_url=server, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {create_key(other, 'tests')[1]}"
        theirs = Asking(Door(http, asking.door.name), asking.streamed)
        answer = theirs.ask(asking.key)
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers
    assert len(rows(account)) == len(rows(other)) == 1


def test_twenty_twins_make_one_call_and_get_one_answer(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.5, count=1)
    with ThreadPoolExecutor(20) as pool:
        answers = [one.result() for one in [pool.submit(asking.ask) for _ in range(20)]]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-request-id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_a_twin_with_another_body_conflicts_while_the_first_still_runs(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.5, count=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(asking.ask)
        until(lambda: asking.outcome)
        assert asking.ask(temperature=0.5).status_code == 409
        assert first.result().status_code == 200
    assert len(rows(account)) == 1


def test_a_failure_that_was_not_charged_is_not_kept(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500)
    failed = asking.ask()
    assert failed.status_code in (502, 503)
    assert asking.outcome is None
    simulator.reset()
    _forget_failures()
    again = asking.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    assert [row.status for row in rows(account)] == [Request.Status.FAILED, Request.Status.SUCCEEDED]


def test_a_twin_of_a_failing_request_tries_itself(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500)
    with ThreadPoolExecutor(2) as pool:
        answers = [one.result() for one in [pool.submit(asking.ask) for _ in range(2)]]
    assert {answer.status_code for answer in answers} <= {502, 503}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert [row.status for row in rows(account)] == [Request.Status.FAILED] * 2
    assert asking.outcome is None


def test_a_request_that_is_refused_leaves_the_key_free(asking: Asking, account: Account) -> None:
    refused = asking.ask(model="nobody-knows")
    assert (refused.status_code, asking.door.code(refused)) == (400, "invalid_model")
    assert asking.ask().status_code == 200


def test_who_hangs_up_finds_the_whole_answer_later(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.6, count=1)
    headers = {"Idempotency-Key": asking.key}
    body = asking.door.body(model=MANUAL, stream=asking.streamed)
    with pytest.raises(httpx.ReadTimeout):
        asking.door.http.post(asking.door.path, json=body, headers=headers, timeout=0.3)
    answer = asking.door.http.post(asking.door.path, json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["idempotency-replayed"] == "true"
    assert "Paris" in answer.text
    (row,) = rows(account)
    assert row.status == Request.Status.SUCCEEDED
    assert len(simulator.calls()) == 1


def test_who_leaves_in_the_middle_of_a_stream_finds_all_of_it_later(
    door: Door, account: Account, simulator: Simulator
) -> None:
    asking = Asking(door, streamed=True)
    simulator.fault(kind="stall", after_chunks=2, delay_s=0.5, count=1)
    headers = {"Idempotency-Key": asking.key}
    body = door.body(model=MANUAL, stream=True)
    with door.http.stream("POST", door.path, json=body, headers=headers) as response:
        begun = next(response.iter_bytes())
    answer = door.http.post(door.path, json=body, headers=headers)
    assert answer.content.startswith(begun)
    assert "error" not in answer.text
    events(answer)  # whole: it ends with [DONE]
    (row,) = rows(account)
    assert row.status == Request.Status.SUCCEEDED


def test_after_a_day_the_key_is_free(asking: Asking, account: Account) -> None:
    asking.ask()
    IdempotentOutcome.objects.filter(key=asking.key).update(expires_at=datetime.now(UTC))
    again = asking.ask(temperature=0.5)
    assert again.status_code == 200
    assert len(rows(account)) == 2


def test_expired_outcomes_are_deleted(asking: Asking) -> None:
    asking.ask()
    forget_expired(datetime.now(UTC))
    assert asking.outcome is not None
    forget_expired(datetime.now(UTC) + timedelta(hours=25))
    assert asking.outcome is None


def _left_claim(account: Account, asking: Asking, **fields: Any) -> IdempotentOutcome:
    """The claim of the asking's request, as a crashed process leaves it; known by its fingerprint."""
    asking.ask()
    kept = asking.outcome
    assert kept is not None
    IdempotentOutcome.objects.filter(pk=kept.pk).update(
        status=None, headers=None, body=None, **({"request_id": "req_crashed"} | fields)
    )
    return kept


def test_the_claim_of_a_dead_request_is_taken_over_when_its_lease_is_past(
    asking: Asking, account: Account
) -> None:
    _left_claim(account, asking, lease_until=datetime.now(UTC))
    again = asking.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    assert asking.ask().content == again.content


def test_the_claim_of_a_dead_process_is_taken_over_before_its_lease_is_past(
    asking: Asking, account: Account
) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    dead = WebProcess.objects.create(
        pk=uuid.uuid4().hex, host="h", pid=1, started_at=long_ago, seen_at=long_ago, missed_at=long_ago
    )
    _left_claim(account, asking, owner=dead.pk)
    again = asking.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    dead.delete()


def test_a_request_charged_by_a_process_that_died_before_keeping_its_answer_is_not_charged_again(
    asking: Asking, account: Account, simulator: Simulator
) -> None:
    kept = _left_claim(account, asking)
    IdempotentOutcome.objects.filter(pk=kept.pk).update(
        request_id=kept.request_id, lease_until=datetime.now(UTC)
    )
    for _ in range(2):
        refused = asking.ask()
        assert (refused.status_code, asking.door.code(refused)) == (409, "idempotency_not_replayable")
        assert kept.request_id in refused.text
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_an_open_request_of_a_dead_process_is_settled_before_its_key_is_taken_over(
    asking: Asking, account: Account
) -> None:
    kept = _left_claim(account, asking)
    first = rows(account)[0]
    past = datetime.now(UTC) - timedelta(seconds=1)
    Request.objects.filter(pk=first.pk).update(
        status="open", settled_at=None, cost_usd=None, held_usd=0, lease_until=past
    )
    IdempotentOutcome.objects.filter(pk=kept.pk).update(request_id=first.pk, lease_until=past)
    assert asking.ask().status_code == 200
    assert [row.status for row in rows(account)] == [Request.Status.EXPIRED, Request.Status.SUCCEEDED]


def test_an_answer_too_large_to_keep_is_given_once_and_never_charged_twice(
    asking: Asking, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing.doors.shared import idempotency as once

    monkeypatch.setattr(idempotency, "MOST_BYTES", 100)
    monkeypatch.setattr(once, "MOST_BYTES", 100)
    assert asking.ask().status_code == 200
    refused = asking.ask()
    assert (refused.status_code, asking.door.code(refused)) == (409, "idempotency_not_replayable")
    assert len(rows(account)) == 1


def test_an_account_keeps_no_more_than_its_share(
    asking: Asking, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_BYTES_OF_ACCOUNT", 100)
    asking.ask()
    assert asking.ask().status_code == 409
    assert len(rows(account)) == 1


def test_an_answer_sealed_with_a_lost_secret_is_not_charged_again(
    asking: Asking, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking.ask()
    monkeypatch.setattr(settings, "SECRET_KEY", "another-secret-key-without-a-fallback-to-the-old-one")
    refused = asking.ask()
    assert (refused.status_code, asking.door.code(refused)) == (409, "idempotency_not_replayable")
    assert len(rows(account)) == 1


def test_a_stream_that_broke_off_after_it_was_charged_is_told_again_and_not_charged_again(
    door: Door, account: Account, simulator: Simulator
) -> None:
    asking = Asking(door, streamed=True)
    simulator.fault(kind="cut", after_chunks=3, count=1)
    told = {"rescue": False} if door.name == "native" else {}
    headers = {"Idempotency-Key": asking.key, "X-RoutePlex-Rescue": "false"}
    body = door.body(model=MANUAL, stream=True, **told)
    first, second = [door.http.post(door.path, json=body, headers=headers) for _ in range(2)]
    assert "error" in first.text
    assert second.content == first.content
    (row,) = rows(account)
    assert row.status == Request.Status.PARTIAL
    assert row.cost_usd
    assert row.cost_usd > 0


def test_without_a_database_to_claim_in_nobody_is_asked(
    asking: Asking, account: Account, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(settings, "DATABASE_PATIENCE_S", 0.1)
    monkeypatch.setattr(idempotency, "claim", away)
    refused = asking.ask()
    assert (refused.status_code, asking.door.code(refused)) == (503, "service_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert simulator.calls() == []


def test_without_a_key_every_request_is_a_new_one(door: Door, account: Account, simulator: Simulator) -> None:
    first, second = door.ask(model=MANUAL), door.ask(model=MANUAL)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(rows(account)) == len(simulator.calls()) == 2
    assert not IdempotentOutcome.objects.filter(account=account).exists()


def test_the_openai_client_takes_an_answer_that_is_told_again(
    server: str, api_key: str, account: Account, simulator: Simulator
) -> None:
    client = OpenAI(base_url=f"{server}/v1", api_key=api_key, max_retries=0)
    key = {"Idempotency-Key": uuid.uuid4().hex}
    question: Any = {"model": MANUAL, "messages": [{"role": "user", "content": "Say hello."}]}
    whole = [client.chat.completions.create(**question, extra_headers=key) for _ in range(2)]
    assert whole[0] == whole[1]
    with pytest.raises(ConflictError) as refused:
        client.chat.completions.create(**question, temperature=0.5, extra_headers=key)
    assert refused.value.code == "idempotency_conflict"
    key = {"Idempotency-Key": uuid.uuid4().hex}
    streams = [
        list(client.chat.completions.create(**question, stream=True, extra_headers=key)) for _ in range(2)
    ]
    assert streams[0] == streams[1]
    assert len(rows(account)) == len(simulator.calls()) == 2


def _database_url() -> str:
    """Of the tests' own database, for another process."""
    told = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{told['NAME']}"
    return f"postgres://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"


@contextmanager
def another_process(simulator_url: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The base URL of another web process on the same database, a process indeed, and the process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {
        "DATABASE_URL": _database_url(),
        "SECRET_KEY": settings.SECRET_KEY,
        "SIMULATOR": "on",
        "SIMULATOR_URL": simulator_url,
        "REDIS_URL": "",
    }
    command = [sys.executable, "-m", "uvicorn", "routeplex_site.asgi:application", "--port", str(port)]
    with subprocess.Popen([*command, "--log-level", "warning"], env=environment) as process:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, "the second process did not start"
            assert time.monotonic() < deadline, "the second process did not start in time"
            try:
                httpx.get(f"{url}/healthz", timeout=1).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield url, process
        process.terminate()


@pytest.fixture(scope="session")
def second_process(_live_server: str, _simulator_process: Simulator) -> Iterator[str]:
    with another_process(_simulator_process.url) as (url, _):
        yield url


def test_a_twin_at_another_process_waits_for_the_first(
    asking: Asking, second_process: str, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.6, count=1)
    headers = asking.door.http.headers
    with (
        httpx.Client(base_url=second_process, headers=headers, timeout=30) as elsewhere,
        ThreadPoolExecutor(6) as pool,
    ):
        there = Asking(Door(elsewhere, asking.door.name), asking.streamed)
        there.key = asking.key
        futures = [pool.submit(one.ask) for _ in range(3) for one in (asking, there)]
        answers = [one.result() for one in futures]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_the_request_of_a_process_that_was_killed_is_made_again_and_charged_once(
    native: Door, account: Account, simulator: Simulator
) -> None:
    asking = Asking(native, streamed=False)
    simulator.fault(kind="delay", delay_s=8, count=1)
    with (
        another_process(simulator.url) as (url, process),
        httpx.Client(base_url=url, headers=native.http.headers, timeout=30) as elsewhere,
        ThreadPoolExecutor(1) as pool,
    ):
        there = Asking(Door(elsewhere, "native"), streamed=False)
        there.key = asking.key
        lost = pool.submit(there.ask)
        until(simulator.calls)
        process.kill()
        with pytest.raises(httpx.TransportError):
            lost.result()
    (left,) = rows(account)
    assert left.status == Request.Status.OPEN
    silent = datetime.now(UTC) - timedelta(seconds=settings.PROCESS_SILENCE_S * 2)
    WebProcess.objects.filter(pk=left.owner).update(seen_at=silent, missed_at=silent)
    answer = asking.ask()
    assert answer.status_code == 200
    assert asking.ask().content == answer.content
    first, second = rows(account)
    assert (first.status, first.cost_usd) == (Request.Status.EXPIRED, 0)
    assert second.status == Request.Status.SUCCEEDED


def _forget_failures() -> None:
    from routing.state import runtime

    for alive in runtime.alive():
        alive.breaker.reset()
