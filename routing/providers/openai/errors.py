"""Errors of OpenAI's APIs, and of servers that imitate them."""

from typing import Any

from routing.providers.shared.error_rules import (
    ErrorFacts,
    Headers,
    Rule,
    classified,
    status_in_body,
    strings,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure

RULES: tuple[Rule, ...] = (
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


def classify(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """Name the failure that an error reply stands for. `status` is 200 for an error inside a stream."""
    return classified(RULES, _facts, status, headers, body)


def _facts(document: dict[str, Any]) -> ErrorFacts:
    error = document.get("error")
    if isinstance(error, str):  # Ollama and others: {"error": "sentence"}
        return ErrorFacts(message=error)
    if not isinstance(error, dict):  # a stream's error event carries its fields at the top
        error = document
    return ErrorFacts(
        codes=strings(error.get("code"), error.get("type")),
        message=str(error.get("message") or document.get("detail") or ""),
        status=status_in_body(error.get("code")),
    )
