"""A stream ends at the request's deadline and is charged, also if its caller reads slowly or not at all."""

import http.client
import json
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from urllib.parse import urlsplit

import pytest

from billing.checks.audit import audit
from billing.ledger.sweeper import sweep
from billing.models import Attempt, Request
from routeplex_site import asgi
from routing.execute.breaker import Breaker
from routing.execute.chain import Execution, Plan
from routing.language.arms import Arm
from routing.language.chat import (
    ChatRequest,
    Finished,
    FinishReason,
    Message,
    Role,
    Started,
    StreamEvent,
    Text,
    TextDelta,
)
from routing.language.errors import ProviderTimeout
from routing.providers.upstreams import Upstreams
from routing.state import runtime
from tests.conftest import Simulator
from tests.door_client import CLIENTS, QUESTION, DoorClient
from tests.execute.odd_answers import answer, chat, frames
from tests.providers.facts import CHAT

DEADLINE_S = 3.0
WORDS = frames(chat({"content": " word" * 60}))


class SlowReader:
    """A stream's caller with a small receive buffer, who decides when to read on."""

    def __init__(self, client: DoorClient, idempotency_key: str | None = None) -> None:
        address = urlsplit(str(client.http.base_url))
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.settimeout(20)
        self._socket.connect((address.hostname, address.port))
        connection = http.client.HTTPConnection(str(address.hostname))
        connection.sock = self._socket
        body, headers = client.request(QUESTION, {"model": "gpt-4o-mini"})
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        headers |= {"Authorization": client.http.headers["authorization"], "Content-Type": "application/json"}
        connection.request("POST", client.path, json.dumps(body), headers)
        self._response = connection.getresponse()
        self.request_id = self._response.headers["x-request-id"]

    def read(self, size: int) -> bytes:
        return self._response.read1(size)

    def rest(self) -> str:
        """All that is left of the stream. Raises OSError or HTTPException where the connection was cut."""
        parts = []
        while piece := self.read(65536):
            parts.append(piece)
        return b"".join(parts).decode()

    @property
    def row(self) -> Request:
        return Request.objects.get(pk=self.request_id)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=CLIENTS, ids=lambda client: client.name)
def slow(
    request: pytest.FixtureRequest, http: Any, simulator: Simulator, settings: Any
) -> Iterator[Callable[..., SlowReader]]:
    """Begins an endless stream at each API for a caller who reads when the test says so."""
    settings.REQUEST_TIMEOUT_S = DEADLINE_S
    answer(simulator, WORDS, endless=True)
    readers: list[SlowReader] = []

    def begin(idempotency_key: str | None = None) -> SlowReader:
        readers.append(SlowReader(request.param(http, True), idempotency_key))
        return readers[-1]

    yield begin
    for reader in readers:
        reader.close()


def ended(reader: SlowReader, within_s: float) -> Request:
    until = time.monotonic() + within_s
    while (row := reader.row).status == Request.Status.OPEN:
        assert time.monotonic() < until, "the request did not end"
        time.sleep(0.05)
    return row


def is_charged_for_what_was_received(row: Request) -> bool:
    (attempt,) = Attempt.objects.filter(request=row)
    return bool(attempt.charged and attempt.output_tokens > 500 and row.cost_usd == attempt.cost_usd)


def broken(row: Request) -> list[str]:
    checks = audit(datetime.now(UTC), account_id=row.account_id).checks
    return [check.name for check in checks if check.violations]


def test_a_caller_who_pauses_is_charged_at_the_deadline(slow: Callable[..., SlowReader]) -> None:
    reader = slow()
    reader.read(2000)
    row = ended(reader, DEADLINE_S + 2)
    assert (row.status, row.error_code, row.held_usd) == ("partial", "request_timeout", 0)
    assert is_charged_for_what_was_received(row)
    sweep(datetime.now(UTC) + timedelta(seconds=DEADLINE_S + 120))
    end = reader.rest()
    assert "before the request's deadline" in end
    assert reader.row.cost_usd == row.cost_usd
    assert broken(row) == []


def test_an_idempotent_caller_who_pauses_is_charged_at_the_deadline_too(
    slow: Callable[..., SlowReader],
) -> None:
    reader = slow("slow-1")
    reader.read(2000)
    row = ended(reader, DEADLINE_S + 2)
    assert (row.status, row.held_usd) == ("partial", 0)
    assert is_charged_for_what_was_received(row)


def test_a_caller_who_reads_steadily_but_slowly_ends_at_the_deadline(slow: Callable[..., SlowReader]) -> None:
    reader, began = slow(), time.monotonic()
    while reader.row.status == Request.Status.OPEN:
        reader.read(3000)
        time.sleep(0.05)
        assert time.monotonic() - began < DEADLINE_S + 2
    assert is_charged_for_what_was_received(reader.row)


def test_a_caller_who_never_reads_on_is_cut_off(
    slow: Callable[..., SlowReader], settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.DATABASE_PATIENCE_S = 0.5
    monkeypatch.setattr(asgi, "LAST_BYTES_S", 0.5)
    reader = slow()
    time.sleep(DEADLINE_S + 2)
    with pytest.raises((OSError, http.client.HTTPException)):
        reader.rest()
    assert is_charged_for_what_was_received(reader.row)


def test_a_slow_caller_is_no_failure_of_the_model(
    slow: Callable[..., SlowReader], simulator: Simulator
) -> None:
    ended(slow(), DEADLINE_S + 2)
    assert len(simulator.calls()) == 1
    circuits = [circuit for alive in runtime.alive() for circuit in alive.breaker.circuits(time.monotonic())]
    assert circuits == []


class AlwaysReady:
    """A provider whose next piece is always there, so that no read waits. It gives up after 3 s."""

    async def complete(self, *_: Any, **__: Any) -> AsyncGenerator[list[StreamEvent], None]:
        until = time.monotonic() + 3
        yield [Started("model")]
        while time.monotonic() < until:
            yield [TextDelta(" a")]
        yield [Finished(FinishReason.STOP)]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_provider_that_always_has_more_to_send_ends_at_the_deadline(stream: bool) -> None:
    plan = Plan(
        request=ChatRequest((Message(Role.USER, (Text("Count."),)),)),
        chain=(Arm(CHAT.id),),
        facts={CHAT.id: CHAT},
        expected_ms={},
        stream=stream,
        first_byte_s=60,
        patience=0,
        deadline=time.monotonic() + 0.3,
    )
    execution = Execution(plan, cast(Upstreams, AlwaysReady()), Breaker())
    with pytest.raises(ProviderTimeout):
        async for _ in execution.batches():
            pass
    assert [attempt.outcome for attempt in execution.attempts] == ["partial" if stream else "failed"]
