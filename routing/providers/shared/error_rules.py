"""The retry matrix as data: from an error reply in any dialect to one `UpstreamFailure`.

Source: spec/providers.md §5. Each dialect has a table of rules, first match wins, then the status decides.
The same tables judge errors inside an HTTP 200 stream, where only the body's own codes count.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from routing.providers.shared.failures import FailureKind, UpstreamFailure

Headers = Mapping[str, str]


class Rule(msgspec.Struct, frozen=True):
    """All conditions given must hold: status, code (regular expression, whole), piece of the message."""

    kind: FailureKind
    status: int | None = None
    code: str | None = None
    text: str | None = None


class ErrorFacts(msgspec.Struct, frozen=True):
    """What a dialect's error body says: its codes from most to least specific, and a sentence."""

    codes: tuple[str, ...] = ()
    message: str = ""
    delay_s: float | None = None
    status: int | None = None  # the body's own idea of the HTTP status


OPENAI: tuple[Rule, ...] = (
    Rule(FailureKind.QUOTA, code=r"insufficient_quota|billing_hard_limit_reached|credit_balance_exhausted"),
    Rule(FailureKind.QUOTA, code=r"\w*_spend_limit_exceeded|organization_usage_limit_exceeded"),
    Rule(FailureKind.CONTEXT, code=r"context_length_exceeded"),
    Rule(FailureKind.CONTEXT, status=400, text="maximum context length"),
    Rule(
        FailureKind.REFUSED, code=r"content_policy_violation|content_filter|invalid_prompt|moderation_blocked"
    ),
    Rule(FailureKind.MODEL_GONE, code=r"model_not_found"),
    Rule(FailureKind.AUTH, code=r"invalid_api_key|authentication_error|permission_error"),
    Rule(FailureKind.RATE_LIMIT, code=r"rate_limit_exceeded|rate_limit_error"),
    Rule(FailureKind.OVERLOADED, code=r"server_is_overloaded|overloaded|overloaded_error|slow_down"),
    Rule(FailureKind.SERVER, code=r"server_error|internal_error|timeout|vector_store_timeout"),
    Rule(FailureKind.BAD_REQUEST, code=r"invalid_request_error|BadRequestError", status=200),
)

ANTHROPIC: tuple[Rule, ...] = (
    Rule(FailureKind.RATE_LIMIT, code=r"ramp_limit_exceeded"),
    Rule(FailureKind.QUOTA, code=r"enforced_spend_limit_reached|contract_spend_limit_reached|billing_error"),
    Rule(FailureKind.QUOTA, text="credit balance is too low"),
    Rule(FailureKind.CONTEXT, text="prompt is too long"),
    Rule(FailureKind.CONTEXT, text="exceed context limit"),
    Rule(FailureKind.CONTEXT, code=r"request_too_large"),
    Rule(FailureKind.REFUSED, text="content filtering policy"),
    Rule(FailureKind.AUTH, code=r"authentication_error|permission_error"),
    Rule(FailureKind.MODEL_GONE, code=r"not_found_error"),
    Rule(FailureKind.RATE_LIMIT, code=r"rate_limit_error"),
    Rule(FailureKind.OVERLOADED, code=r"overloaded_error"),
    Rule(FailureKind.SERVER, code=r"api_error|timeout_error|conflict_error"),
    Rule(FailureKind.BAD_REQUEST, code=r"invalid_request_error", status=200),
)

GEMINI: tuple[Rule, ...] = (
    Rule(FailureKind.AUTH, code=r"API_KEY_INVALID|API_KEY_EXPIRED|API_KEY_SERVICE_BLOCKED"),
    Rule(FailureKind.AUTH, text="api key not valid"),
    Rule(FailureKind.QUOTA, code=r".*PerDay.*"),
    Rule(FailureKind.QUOTA, code=r"FAILED_PRECONDITION", text="billing"),
    Rule(FailureKind.CONTEXT, code=r"INVALID_ARGUMENT", text="input token count"),
    Rule(FailureKind.RATE_LIMIT, code=r"RESOURCE_EXHAUSTED"),
    Rule(FailureKind.OVERLOADED, code=r"UNAVAILABLE"),
    Rule(FailureKind.SERVER, code=r"INTERNAL|DEADLINE_EXCEEDED|UNKNOWN|ABORTED|CANCELLED"),
    Rule(FailureKind.AUTH, code=r"PERMISSION_DENIED|UNAUTHENTICATED"),
    Rule(FailureKind.MODEL_GONE, code=r"NOT_FOUND"),
    Rule(FailureKind.BAD_REQUEST, code=r"INVALID_ARGUMENT|FAILED_PRECONDITION|OUT_OF_RANGE|UNIMPLEMENTED"),
)

STATUSES: dict[int, FailureKind] = {
    400: FailureKind.BAD_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.QUOTA,
    403: FailureKind.AUTH,
    404: FailureKind.MODEL_GONE,
    408: FailureKind.SERVER,
    409: FailureKind.SERVER,
    410: FailureKind.MODEL_GONE,
    413: FailureKind.CONTEXT,
    422: FailureKind.BAD_REQUEST,
    429: FailureKind.RATE_LIMIT,
    503: FailureKind.OVERLOADED,
    529: FailureKind.OVERLOADED,
}  # any other: server


def openai(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """An error of the Chat Completions or Responses API, or of a server that imitates them."""
    return _classified(OPENAI, _openai_facts, status, headers, body)


def anthropic(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """An error of the Messages API."""
    return _classified(ANTHROPIC, _anthropic_facts, status, headers, body)


def gemini(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """An error of generateContent: waits and quota names are in the body's details."""
    return _classified(GEMINI, _gemini_facts, status, headers, body)


def _classified(
    rules: tuple[Rule, ...],
    read: Callable[[dict[str, Any]], ErrorFacts],
    status: int,
    headers: Headers,
    body: bytes,
) -> UpstreamFailure:
    document = _json_object(body)
    facts = read(document)
    effective = facts.status if status < 300 and facts.status else status
    kind = _matched(rules, effective, facts) or STATUSES.get(effective, FailureKind.SERVER)
    delay = None if kind is FailureKind.QUOTA else _delay_s(headers, facts)
    return UpstreamFailure(
        kind,
        _sentence(kind, status, facts, body),
        status=status,
        retry_after_s=delay,
        provider_code=facts.codes[0][:80] if facts.codes else None,
        provider_request_id=request_id(headers, document.get("request_id")),
        should_retry={"true": True, "false": False}.get(headers.get("x-should-retry", "")),
    )


def _matched(rules: tuple[Rule, ...], status: int, facts: ErrorFacts) -> FailureKind | None:
    message = facts.message.lower()
    for rule in rules:
        if rule.status is not None and rule.status != status:
            continue
        if rule.text is not None and rule.text not in message:
            continue
        if rule.code is not None and not any(re.fullmatch(rule.code, code) for code in facts.codes):
            continue
        return rule.kind
    return None


def _openai_facts(document: dict[str, Any]) -> ErrorFacts:
    error = document.get("error")
    if isinstance(error, str):  # Ollama and others: {"error": "sentence"}
        return ErrorFacts(message=error)
    if not isinstance(error, dict):  # a stream's error event carries its fields at the top
        error = document
    return ErrorFacts(
        codes=_strings(error.get("code"), error.get("type")),
        message=str(error.get("message") or document.get("detail") or ""),
        status=_int(error.get("code")),
    )


def _anthropic_facts(document: dict[str, Any]) -> ErrorFacts:
    error = _object(document.get("error"))
    details = _object(error.get("details"))
    return ErrorFacts(
        codes=_strings(details.get("error_code"), error.get("type")), message=str(error.get("message") or "")
    )


def _gemini_facts(document: dict[str, Any]) -> ErrorFacts:
    error = _object(document.get("error"))
    codes: list[str] = []
    delay: float | None = None
    for detail in _list(error.get("details")):
        detail = _object(detail)
        codes.extend(_strings(detail.get("reason")))
        for violation in _list(detail.get("violations")):
            codes.extend(_strings(_object(violation).get("quotaId")))
        if (wait := _duration_s(detail.get("retryDelay"))) is not None:
            delay = wait
    codes.extend(_strings(error.get("status")))
    return ErrorFacts(tuple(codes), str(error.get("message") or ""), delay, _int(error.get("code")))


def _sentence(kind: FailureKind, status: int, facts: ErrorFacts, body: bytes) -> str:
    if kind is FailureKind.AUTH:  # providers echo parts of the key
        return f"the provider refused its credential (HTTP {status})"
    if facts.message:
        return facts.message
    start = body[:200].lstrip().lower()
    if not start:
        return f"HTTP {status} with an empty body"
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return f"HTTP {status} with an HTML page instead of an answer"
    return f"HTTP {status} with an unknown body"


def _delay_s(headers: Headers, facts: ErrorFacts) -> float | None:
    """Seconds to wait as the provider says: milliseconds header, then seconds or date, then the body."""
    if (milliseconds := _float(headers.get("retry-after-ms"))) is not None:
        return max(0.0, milliseconds / 1000)
    value = headers.get("retry-after")
    if value is None:
        return facts.delay_s
    if (seconds := _float(value)) is not None:
        return max(0.0, seconds)
    try:
        when = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return facts.delay_s
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def request_id(headers: Headers, in_body: Any = None) -> str | None:
    """The provider's own id of the call, for its support."""
    for value in (headers.get("x-request-id"), headers.get("request-id"), in_body):
        if isinstance(value, str) and value:
            return value[:120]
    return None


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return {}
    if isinstance(value, list) and value:  # Gemini wraps unstreamed errors of its streaming method in a list
        value = value[0]
    return value if isinstance(value, dict) else {}


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(*values: Any) -> tuple[str, ...]:
    return tuple(value for value in values if isinstance(value, str) and value)


def _int(value: Any) -> int | None:
    return value if isinstance(value, int) and 300 <= value < 600 else None


def _float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < 1e9 else None


def _duration_s(value: Any) -> float | None:
    return _float(value[:-1]) if isinstance(value, str) and value.endswith("s") else None
