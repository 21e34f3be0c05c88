"""Injected faults: kind, provider and frequency; and each provider's real error body for a status."""

import random
from typing import Any, Literal

import msgspec

from routing.simulator.shared.errors import ErrorReply, anthropic_error, google_error, openai_error

Kind = Literal[
    "status",
    "delay",
    "cut",
    "stall",
    "malformed",
    "wrong_model",
    "drop_usage",
    "refuse_connection",
    "empty_body",
    "html_error",
    "error_in_200",
    "slow_bytes",
    "no_done",
    "no_closing",
    "noise",
    "header_flood",
    "gzip_bomb",
    "go_on",
    "raw",
]
Manner = Literal["clean", "overlap", "restart", "bare"]

DEFAULT_STALL_S = 600.0


class Fault(msgspec.Struct, forbid_unknown_fields=True):
    """One fault. `count` uses, or each call with chance `rate`, or (neither) every call until deleted.

    `model` is the name as requested. `delay_s` is in real seconds, not scaled by speed: before the first byte
    for "delay", of silence for "stall", between pieces for "slow_bytes". `after_chunks`: frames sent before
    the fault. `piece_bytes`: how much "slow_bytes" sends at once. `manner`: how a model goes on with a cut
    answer, for "go_on" (see `going_on`). `pieces`: the body of "raw", base64, sent `delay_s` apart; with
    `endless` the last piece repeats until the client leaves.
    """

    kind: Kind
    provider: Literal["openai", "anthropic", "google"] | None = None
    model: str | None = None
    status: int | None = None
    retry_after: float | None = None
    body: dict[str, Any] | None = None
    error_code: str | None = None
    delay_s: float | None = None
    after_chunks: int | None = None
    manner: Manner | None = None
    piece_bytes: int | None = None
    pieces: list[bytes] = []
    media_type: str = "text/event-stream"
    endless: bool = False
    count: int | None = None
    rate: float | None = None
    id: str = ""
    used: int = 0

    def fits(self, provider: str, model: str) -> bool:
        return self.provider in {None, provider} and self.model in {None, model}


class Faults:
    """The active faults, oldest first; the first that matches a call is applied."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - chance of a simulated fault
        self._orders: list[Fault] = []
        self._count = 0

    def add(self, fault: Fault) -> Fault:
        self._count += 1
        fault.id = f"fault_{self._count}"
        self._orders.append(fault)
        return fault

    def all(self) -> list[Fault]:
        return list(self._orders)

    def clear(self) -> None:
        self._orders.clear()

    def draw(self, provider: str, model: str) -> Fault | None:
        for fault in self._orders:
            if not fault.fits(provider, model):
                continue
            if fault.count is not None and fault.used >= fault.count:
                continue
            if fault.rate is not None and self._random.random() >= fault.rate:
                continue
            fault.used += 1
            return fault
        return None


def status_error(provider: str, fault: Fault, model: str) -> ErrorReply:
    """The provider's real error for the fault's status (default 500) and error code."""
    status = fault.status or 500
    error_reply = {"openai": _openai, "anthropic": _anthropic, "google": _google}[provider](
        status, fault, model
    )
    if fault.body is not None:
        error_reply.body = fault.body
    return error_reply


_OPENAI: dict[int, tuple[str, str, str | None]] = {
    400: ("Invalid request.", "invalid_request_error", None),
    401: (
        "Incorrect API key provided. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    403: ("You are not allowed to use this model.", "invalid_request_error", "model_not_allowed"),
    404: (
        "The model `{model}` does not exist or you do not have access to it.",
        "invalid_request_error",
        "model_not_found",
    ),
    408: ("Request timed out.", "timeout", None),
    409: ("The request conflicted with another one. Please retry.", "invalid_request_error", "conflict"),
    429: (
        "Rate limit reached for {model} in organization org-simulated on requests per min (RPM): "
        "Limit 500, Used 500, "
        "Requested 1. Please try again in 120ms.",
        "requests",
        "rate_limit_exceeded",
    ),
    500: (
        "The server had an error while processing your request. Sorry about that!",
        "server_error",
        None,
    ),
    503: (
        "The server is currently overloaded with other requests. Sorry about that! You can retry "
        "your request.",
        "service_unavailable_error",
        "server_is_overloaded",
    ),
}
_OPENAI_CODES: dict[str, tuple[str, str]] = {
    "insufficient_quota": (
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
    ),
    "billing_hard_limit_reached": ("Billing hard limit has been reached.", "invalid_request_error"),
    "context_length_exceeded": (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 "
        "tokens. Please reduce the length of the messages.",
        "invalid_request_error",
    ),
    "content_policy_violation": (
        "Your request was rejected as a result of our safety system.",
        "invalid_request_error",
    ),
    "credit_balance_exhausted": ("Your credit balance is exhausted.", "insufficient_quota"),
}


def _openai(status: int, fault: Fault, model: str) -> ErrorReply:
    message, kind, code = _OPENAI.get(status, _OPENAI[500])
    if fault.error_code is not None:
        code = fault.error_code
        message, kind = _OPENAI_CODES.get(code, (message, kind))
    headers: dict[str, str] = {}
    if fault.retry_after is not None:
        headers = {"retry-after": f"{fault.retry_after:g}", "retry-after-ms": f"{fault.retry_after * 1000:g}"}
    return openai_error(status, message.replace("{model}", model), kind=kind, code=code, headers=headers)


_ANTHROPIC = {
    400: "messages: Invalid request",
    401: "invalid x-api-key",
    402: "Your account has a billing problem. Please check your payment details.",
    403: "Your API key does not have permission to use the specified resource.",
    404: "model: {model}",
    413: "Request exceeds the maximum size",
    429: "This request would exceed your organization's rate limit of 4,000 requests per minute.",
    500: "Internal server error",
    504: "Request timed out",
    529: "Overloaded",
}
_ANTHROPIC_CODES = {
    "credit_balance_too_low": "Your credit balance is too low to access the Anthropic API. Please "
    "go to Plans & Billing to "
    "upgrade or purchase credits.",
    "context_length_exceeded": "prompt is too long: 1000200 tokens > 1000000 maximum",
    "content_policy_violation": "Output blocked by content filtering policy",
}
_SPEND_CODES = frozenset({"enforced_spend_limit_reached", "contract_spend_limit_reached"})


def _anthropic(status: int, fault: Fault, model: str) -> ErrorReply:
    if status == 503:
        status = 529  # Anthropic's status for overloaded
    message = _ANTHROPIC.get(status, _ANTHROPIC[500]).replace("{model}", model)
    code = fault.error_code
    headers: dict[str, str] = {}
    if code in _ANTHROPIC_CODES:
        message, code = _ANTHROPIC_CODES[code], None
    elif status == 429 and code not in _SPEND_CODES:
        headers["retry-after"] = f"{fault.retry_after if fault.retry_after is not None else 1:g}"
    if fault.retry_after is not None:
        headers["retry-after"] = f"{fault.retry_after:g}"
    return anthropic_error(status, message, error_code=code, headers=headers)


_GOOGLE = {
    400: "Request contains an invalid argument.",
    401: "Request had invalid authentication credentials.",
    403: "The caller does not have permission",
    404: "models/{model} is not found for API version v1beta, or is not supported for "
    "generateContent. Call ListModels to "
    "see the list of available models and their supported methods.",
    429: "You exceeded your current quota, please check your plan and billing details.",
    500: "An internal error has occurred. Please retry or report in "
    "https://developers.generativeai.google/guide/troubleshooting",
    503: "The model is overloaded. Please try again later.",
    504: "The request timed out. Please try again.",
}
_GOOGLE_CODES = {
    "context_length_exceeded": "The input token count (1100000) exceeds the maximum number of "
    "tokens allowed (1048576).",
    "API_KEY_INVALID": "API key not valid. Please pass a valid API key.",
    "content_policy_violation": "The request was blocked by a content policy.",
}
_QUOTA_CODES = frozenset({"insufficient_quota", "PerDay", "per_day"})


def _google(status: int, fault: Fault, model: str) -> ErrorReply:
    message = _GOOGLE.get(status, _GOOGLE[500]).replace("{model}", model)
    details: list[dict[str, Any]] = []
    if fault.error_code in _GOOGLE_CODES:
        message = _GOOGLE_CODES[str(fault.error_code)]
    if fault.error_code == "API_KEY_INVALID":
        details.append({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"})
    if status == 429:
        window = "PerDay" if fault.error_code in _QUOTA_CODES else "PerMinute"
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": f"GenerateRequests{window}PerProjectPerModel",
            "quotaDimensions": {"model": model, "location": "global"},
        }
        details.append({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [quota]})
        wait = fault.retry_after if fault.retry_after is not None else 1
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:g}s"})
    return google_error(status, message, details=details)
