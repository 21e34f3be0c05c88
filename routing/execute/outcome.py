"""The error that the caller gets when no arm answered."""

import math
from collections.abc import Sequence

import msgspec

from core.errors import ApiError
from routing.execute.attempt import AttemptRecord
from routing.language.errors import (
    AllProvidersFailed,
    BadRequest,
    ContentPolicyViolation,
    ContextLengthExceeded,
    ProviderError,
    ProviderTimeout,
    ProviderUnavailable,
    RequestTimeout,
)
from routing.providers.shared.failures import FailureKind

# The caller's own mistakes: no other arm would help, or none that could was left.
_CALLER_ERRORS: dict[FailureKind, tuple[type[ApiError], str]] = {
    FailureKind.BAD_REQUEST: (BadRequest, "The provider rejected the request: {}"),
    FailureKind.REFUSED: (ContentPolicyViolation, "The provider refused this content: {}"),
    FailureKind.CONTEXT: (
        ContextLengthExceeded,
        "The messages do not fit the context window: {} Shorten them or lower max_output_tokens.",
    ),
}
_PROVIDER_ERRORS: dict[FailureKind, tuple[type[ApiError], str]] = {
    FailureKind.TIMEOUT: (ProviderTimeout, "The provider did not answer in time: {} Try again."),
    FailureKind.UNAVAILABLE: (ProviderUnavailable, "The provider cannot be reached: {} Try again."),
    FailureKind.RATE_LIMIT: (AllProvidersFailed, "The provider limits our rate: {} Try again later."),
}
_OTHER = (ProviderError, "The provider failed: {} Try again.")


def all_paused(wait_s: float) -> ProviderUnavailable:
    """The error when only circuit breakers stand in the way. `wait_s`: until the first model may be tried."""
    seconds = max(1, math.ceil(wait_s))
    return ProviderUnavailable(
        f"Every model that could answer is paused after failures. Try again in {seconds} s.",
        headers={"Retry-After": str(seconds)},
    )


def final_error(attempts: Sequence[AttemptRecord], wait_s: float = 0.0) -> ApiError:
    """The error for a request whose attempts all failed, or that no arm could be tried for.

    `wait_s`: see `all_paused`.
    """
    if not attempts:
        return all_paused(wait_s)
    last = attempts[-1].failure
    kind = last.kind if last is not None else FailureKind.TIMEOUT
    reason = _sentence(last.message if last is not None else "no time was left")
    details = {"attempts": [msgspec.to_builtins(attempt.summary()) for attempt in attempts]}
    headers = {}
    if last is not None and last.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(last.retry_after_s)))
    if kind in _CALLER_ERRORS:
        error, template = _CALLER_ERRORS[kind]
        return error(template.format(reason), details=details)
    if len({attempt.arm for attempt in attempts}) > 1:
        return AllProvidersFailed(
            f"All {len(attempts)} attempts failed; the last one: {reason} Try again.",
            details=details,
            headers=headers,
        )
    error, template = _PROVIDER_ERRORS.get(kind, _OTHER)
    return error(template.format(reason), details=details, headers=headers)


def not_read_in_time() -> RequestTimeout:
    return RequestTimeout(
        "The answer was not read before the request's deadline. Read the stream as it arrives, or request "
        "less at a time."
    )


def _sentence(text: str) -> str:
    text = text.strip() or "no reason was given"
    return text if text[-1] in ".!?" else text + "."
