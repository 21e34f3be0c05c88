"""Errors of generateContent: waiting times and the names of quotas are in the details of the body."""

from typing import Any

from routing.providers.shared.error_rules import (
    ErrorFacts,
    Headers,
    Rule,
    classified,
    duration_s,
    json_list,
    json_object,
    status_in_body,
    strings,
)
from routing.providers.shared.failures import FailureKind, UpstreamFailure

RULES: tuple[Rule, ...] = (
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


def classify(status: int, headers: Headers, body: bytes) -> UpstreamFailure:
    """Name the failure that an error reply stands for. `status` is 200 for an error inside a stream."""
    return classified(RULES, _facts, status, headers, body)


def _facts(document: dict[str, Any]) -> ErrorFacts:
    error = json_object(document.get("error"))
    codes: list[str] = []
    delay: float | None = None
    for detail in json_list(error.get("details")):
        detail = json_object(detail)
        codes.extend(strings(detail.get("reason")))
        for violation in json_list(detail.get("violations")):
            codes.extend(strings(json_object(violation).get("quotaId")))
        if (wait := duration_s(detail.get("retryDelay"))) is not None:
            delay = wait
    codes.extend(strings(error.get("status")))
    return ErrorFacts(tuple(codes), str(error.get("message") or ""), delay, status_in_body(error.get("code")))
