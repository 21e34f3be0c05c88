"""Reports of providers are checked before they are stored or charged (reliability rows 30 and 31)."""

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx
import pytest

from accounts.caller import Limits
from accounts.keys import create_key
from billing.alerts.models import Alert
from billing.checks.audit import audit
from billing.models import Attempt, Request
from routing.execute.attempt import AttemptRecord
from routing.language.arms import Arm
from routing.language.chat import TextDelta
from routing.steps.attempt_usage import usage_of
from tests.conftest import Simulator
from tests.door_client import ChatClient, DoorClient, Reply
from tests.execute.odd_answers import answer, chat, frames
from tests.providers.facts import CHAT

TEXT = "The capital of France is Paris."
USD = {"gpt-4o-mini": ("0.15", "0.6"), "claude-haiku-4-5": ("1", "5"), "gemini-2.5-flash": ("0.3", "2.5")}
MODELS = list(USD)
RESPONSES = "gpt-5.5-pro"
# Of the text by each model's tokenizer; for Gemini 1.1 times OpenAI's
TOKENS = {"gpt-4o-mini": 7, "claude-haiku-4-5": 6, "gemini-2.5-flash": 8, RESPONSES: 7}


def bodies(model: str, usage: Any, *, name: str = "m", identity: str = "id-1") -> tuple[bytes, bytes]:
    """The answer TEXT of the model's provider, as a stream and as a whole body, with this usage report."""
    if model.startswith("claude"):
        head = {"id": identity, "model": name, "type": "message"}
        block = {"type": "text", "text": TEXT}
        stream = frames(
            {"type": "message_start", "message": head | {"content": []}},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage},
            {"type": "message_stop"},
        )
        return stream, _json(head | {"content": [block], "stop_reason": "end_turn", "usage": usage})
    if model.startswith("gemini"):
        candidate = {"content": {"parts": [{"text": TEXT}]}, "finishReason": "STOP", "index": 0}
        body = {"candidates": [candidate], "modelVersion": name, "responseId": identity}
        return frames(body | {"usageMetadata": usage}), _json(body | {"usageMetadata": usage})
    if model == RESPONSES:
        message = {"type": "message", "content": [{"type": "output_text", "text": TEXT}]}
        response = {"id": identity, "model": name, "status": "completed", "output": [message]}
        response |= {"usage": usage}
        stream = frames(
            {"type": "response.output_text.delta", "output_index": 0, "delta": TEXT},
            {"type": "response.completed", "response": response},
        )
        return stream, _json(response)
    base = {"id": identity, "model": name}
    last = {"choices": [], "usage": usage} | base
    stream = frames(chat({"content": TEXT}) | base, chat({}, "stop") | base, last, b"[DONE]")
    message = {"index": 0, "message": {"content": TEXT}, "finish_reason": "stop"}
    return stream, _json(base | {"choices": [message], "usage": usage})


def _json(body: Any) -> bytes:
    return frames(body).removeprefix(b"data: ").strip()


def ask(client: DoorClient, simulator: Simulator, model: str, usage: Any, **odd: str) -> Reply:
    stream, whole = bodies(model, usage, **odd)
    if client.streamed:
        answer(simulator, stream, model=model)
    else:
        answer(simulator, whole, model=model, media_type="application/json")
    return client.ask(model=model, fallback=False, rescue=False)


def row_of(reply: Reply) -> Request:
    return settled_row(reply.request_id)


def settled_row(request_id: str | None) -> Request:
    until = time.monotonic() + 5
    while (row := Request.objects.get(pk=request_id)).status == "open":
        assert time.monotonic() < until, "the request is not settled"
        time.sleep(0.02)
    return row


def is_charged_by_our_count(row: Request, model: str) -> bool:
    """Return whether the row has the tokens counted here, at the model's prices."""
    counted = row.trace["input_tokens"]
    usd_in, usd_out = (Fraction(price) for price in USD[model])
    right = (counted * usd_in + row.output_tokens * usd_out) / 1_000_000
    are_counted = (row.uncached_input_tokens, row.output_tokens) == (counted, TOKENS[model])
    return are_counted and Fraction(row.cost_usd or 0) == right


def broken(row: Request) -> list[str]:
    checks = audit(datetime.now(UTC), account_id=row.account_id).checks
    return [check.name for check in checks if check.violations]


def usage_with(model: str, count: Any) -> dict[str, Any]:
    """A report of the model's provider whose every count is this."""
    if model.startswith("gemini"):
        return dict.fromkeys(("promptTokenCount", "candidatesTokenCount"), count)
    if model.startswith("claude") or model == RESPONSES:
        return dict.fromkeys(("input_tokens", "output_tokens"), count)
    return dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), count)


HUGE = [2**31, 10**18, 1e30, 10**40]
UNREADABLE = [-5, *HUGE, "many", [1], True, 1.5]


@pytest.mark.parametrize("count", UNREADABLE, ids=str)
@pytest.mark.parametrize("model", MODELS)
def test_counts_that_are_no_tokens_are_counted_here(
    http: httpx.Client, simulator: Simulator, model: str, count: Any
) -> None:
    for streamed in (False, True):
        reply = ask(ChatClient(http, streamed), simulator, model, usage_with(model, count))
        row = row_of(reply)
        assert (reply.error, reply.text, row.status) == (None, TEXT, "succeeded")
        assert (row.usage_issue, row.usage_estimated, row.held_usd) == ("unreadable", True, 0)
        assert is_charged_by_our_count(row, model)
    assert broken(row) == []


@pytest.mark.parametrize("usage", [None, {}, "none"], ids=str)
@pytest.mark.parametrize("model", [*MODELS, RESPONSES])
def test_an_answer_is_charged_whatever_its_report_lacks(
    http: httpx.Client, simulator: Simulator, model: str, usage: Any
) -> None:
    for streamed in (False, True):
        row = row_of(ask(ChatClient(http, streamed), simulator, model, usage))
        assert row.usage_estimated
        assert row.cost_usd
        assert row.output_tokens == TOKENS[model]
        assert row.uncached_input_tokens == row.trace["input_tokens"]


@pytest.mark.parametrize("count", [None, 0])
@pytest.mark.parametrize("model", MODELS)
def test_an_answer_with_a_report_of_nothing_is_counted_here(
    caller: DoorClient, simulator: Simulator, model: str, count: Any
) -> None:
    row = row_of(ask(caller, simulator, model, usage_with(model, count)))
    assert (row.status, row.usage_estimated, row.usage_issue) == ("succeeded", True, "")
    assert is_charged_by_our_count(row, model)
    assert broken(row) == []


def test_a_count_that_is_missing_alone_is_counted_here(caller: DoorClient, simulator: Simulator) -> None:
    row = row_of(ask(caller, simulator, "gpt-4o-mini", {"prompt_tokens": 20}))
    assert (row.uncached_input_tokens, row.output_tokens, row.usage_estimated) == (20, 7, True)


@pytest.mark.parametrize("model", MODELS)
def test_a_report_beyond_the_request_passes_no_limit(
    server: str, account: Any, simulator: Simulator, model: str
) -> None:
    """900 million tokens for an answer of at most 60, by a key that may spend a dollar a day."""
    secret = create_key(account, "capped", limits=Limits(daily_usd=Decimal(1)))[1]
    headers = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=server, headers=headers, timeout=30) as http:
        for streamed in (False, True):
            client = ChatClient(http, streamed)
            stream, whole = bodies(model, usage_with(model, 90_000_000))
            kind = {} if streamed else {"media_type": "application/json"}
            answer(simulator, stream if streamed else whole, model=model, **kind)
            reply = client.ask(model=model, max_output_tokens=60, fallback=False)
            row = row_of(reply)
            assert (row.status, row.usage_issue, row.usage_estimated) == ("succeeded", "implausible", True)
            assert is_charged_by_our_count(row, model)
            assert reply.cost_usd == float(row.cost_usd or 0)
    alerts = Alert.objects.filter(kind="provider.usage", detail__issue="implausible", detail__model=model)
    assert [alert.account for alert in alerts] == [None], "the operator, once"
    assert broken(row) == []


def test_a_provider_that_stops_a_little_late_is_charged_its_limit(
    http: httpx.Client, simulator: Simulator
) -> None:
    answer(simulator, bodies("gpt-4o-mini", {"prompt_tokens": 20, "completion_tokens": 70})[0])
    reply = ChatClient(http, streamed=True).ask(model="gpt-4o-mini", max_output_tokens=60)
    row = row_of(reply)
    assert (row.output_tokens, row.usage_issue, row.usage_estimated) == (60, "", False)


@pytest.mark.parametrize("model", [*MODELS, RESPONSES])
@pytest.mark.parametrize("odd", [{"name": "m\x00odel\x1b"}, {"identity": "i\x00d"}], ids=["name", "id"])
def test_names_and_ids_with_nul_are_stored_without(
    caller: DoorClient, simulator: Simulator, model: str, odd: dict[str, str]
) -> None:
    reply = ask(caller, simulator, model, usage_with(model, 9), **odd)
    row = row_of(reply)
    assert (reply.error, reply.text, row.status) == (None, TEXT, "succeeded")
    (attempt,) = Attempt.objects.filter(request=row)
    assert attempt.provider_request_id in ("id-1", "id")
    assert row.upstream_model in ("m", "model")


def test_a_settlement_that_the_database_refuses_is_written_without_its_providers_values(
    caller: DoorClient, simulator: Simulator, refused_model: str
) -> None:
    usage = {"prompt_tokens": 20, "completion_tokens": 9}
    reply = ask(caller, simulator, "gpt-4o-mini", usage, name=refused_model)
    row = row_of(reply)
    assert (reply.error, reply.text, row.status, row.upstream_model) == (None, TEXT, "succeeded", "")
    assert (row.usage_issue, row.usage_estimated, row.held_usd) == ("unwritable", True, 0)
    assert is_charged_by_our_count(row, "gpt-4o-mini")
    assert Attempt.objects.get(request=row).cost_usd == row.cost_usd
    assert broken(row) == []


@pytest.mark.parametrize(
    "usage",
    [
        {
            "completion_tokens_details": {"reasoning_tokens": 31},
            "prompt_tokens_details": {"cached_tokens": 8},
        },
        {"reasoning_tokens": 31, "prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 12},
    ],
    ids=["beside", "other names"],
)
def test_reasoning_beside_the_completion_and_cache_hits_are_charged_at_their_price(
    caller: DoorClient, simulator: Simulator, usage: dict[str, Any]
) -> None:
    sums = {"prompt_tokens": 20, "completion_tokens": 9, "total_tokens": 60}
    reply = ask(caller, simulator, "gpt-4o-mini", sums | usage)
    row = row_of(reply)
    assert (row.uncached_input_tokens, row.cache_read_tokens) == (12, 8)
    assert (row.output_tokens, row.reasoning_tokens, row.usage_issue) == (40, 31, "")
    assert row.cost_usd == Decimal("0.0000264")  # (12 × 0.15 + 8 × 0.075 + 40 × 0.6) / 1e6
    assert reply.cost_usd == 0.0000264


@pytest.mark.parametrize(("caller_left", "reasoning_tokens"), [(True, 300), (False, 0)])
def test_hidden_reasoning_is_charged_to_callers_who_leave_and_not_for_providers_cuts(
    caller_left: bool, reasoning_tokens: int
) -> None:
    attempt = AttemptRecord(1, Arm(CHAT.id), CHAT)
    attempt.expected_reasoning = 300
    attempt.note(TextDelta(TEXT))
    attempt.end("partial")
    attempt.caller_left = caller_left
    assert usage_of(attempt).reasoning_tokens == reasoning_tokens


@pytest.mark.parametrize(
    ("model", "frames_sent"), [("gpt-5-mini", 5), ("gpt-5.5-pro", 12), ("claude-opus-5", 16)]
)
def test_a_caller_who_leaves_during_the_text_pays_for_the_reasoning(
    http: httpx.Client, simulator: Simulator, model: str, frames_sent: int
) -> None:
    """The text is short beside the reasoning, of which providers show a summary or nothing."""
    simulator.fault(kind="stall", after_chunks=frames_sent, count=1)
    question = [{"role": "user", "content": "Prove that the square root of 2 is irrational."}]
    body = {"model": model, "messages": question, "stream": True, "reasoning_effort": "high"}
    text = ""
    with http.stream("POST", "/v1/chat/completions", json=body) as response:
        for line in response.iter_lines():
            if line.startswith("data: {") and (choices := json.loads(line[6:])["choices"]):
                text += choices[0]["delta"].get("content") or ""
            if text:
                break
    row = settled_row(response.headers["x-request-id"])
    assert (row.status, row.usage_estimated) == ("aborted", True)
    assert row.reasoning_tokens > 100
    assert row.output_tokens > row.reasoning_tokens
