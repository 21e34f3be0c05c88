"""llmock, an independent imitation of the three providers, as their upstream: faults end whole or typed.

`make ecosystem` runs it beside the clients, because its package is in their lock file.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import doors
import httpx
import pytest
from conftest import free_port, key_of, served

# The first of each provider meets all faults but the lasting ones, which get a model each.
MODELS = {
    "openai": ("gpt-4.1", "gpt-4.1-mini", "gpt-4o", "gpt-4o-mini"),
    "anthropic": ("claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-5", "claude-sonnet-4-6"),
    "gemini": ("gemini-2.5-flash", "gemini-2.5-flash-lite", "gemini-3.5-flash-lite", "gemini-3.1-flash-lite"),
}
TEXT = "The lamp by the window is lit, as it was on every evening of that long winter in the north."
LONGEST_S = 20.0
STALL_S = 8.0  # beyond the idle deadline of DEADLINES
DEADLINES = {"FIRST_BYTE_TIMEOUT_S": "2", "FIRST_BYTE_PATIENCE": "0", "IDLE_TIMEOUT_S": "1"}
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city, now.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
FAULTS: dict[str, dict[str, Any]] = {
    **{
        str(status): {
            "type": "fail",
            "status": status,
            "retry_after": 0 if status in (503, 504, 529) else None,
        }
        for status in (400, 401, 403, 404, 408, 409, 413, 422, 500, 502, 503, 504, 529)
    },
    "too long": {"type": "fail", "status": 400, "code": "context_length_exceeded"},
    "slow": {"type": "delay", "seconds": 0.3},
    "silent": {"type": "delay", "seconds": STALL_S},
}
# After these the model or the provider is not called for a while, so only the first request meets one.
LASTING: dict[str, dict[str, Any]] = {
    "429": {"type": "fail", "status": 429},
    "429, Retry-After 60": {"type": "fail", "status": 429, "retry_after": 60},
    "429, no quota": {"type": "fail", "status": 429, "code": "insufficient_quota"},
}
STREAM_FAULTS: dict[str, dict[str, Any]] = {
    "slow first token": {"type": "slow_first_token", "seconds": STALL_S},
    **{
        f"{kind} after {chunks}": {"type": "stream_fault", "kind": kind, "after_chunks": chunks}
        for kind in ("disconnect", "truncate", "malformed")
        for chunks in (0, 4)
    },
    "stall": {"type": "stream_fault", "kind": "stall", "after_chunks": 4, "stall_seconds": STALL_S},
}
# Only these may end in an error: they refuse the request itself, which no other model may be sent.
# "too long" does so where llmock's words are not those by which the provider's own refusal is known.
REFUSALS = {"400": ("bad_request",), "422": ("bad_request",), "too long": ("", "bad_request")}


class Mock:
    """llmock's control API."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/_llmock", timeout=10)

    def behave(self, *behaviours: dict[str, Any]) -> None:
        """Forget everything, then behave so; the answer is TEXT."""
        self._http.post("/reset").raise_for_status()
        answer = {"type": "reply", "text": TEXT, "times": None, "match": {"tools": False}}
        queued = self._http.post("/scenario", json={"behaviors": [*behaviours, answer]})
        queued.raise_for_status()

    def faults(self) -> int:
        verdict = self._http.get("/verdict").raise_for_status().json()
        return int(verdict["faults_injected"])

    def findings(self) -> list[str]:
        """Its complaints about its client, errors only.

        It does not see that a cut stream is continued with another provider.
        """
        verdict = self._http.get("/verdict").raise_for_status().json()
        wrong = [finding for finding in verdict["findings"] if finding["severity"] == "error"]
        return [str(finding) for finding in wrong if finding["code"] != "truncated_stream_accepted"]


@pytest.fixture(scope="module")
def mock() -> Iterator[tuple[str, Mock]]:
    port = free_port()
    command = [Path(sys.executable).parent / "llmock", "serve", "--port", str(port), "--log-level", "error"]
    process = subprocess.Popen(command)
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, "llmock has ended"
            assert time.monotonic() < deadline, "llmock did not start"
            try:
                httpx.get(f"{url}/health").raise_for_status()
                break
            except httpx.TransportError:
                time.sleep(0.1)
        yield url, Mock(url)
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def http(mock: tuple[str, Mock], tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    url, var = mock[0], tmp_path_factory.mktemp("llmock")
    upstreams = {
        "SIMULATOR": "off",
        "OPENAI_API_KEY": "mock",
        "OPENAI_BASE_URL": f"{url}/v1",
        "ANTHROPIC_API_KEY": "mock",
        "ANTHROPIC_BASE_URL": f"{url}/anthropic",
        "GEMINI_API_KEY": "mock",
        "GEMINI_BASE_URL": f"{url}/gemini",
    }
    with served(var, SIGNUP_PLAN="unlimited", **upstreams, **DEADLINES) as routeplex:
        headers = {"Authorization": f"Bearer {key_of(var)}"}
        with httpx.Client(base_url=routeplex, headers=headers, timeout=60) as client:
            yield client


@pytest.mark.parametrize("provider", MODELS)
def test_each_fault_ends_whole_or_typed(http: httpx.Client, mock: tuple[str, Mock], provider: str) -> None:
    """Each at all four APIs; streamed and whole in turn, where it is no fault of streams."""
    wrong = []
    for place, (name, fault) in enumerate((FAULTS | STREAM_FAULTS).items()):
        for number, door in enumerate(doors.PATHS):
            streamed = name in STREAM_FAULTS or (place + number) % 2 == 0
            wrong += _met(http, mock[1], provider, name, fault, door, streamed)
    assert not wrong, "\n".join(wrong)


def _met(
    http: httpx.Client, mock: Mock, provider: str, name: str, fault: dict[str, Any], door: str, streamed: bool
) -> list[str]:
    """Ask once with the fault and twice without, so that no circuit breaker opens; return what is wrong."""
    model, where = MODELS[provider][0], f"{name}, {door}{' streamed' if streamed else ''}"
    mock.behave(fault | {"times": 1, "match": {"provider": provider}})
    began = time.monotonic()
    answer = doors.ask(http, door, streamed, model, f"Describe the evening. ({name})")
    took, wrong = time.monotonic() - began, []
    right = answer.ended and answer.code in REFUSALS.get(name, ("",))
    if not right or (not answer.code and answer.text != TEXT) or took > LONGEST_S:
        wrong.append(f"{where}: {answer}, {took:.1f} s")
    if fault["type"] in ("fail", "stream_fault") and mock.faults() != 1:  # it counts no delays
        wrong.append(f"{where}: {mock.faults()} faults met")
    if name != "401":  # a refused credential is tried once more, to be sure (docs/reliability.md)
        wrong += [f"{where}: {finding}" for finding in mock.findings()]
    mock.behave()
    calm = [doors.ask(http, door, streamed, model, "Describe the morning.") for _ in range(2)]
    return wrong + [f"after {where}: {answer}" for answer in calm if answer.text != TEXT]


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("kind", ["malformed_arguments", "unknown_tool"])
def test_a_broken_tool_call_is_marked(
    http: httpx.Client, mock: tuple[str, Mock], provider: str, kind: str
) -> None:
    """Such a call is passed on, for the caller to judge, and the receipt names its fault.

    Where arguments are no text on the wire, llmock sends empty ones.
    """
    faults = {"malformed_arguments": ("not JSON", "required"), "unknown_tool": ("no such tool",)}[kind]
    wrong = []
    for door, streamed in doors.WAYS:
        behaviour = {"type": "tool_fault", "kind": kind, "times": 1}
        mock[1].behave(behaviour | {"match": {"provider": provider, "tools": True}})
        model = MODELS[provider][0]
        answer = doors.ask(http, door, streamed, model, "What is the weather in Paris?", WEATHER)
        if not answer.ended or (not answer.code and answer.fault not in faults):
            wrong.append(f"{door}{' streamed' if streamed else ''}: {answer}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("provider", MODELS)
def test_limits_are_waited_for_elsewhere(http: httpx.Client, mock: tuple[str, Mock], provider: str) -> None:
    wrong = []
    for model, (name, fault) in zip(MODELS[provider][1:], LASTING.items(), strict=True):
        mock[1].behave(fault | {"times": None, "match": {"provider": provider, "model": f"{model}*"}})
        for door, streamed in doors.WAYS:
            answer = doors.ask(http, door, streamed, model, "Describe the evening.")
            if not answer.ended or answer.text != TEXT:
                wrong.append(f"{name}, {door}{' streamed' if streamed else ''}: {answer}")
        wrong += [] if mock[1].faults() else [f"{name}: not met"]
        wrong += [f"{name}: {finding}" for finding in mock[1].findings()]
    assert not wrong, "\n".join(wrong)


def test_all_three_down_is_a_typed_error(http: httpx.Client, mock: tuple[str, Mock]) -> None:
    codes = set()
    for door, streamed in doors.WAYS:
        mock[1].behave({"type": "fail", "status": 503, "times": None})
        answer = doors.ask(http, door, streamed, "auto", "Describe the evening.")
        assert answer.ended, door
        codes.add(answer.code)
    assert codes
    assert codes <= {"provider_unavailable", "all_providers_failed", "provider_error", "service_unavailable"}
