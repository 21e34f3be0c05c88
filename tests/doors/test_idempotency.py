"""Requests with an Idempotency-Key are answered and charged once; repetitions get the same bytes."""

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
from tests.doors.conftest import Door

MANUAL = "gpt-4o"
PATIENCE_S = 10.0


class Call:
    """One request that can be repeated: at a door, streamed or whole, with its own key."""

    def __init__(self, door: Door, streamed: bool) -> None:
        self.door, self.streamed = door, streamed
        self.key = uuid.uuid4().hex

    def ask(self, key: str | None = None, **fields: Any) -> httpx.Response:
        headers = {"Idempotency-Key": key or self.key}
        mode = self.door.format.realtime if self.streamed else {}
        return self.door.ask(headers=headers, **({"model": MANUAL, "stream": self.streamed} | mode | fields))

    @property
    def outcome(self) -> IdempotentOutcome | None:
        return IdempotentOutcome.objects.filter(key=self.key).first()


@pytest.fixture(params=[False, True], ids=["whole", "streamed"])
def call(door: Door, request: pytest.FixtureRequest) -> Call:
    """Every test that takes it runs at all doors, streamed and whole."""
    return Call(door, request.param)


def rows(account: Account) -> list[Request]:
    return list(Request.objects.filter(account=account).order_by("created_at"))


def hang_up_and_return(call: Call, timeout: httpx.Timeout, **fields: Any) -> httpx.Response:
    """The stored answer, for a caller who gave up waiting for the first one and asks again."""
    headers = {"Idempotency-Key": call.key}
    body = call.door.body(model=MANUAL, stream=call.streamed, **fields)
    with pytest.raises(httpx.ReadTimeout):
        call.door.http.post(call.door.path, json=body, headers=headers, timeout=timeout)
    answer = call.door.http.post(call.door.path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["idempotency-replayed"] == "true"
    return answer


def own_headers(response: httpx.Response) -> dict[str, str]:
    """The headers that the application sets, without those of the server."""
    return {
        name: value
        for name, value in response.headers.items()
        if name not in ("date", "server", "idempotency-replayed", "transfer-encoding")
    }


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
    return value


def test_the_same_request_again_gets_the_same_answer_and_costs_nothing(
    call: Call, account: Account, simulator: Simulator
) -> None:
    first, second = call.ask(), call.ask()
    assert first.status_code == second.status_code == 200
    assert second.content == first.content
    assert own_headers(second) == own_headers(first)
    assert "idempotency-replayed" not in first.headers
    assert second.headers["idempotency-replayed"] == "true"
    (row,) = rows(account)
    assert (row.status, row.pk) == (Request.Status.SUCCEEDED, second.headers["x-request-id"])
    assert row.cost_usd is not None
    assert row.cost_usd > 0
    assert len(simulator.calls()) == 1
    if call.streamed:
        assert call.door.events(second) == call.door.events(first)


def test_a_text_beyond_latin_1_is_replayed_unchanged(call: Call) -> None:
    question = [{"role": "user", "content": "Repeat exactly: Zürich 東京 🙂 line"}]
    assert call.ask(messages=question).content == call.ask(messages=question).content


def test_a_stored_response_is_unreadable_in_the_database(call: Call) -> None:
    call.ask()
    stored = call.outcome
    assert stored is not None
    assert stored.body is not None
    assert b"Paris" not in bytes(stored.body)


@pytest.mark.parametrize("other", [{"max_tokens": 9}, {"temperature": 0.5}])
def test_another_body_under_the_same_key_is_a_conflict(
    call: Call, account: Account, simulator: Simulator, other: dict[str, Any]
) -> None:
    if call.door.name == "native":
        other = {"max_output_tokens": 9} if "max_tokens" in other else other
    call.ask()
    refused = call.ask(**other)
    assert (refused.status_code, call.door.code(refused)) == (409, "idempotency_conflict")
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
    call: Call, server: str, account: Account, simulator: Simulator
) -> None:
    other = Account.objects.create(name="Others", plan=Plan.objects.get(pk="unlimited"))
    call.ask()
    with httpx.Client(base_url=server, timeout=30) as http:
        http.headers["Authorization"] = f"Bearer {create_key(other, 'tests')[1]}"
        their_call = Call(Door(http, call.door.name), call.streamed)
        answer = their_call.ask(call.key)
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers
    assert len(rows(account)) == len(rows(other)) == 1


def test_twenty_duplicates_make_one_call_and_get_one_answer(
    call: Call, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.5, count=1)
    with ThreadPoolExecutor(20) as pool:
        answers = [future.result() for future in [pool.submit(call.ask) for _ in range(20)]]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len({answer.headers["x-request-id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_another_body_conflicts_while_the_first_request_runs(
    call: Call, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.5, count=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call.ask)
        until(lambda: call.outcome)
        assert call.ask(temperature=0.5).status_code == 409
        assert first.result().status_code == 200
    assert len(rows(account)) == 1


def test_a_failure_that_was_not_charged_is_not_stored(
    call: Call, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500)
    failed = call.ask()
    assert failed.status_code in (502, 503)
    assert call.outcome is None
    simulator.reset()
    _forget_failures()
    again = call.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    assert [row.status for row in rows(account)] == [Request.Status.FAILED, Request.Status.SUCCEEDED]


def test_a_duplicate_of_a_failing_request_runs_too(
    call: Call, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="status", status=500)
    with ThreadPoolExecutor(2) as pool:
        answers = [future.result() for future in [pool.submit(call.ask) for _ in range(2)]]
    assert {answer.status_code for answer in answers} <= {502, 503}
    assert len({answer.headers["x-request-id"] for answer in answers}) == 2
    assert [row.status for row in rows(account)] == [Request.Status.FAILED] * 2
    assert call.outcome is None


def test_a_request_that_is_refused_leaves_the_key_free(call: Call, account: Account) -> None:
    refused = call.ask(model="unknown-model")
    assert (refused.status_code, call.door.code(refused)) == (400, "invalid_model")
    assert call.ask().status_code == 200


def test_a_caller_who_hangs_up_can_fetch_the_answer_later(
    call: Call, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.6, count=1)
    answer = hang_up_and_return(call, httpx.Timeout(0.3))
    assert "Paris" in answer.text
    (row,) = rows(account)
    assert row.status == Request.Status.SUCCEEDED
    assert len(simulator.calls()) == 1


def test_a_stream_in_many_pieces_is_stored_when_the_caller_leaves_before_it_starts(
    door: Door, account: Account, simulator: Simulator
) -> None:
    call = Call(door, streamed=True)
    simulator.fault(kind="slow_bytes", piece_bytes=100, delay_s=0.03, count=1)
    answer = hang_up_and_return(call, httpx.Timeout(10, read=0.02), **door.format.realtime)
    assert not door.broke_off(door.events(answer)[-1])
    (row,) = rows(account)
    assert row.status == Request.Status.SUCCEEDED


def test_a_caller_who_leaves_a_stream_can_fetch_all_of_it_later(
    door: Door, account: Account, simulator: Simulator
) -> None:
    call = Call(door, streamed=True)
    simulator.fault(kind="stall", after_chunks=2, delay_s=0.5, count=1)
    headers = {"Idempotency-Key": call.key}
    body = door.body(model=MANUAL, stream=True)
    with door.http.stream("POST", door.path, json=body, headers=headers) as response:
        begun = next(response.iter_bytes())
    answer = door.http.post(door.path, json=body, headers=headers)
    assert answer.content.startswith(begun)
    assert not door.broke_off(door.events(answer)[-1])
    (row,) = rows(account)
    assert row.status == Request.Status.SUCCEEDED


def test_after_a_day_the_key_is_free(call: Call, account: Account) -> None:
    call.ask()
    IdempotentOutcome.objects.filter(key=call.key).update(expires_at=datetime.now(UTC))
    again = call.ask(temperature=0.5)
    assert again.status_code == 200
    assert len(rows(account)) == 2


def test_expired_outcomes_are_deleted(call: Call) -> None:
    call.ask()
    forget_expired(datetime.now(UTC))
    assert call.outcome is not None
    forget_expired(datetime.now(UTC) + timedelta(hours=25))
    assert call.outcome is None


def _left_claim(account: Account, call: Call, **fields: Any) -> IdempotentOutcome:
    """The claim of a request, as a crashed process leaves it."""
    call.ask()
    stored = call.outcome
    assert stored is not None
    IdempotentOutcome.objects.filter(pk=stored.pk).update(
        status=None, headers=None, body=None, **({"request_id": "req_crashed"} | fields)
    )
    return stored


def test_the_claim_of_a_dead_request_is_taken_over_when_its_lease_is_past(
    call: Call, account: Account
) -> None:
    _left_claim(account, call, lease_until=datetime.now(UTC))
    again = call.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    assert call.ask().content == again.content


def test_the_claim_of_a_dead_process_is_taken_over_before_its_lease_is_past(
    call: Call, account: Account
) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    dead = WebProcess.objects.create(
        pk=uuid.uuid4().hex, host="h", pid=1, started_at=long_ago, seen_at=long_ago, missed_at=long_ago
    )
    _left_claim(account, call, owner=dead.pk)
    again = call.ask()
    assert again.status_code == 200
    assert "idempotency-replayed" not in again.headers
    dead.delete()


def test_a_charged_request_without_a_stored_answer_is_not_charged_again(
    call: Call, account: Account, simulator: Simulator
) -> None:
    stored = _left_claim(account, call)
    IdempotentOutcome.objects.filter(pk=stored.pk).update(
        request_id=stored.request_id, lease_until=datetime.now(UTC)
    )
    for _ in range(2):
        refused = call.ask()
        assert (refused.status_code, call.door.code(refused)) == (409, "idempotency_not_replayable")
        assert stored.request_id in refused.text
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_an_open_request_of_a_dead_process_is_settled_before_its_key_is_taken_over(
    call: Call, account: Account
) -> None:
    stored = _left_claim(account, call)
    first = rows(account)[0]
    past = datetime.now(UTC) - timedelta(seconds=1)
    Request.objects.filter(pk=first.pk).update(
        status="open", settled_at=None, cost_usd=None, held_usd=0, lease_until=past, owner="gone"
    )
    IdempotentOutcome.objects.filter(pk=stored.pk).update(request_id=first.pk, lease_until=past)
    assert call.ask().status_code == 200
    assert [row.status for row in rows(account)] == [Request.Status.EXPIRED, Request.Status.SUCCEEDED]


def test_an_answer_too_large_to_store_is_sent_and_charged_once(
    call: Call, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    from routing.doors.shared import idempotency as door_idempotency

    monkeypatch.setattr(idempotency, "MOST_BYTES", 100)
    monkeypatch.setattr(door_idempotency, "MOST_BYTES", 100)
    assert call.ask().status_code == 200
    refused = call.ask()
    assert (refused.status_code, call.door.code(refused)) == (409, "idempotency_not_replayable")
    assert len(rows(account)) == 1


def test_an_account_stores_at_most_its_share(
    call: Call, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idempotency, "MOST_BYTES_OF_ACCOUNT", 100)
    call.ask()
    assert call.ask().status_code == 409
    assert len(rows(account)) == 1


def test_an_answer_encrypted_with_a_lost_secret_is_not_charged_again(
    call: Call, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    call.ask()
    monkeypatch.setattr(settings, "SECRET_KEY", "another-secret-key-without-a-fallback-to-the-old-one")
    refused = call.ask()
    assert (refused.status_code, call.door.code(refused)) == (409, "idempotency_not_replayable")
    assert len(rows(account)) == 1


def test_a_broken_stream_that_was_charged_is_replayed_and_charged_once(
    door: Door, account: Account, simulator: Simulator
) -> None:
    call = Call(door, streamed=True)
    simulator.fault(kind="cut", after_chunks=3, count=1)
    headers = {"Idempotency-Key": call.key, "X-RoutePlex-Rescue": "false"}
    body = door.body(model=MANUAL, stream=True, **door.format.no_rescue)
    first, second = [door.http.post(door.path, json=body, headers=headers) for _ in range(2)]
    assert door.broke_off(door.events(first)[-1])
    assert second.content == first.content
    (row,) = rows(account)
    assert row.status == Request.Status.PARTIAL
    assert row.cost_usd
    assert row.cost_usd > 0


def test_without_a_database_no_provider_is_called(
    call: Call, account: Account, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import OperationalError

    def away(*_: object) -> None:
        raise OperationalError("the database is away")

    monkeypatch.setattr(settings, "DATABASE_PATIENCE_S", 0.1)
    monkeypatch.setattr(idempotency, "acquire", away)
    refused = call.ask()
    assert (refused.status_code, call.door.code(refused)) == (503, "service_unavailable")
    assert int(refused.headers["retry-after"]) > 0
    assert simulator.calls() == []


def test_without_a_key_every_request_is_a_new_one(door: Door, account: Account, simulator: Simulator) -> None:
    first, second = door.ask(model=MANUAL), door.ask(model=MANUAL)
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert len(rows(account)) == len(simulator.calls()) == 2
    assert not IdempotentOutcome.objects.filter(account=account).exists()


def test_the_openai_client_takes_a_replayed_answer(
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
    database = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{database['NAME']}"
    return f"postgres://{database['USER']}:{database['PASSWORD']}@{database['HOST']}:{database['PORT']}/{database['NAME']}"


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
    call: Call, second_process: str, account: Account, simulator: Simulator
) -> None:
    simulator.fault(kind="delay", delay_s=0.6, count=1)
    headers = call.door.http.headers
    with (
        httpx.Client(base_url=second_process, headers=headers, timeout=30) as elsewhere,
        ThreadPoolExecutor(6) as pool,
    ):
        there = Call(Door(elsewhere, call.door.name), call.streamed)
        there.key = call.key
        futures = [pool.submit(future.ask) for _ in range(3) for future in (call, there)]
        answers = [future.result() for future in futures]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert len(rows(account)) == len(simulator.calls()) == 1


def test_a_killed_process_leaves_a_request_that_runs_again_and_is_charged_once(
    native: Door, account: Account, simulator: Simulator
) -> None:
    call = Call(native, streamed=False)
    simulator.fault(kind="delay", delay_s=8, count=1)
    with (
        another_process(simulator.url) as (url, process),
        httpx.Client(base_url=url, headers=native.http.headers, timeout=30) as elsewhere,
        ThreadPoolExecutor(1) as pool,
    ):
        there = Call(Door(elsewhere, "native"), streamed=False)
        there.key = call.key
        lost = pool.submit(there.ask)
        until(simulator.calls)
        process.kill()
        with pytest.raises(httpx.TransportError):
            lost.result()
    (left,) = rows(account)
    assert left.status == Request.Status.OPEN
    silent = datetime.now(UTC) - timedelta(seconds=settings.PROCESS_SILENCE_S * 2)
    WebProcess.objects.filter(pk=left.owner).update(seen_at=silent, missed_at=silent)
    answer = call.ask()
    assert answer.status_code == 200
    assert call.ask().content == answer.content
    first, second = rows(account)
    assert (first.status, first.cost_usd) == (Request.Status.EXPIRED, 0)
    assert second.status == Request.Status.SUCCEEDED


def _forget_failures() -> None:
    from routing.state import runtime

    for alive in runtime.alive():
        alive.breaker.reset()
