"""The classification of errors, row by row; docs/reliability.md has the table."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from routing.providers.adapters import ADAPTERS
from routing.providers.shared.failures import ACTIONS, FailureKind, UpstreamFailure

K = FailureKind


def openai(code: str | None = None, kind: str = "invalid_request_error", message: str = "No.") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


def anthropic(kind: str, message: str = "No.", code: str | None = None) -> bytes:
    error: dict[str, Any] = {"type": kind, "message": message}
    if code:
        error["details"] = {"error_code": code}
    return json.dumps({"type": "error", "error": error, "request_id": "req_in_body"}).encode()


def gemini(code: int, status: str, message: str = "No.", *details: dict[str, Any]) -> bytes:
    return json.dumps(
        {"error": {"code": code, "status": status, "message": message, "details": list(details)}}
    ).encode()


PER_DAY = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}],
}
PER_MINUTE = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel"}],
}
RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "14s"}
KEY_INVALID = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}

TABLE = [
    ("openai", 429, openai("rate_limit_exceeded", "requests"), K.RATE_LIMIT),
    ("openai", 429, openai(None, "tokens"), K.RATE_LIMIT),
    ("openai", 429, openai("insufficient_quota", "insufficient_quota"), K.QUOTA),
    ("openai", 429, openai("billing_hard_limit_reached"), K.QUOTA),
    ("openai", 429, openai("credit_balance_exhausted"), K.QUOTA),
    ("openai", 429, openai("project_spend_limit_exceeded"), K.QUOTA),
    ("openai", 429, openai("organization_usage_limit_exceeded"), K.QUOTA),
    ("openai", 503, openai("server_is_overloaded", "service_unavailable_error"), K.OVERLOADED),
    ("openai", 500, openai(None, "server_error"), K.SERVER),
    ("openai", 502, b"", K.SERVER),
    ("openai", 504, b"", K.SERVER),
    ("openai", 408, openai(None, "timeout"), K.SERVER),
    ("openai", 409, openai("conflict"), K.SERVER),
    ("openai", 400, openai("context_length_exceeded"), K.CONTEXT),
    ("openai", 400, openai(None, "BadRequestError", "This model's maximum context length is 8"), K.CONTEXT),
    ("openai", 400, openai("unsupported_parameter"), K.BAD_REQUEST),
    ("openai", 422, openai(), K.BAD_REQUEST),
    ("openai", 400, openai("content_policy_violation"), K.REFUSED),
    ("openai", 401, openai("invalid_api_key"), K.AUTH),
    ("openai", 403, openai("model_not_allowed"), K.AUTH),
    ("openai", 404, openai("model_not_found"), K.MODEL_GONE),
    ("openai", 404, b'{"error":"model \\"llama9\\" not found"}', K.MODEL_GONE),
    ("openai", 302, b"", K.SERVER),
    ("anthropic", 429, anthropic("rate_limit_error"), K.RATE_LIMIT),
    ("anthropic", 429, anthropic("rate_limit_error", code="ramp_limit_exceeded"), K.RATE_LIMIT),
    ("anthropic", 429, anthropic("rate_limit_error", code="enforced_spend_limit_reached"), K.QUOTA),
    ("anthropic", 429, anthropic("rate_limit_error", code="contract_spend_limit_reached"), K.QUOTA),
    ("anthropic", 402, anthropic("billing_error"), K.QUOTA),
    ("anthropic", 400, anthropic("invalid_request_error", "Your credit balance is too low to"), K.QUOTA),
    ("anthropic", 529, anthropic("overloaded_error"), K.OVERLOADED),
    ("anthropic", 500, anthropic("api_error"), K.SERVER),
    ("anthropic", 504, anthropic("timeout_error"), K.SERVER),
    ("anthropic", 409, anthropic("conflict_error"), K.SERVER),
    ("anthropic", 400, anthropic("invalid_request_error", "prompt is too long: 9 tokens > 8"), K.CONTEXT),
    ("anthropic", 413, anthropic("request_too_large"), K.CONTEXT),
    ("anthropic", 400, anthropic("invalid_request_error"), K.BAD_REQUEST),
    (
        "anthropic",
        400,
        anthropic("invalid_request_error", "Output blocked by content filtering policy"),
        K.REFUSED,
    ),
    ("anthropic", 401, anthropic("authentication_error"), K.AUTH),
    ("anthropic", 403, anthropic("permission_error"), K.AUTH),
    ("anthropic", 404, anthropic("not_found_error"), K.MODEL_GONE),
    ("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "No.", PER_MINUTE, RETRY_INFO), K.RATE_LIMIT),
    ("gemini", 429, gemini(429, "RESOURCE_EXHAUSTED", "No.", PER_DAY, RETRY_INFO), K.QUOTA),
    ("gemini", 402, b"", K.QUOTA),
    ("gemini", 400, gemini(400, "FAILED_PRECONDITION", "Please enable billing"), K.QUOTA),
    ("gemini", 503, gemini(503, "UNAVAILABLE"), K.OVERLOADED),
    ("gemini", 500, gemini(500, "INTERNAL"), K.SERVER),
    ("gemini", 504, gemini(504, "DEADLINE_EXCEEDED"), K.SERVER),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "The input token count (9) exceeds 8"), K.CONTEXT),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT"), K.BAD_REQUEST),
    ("gemini", 400, gemini(400, "INVALID_ARGUMENT", "API key not valid.", KEY_INVALID), K.AUTH),
    ("gemini", 403, gemini(403, "PERMISSION_DENIED"), K.AUTH),
    ("gemini", 404, gemini(404, "NOT_FOUND"), K.MODEL_GONE),
    ("gemini", 503, b"[" + gemini(503, "UNAVAILABLE") + b"]", K.OVERLOADED),
    # errors inside an HTTP 200 stream are judged by their own codes
    ("openai", 200, openai("rate_limit_exceeded", "requests"), K.RATE_LIMIT),
    ("openai", 200, openai("server_error", "server_error"), K.SERVER),
    ("openai", 200, openai(None, "something_new"), K.SERVER),
    ("openai", 200, b'{"type":"error","code":"server_is_overloaded","message":"No."}', K.OVERLOADED),
    ("openai", 200, b'{"error":{"code":429,"message":"Provider returned error"}}', K.RATE_LIMIT),
    ("anthropic", 200, anthropic("overloaded_error"), K.OVERLOADED),
    ("anthropic", 200, anthropic("api_error"), K.SERVER),
    ("anthropic", 200, anthropic("invalid_request_error"), K.BAD_REQUEST),
    ("gemini", 200, gemini(503, "UNAVAILABLE"), K.OVERLOADED),
    ("gemini", 200, gemini(429, "RESOURCE_EXHAUSTED"), K.RATE_LIMIT),
]


def classified(dialect: str, status: int, body: bytes, **headers: str) -> UpstreamFailure:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    failure: UpstreamFailure = ADAPTERS[dialect].classify(status, names, body)
    return failure


@pytest.mark.parametrize(("dialect", "status", "body", "kind"), TABLE)
def test_each_error_reply_has_its_kind(dialect: str, status: int, body: bytes, kind: FailureKind) -> None:
    assert classified(dialect, status, body).kind is kind


def test_every_kind_has_its_action() -> None:
    assert set(ACTIONS) == set(FailureKind)


@pytest.mark.parametrize(
    ("kind", "retriable", "scope"),
    [
        (K.RATE_LIMIT, True, "model"),
        (K.QUOTA, True, "provider"),
        (K.AUTH, True, "provider"),
        (K.UNAVAILABLE, True, "provider"),
        (K.MODEL_GONE, True, "model"),
        (K.CONTEXT, True, "model"),
        (K.BAD_REQUEST, False, "model"),
        (K.REFUSED, False, "model"),
    ],
)
def test_each_kind_allows_its_next_steps(kind: FailureKind, retriable: bool, scope: str) -> None:
    failure = UpstreamFailure(kind, "No.")
    assert (failure.retriable, failure.scope) == (retriable, scope)
    assert failure.needs_larger_window is (kind is K.CONTEXT)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after_ms": "250", "retry_after": "7"}, 0.25),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "99999999"}, 86_400.0),
        ({"retry_after": "Thu, 99999999999999999999 Jan 2026 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_the_waiting_time_comes_from_the_headers(headers: dict[str, str], seconds: float | None) -> None:
    assert classified("openai", 429, openai("rate_limit_exceeded"), **headers).retry_after_s == seconds


def test_the_waiting_time_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wait = classified("anthropic", 429, anthropic("rate_limit_error"), retry_after=date).retry_after_s
    assert wait is not None
    assert 0 < wait <= 60


def test_geminis_waiting_time_is_in_the_body() -> None:
    body = gemini(429, "RESOURCE_EXHAUSTED", "No.", PER_MINUTE, RETRY_INFO)
    assert classified("gemini", 429, body).retry_after_s == 14.0


def test_a_spent_quota_is_not_waited_for() -> None:
    body = gemini(429, "RESOURCE_EXHAUSTED", "No.", PER_DAY, RETRY_INFO)
    failure = classified("gemini", 429, body, retry_after="5")
    assert failure.retry_after_s is None
    assert failure.same_arm_retries == 0


@pytest.mark.parametrize(("header", "retries"), [("true", 1), ("false", 0)])
def test_x_should_retry_is_obeyed(header: str, retries: int) -> None:
    assert classified("openai", 500, b"", x_should_retry=header).same_arm_retries == retries
    assert classified("openai", 400, openai(), x_should_retry="true").same_arm_retries == 0


def test_ids_and_codes_are_kept() -> None:
    failure = classified("openai", 429, openai("rate_limit_exceeded"), x_request_id="req_1")
    assert (failure.status, failure.provider_code) == (429, "rate_limit_exceeded")
    assert failure.provider_request_id == "req_1"
    assert classified("anthropic", 500, anthropic("api_error")).provider_request_id == "req_in_body"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "HTTP 502 with an empty body"),
        (b"<html><head><title>502 Bad Gateway</title>", "HTTP 502 with an HTML page instead of an answer"),
        (b"  <!DOCTYPE html>", "HTTP 502 with an HTML page instead of an answer"),
        (b"oops", "HTTP 502 with an unknown body"),
        (b'{"error":' + b"[" * 100_000, "HTTP 502 with an unknown body"),
    ],
)
def test_error_bodies_of_an_unknown_format(body: bytes, message: str) -> None:
    for dialect in ("openai", "anthropic", "gemini"):
        failure = classified(dialect, 502, body)
        assert (failure.kind, failure.message) == (K.SERVER, message)


def test_messages_show_no_credentials_and_no_pages() -> None:
    leaked = openai("invalid_api_key", message="Incorrect API key provided: sk-proj-abcdefgh1234.")
    assert "sk-" not in classified("openai", 401, leaked).message
    assert "sk-" not in classified("openai", 500, leaked).message
    long = classified("openai", 500, openai(message="a\x00b\n" * 10_000)).message
    assert len(long) <= 400
    assert "\n" not in long
    assert "\x00" not in long
    assert "hunter2" not in UpstreamFailure(K.SERVER, "key hunter2 is bad").without("hunter2").message


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini"])
@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"7", b'{"error":7}', b'{"error":{"details":7,"message":{}}}', b'{"error":[1]}']
)
def test_odd_shapes_are_classified_by_status(dialect: str, body: bytes) -> None:
    assert classified(dialect, 500, body).kind is K.SERVER


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting",
            "An internal error has occurred.",
        ),
        (
            "The server had an error. You can retry your request, or contact us through our help center at "
            "help.openai.com if the error persists. (Please include the request ID req_1 in your message.)",
            "The server had an error.",
        ),
        (
            "You exceeded your current quota. For more information, read the docs: https://platform.openai.com/x.",
            "You exceeded your current quota.",
        ),
        ("Unsupported value, see https://docs.example/values for more", "Unsupported value."),
        ("Could not fetch https://example.com/cat.png: 404. Try another.",) * 2,
    ],
)
def test_advice_to_the_providers_own_customers_is_left_out(message: str, expected: str) -> None:
    failure = ADAPTERS["gemini"].classify(500, {}, gemini(500, "INTERNAL", message))
    assert failure.message == expected
