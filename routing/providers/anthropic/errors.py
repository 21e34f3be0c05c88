"""Classifies errors of the Messages API; `FailureKind` says which of them are retried on the next arm."""

from typing import Any

from routing.providers.shared.error_rules import ErrorFacts, Headers, Rule, classified, json_object, strings
from routing.providers.shared.failures import FailureKind, UpstreamFailure

RULES: tuple[Rule, ...] = (
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


def classify(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """Name the failure that an error reply stands for. `status` is 200 for an error inside a stream."""
    return classified(RULES, _facts, status, headers, body)


def _facts(document: dict[str, Any]) -> ErrorFacts:
    error = json_object(document.get("error"))
    details = json_object(error.get("details"))
    return ErrorFacts(
        codes=strings(details.get("error_code"), error.get("type")), message=str(error.get("message") or "")
    )
