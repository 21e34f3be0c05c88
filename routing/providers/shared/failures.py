"""The kinds of failure of an upstream call, and the next steps each kind allows (docs/reliability.md)."""

import re
from enum import StrEnum
from typing import Literal

import msgspec

Scope = Literal["model", "provider"]

_MAX_MESSAGE = 400  # characters; enough for every provider's own sentence, too short for a page
_CREDENTIALS = re.compile(r"\b(?:sk-|AIza|rp_live_|Bearer\s+)[\w*.…-]{4,}", re.IGNORECASE)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]+")


class FailureKind(StrEnum):
    RATE_LIMIT = "rate_limit"
    QUOTA = "quota"  # credit or spend limit: waiting does not help
    OVERLOADED = "overloaded"
    SERVER = "server"
    TIMEOUT = "timeout"  # one of our deadlines passed
    UNAVAILABLE = "unavailable"  # not reached: refused, DNS, TLS
    CONTEXT = "context"  # longer than the model's window
    BAD_REQUEST = "bad_request"
    REFUSED = "refused"  # content policy
    AUTH = "auth"
    MODEL_GONE = "model_gone"
    TRUNCATED = "truncated"  # the answer ended without a finish reason
    MALFORMED = "malformed"  # not the provider's protocol


class Action(msgspec.Struct, frozen=True):
    """The next steps that a kind of failure allows."""

    other_arm: bool = True  # another arm may answer
    same_arm_retries: int = 0  # how often to retry the same arm
    scope: Scope = "model"  # the part that has failed: the next attempt avoids it
    breaker: Literal["none", "short", "long"] = "short"


ACTIONS: dict[FailureKind, Action] = {
    FailureKind.RATE_LIMIT: Action(same_arm_retries=1),
    FailureKind.QUOTA: Action(scope="provider", breaker="long"),
    FailureKind.OVERLOADED: Action(same_arm_retries=1),
    FailureKind.SERVER: Action(same_arm_retries=1),
    FailureKind.TIMEOUT: Action(),
    FailureKind.UNAVAILABLE: Action(scope="provider"),
    FailureKind.CONTEXT: Action(breaker="none"),
    FailureKind.BAD_REQUEST: Action(other_arm=False, breaker="none"),
    FailureKind.REFUSED: Action(other_arm=False, breaker="none"),
    FailureKind.AUTH: Action(same_arm_retries=1, scope="provider", breaker="long"),
    FailureKind.MODEL_GONE: Action(breaker="long"),
    FailureKind.TRUNCATED: Action(),
    FailureKind.MALFORMED: Action(),
}


class UpstreamFailure(Exception):
    """One upstream call failed. `message` is safe to show: no credentials, no pages, bounded length."""

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        provider_code: str | None = None,
        provider_request_id: str | None = None,
        should_retry: bool | None = None,  # x-should-retry, when the provider says
    ) -> None:
        self.kind = kind
        self.message = presentable(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.provider_code = provider_code
        self.provider_request_id = provider_request_id
        self._should_retry = should_retry
        super().__init__(self.message)

    @property
    def scope(self) -> Scope:
        return ACTIONS[self.kind].scope

    @property
    def retriable(self) -> bool:
        """Return whether another arm may answer; with `needs_larger_window`, one with a larger window."""
        return ACTIONS[self.kind].other_arm

    @property
    def needs_larger_window(self) -> bool:
        return self.kind is FailureKind.CONTEXT

    @property
    def same_arm_retries(self) -> int:
        """How often to retry the same arm, after `retry_after_s` seconds if that is set."""
        if self._should_retry is None or not self.retriable:
            return ACTIONS[self.kind].same_arm_retries
        return max(1, ACTIONS[self.kind].same_arm_retries) if self._should_retry else 0

    @property
    def breaker(self) -> Literal["none", "short", "long"]:
        return ACTIONS[self.kind].breaker

    def without(self, secret: str) -> "UpstreamFailure":
        """The failure itself, with the secret removed from its message: providers may echo it."""
        if secret and secret in self.message:
            return self.saying(self.message.replace(secret, "…"))
        return self

    def saying(self, message: str) -> "UpstreamFailure":
        """The failure itself, with another message."""
        self.message = message
        self.args = (message,)
        return self


def presentable(text: str) -> str:
    """One bounded line without control characters or anything that looks like a credential."""
    line = _CREDENTIALS.sub("…", _UNPRINTABLE.sub(" ", text[: 2 * _MAX_MESSAGE])).strip()
    return line if len(line) <= _MAX_MESSAGE else line[: _MAX_MESSAGE - 1] + "…"
