"""Attempts: the record of each upstream call of a request, and which of them answered."""

import copy
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from billing.usage import Usage, UsageIssue
from routing.language.arms import Arm, ModelFacts
from routing.language.chat import (
    CONTENT_EVENTS,
    Finished,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Served,
    Started,
    StreamEvent,
    TextDelta,
    ToolCallDelta,
    UsageReport,
)
from routing.language.fidelity import Receipt
from routing.providers.shared.failures import UpstreamFailure


class InputCount(msgspec.Struct, frozen=True):
    """Input tokens of one upstream call as counted here, and the most that a provider can plausibly count."""

    tokens: int
    most: int


UNCOUNTED = InputCount(0, 0)


class AttemptRecord:
    """One upstream call, updated while it runs. Times in ms, `began` in seconds of time.monotonic()."""

    def __init__(self, number: int, arm: Arm, facts: ModelFacts) -> None:
        self.number, self.arm, self.facts = number, arm, facts
        self.started_at = datetime.now(UTC)
        self.began = time.monotonic()
        self.patience_s = 0.0  # until its first byte
        self.ends_at = 0.0  # time.monotonic() by which a completion that is not streamed must be whole
        self.ttft_ms: int | None = None
        self.latency_ms = 0
        self.outcome: str | None = None  # billing.models.Attempt.Outcome; None while it runs
        self.failure: UpstreamFailure | None = None
        self.usage: Usage | None = None
        self.upstream_model = ""
        self.receipt: Receipt = ()
        self.service_tier = ""  # with a price of its own, as sent and then as served; empty: standard
        self.lost_tier = ""  # the caller's service tier, if it has no price for this model
        self.most_output_tokens: int | None = None  # the limit sent upstream
        self.allowed_output_tokens: int | None = (
            None  # the limit if money were no limit; None: see the request
        )
        self.limit_reached_at: float | None = None  # when the visible answer was as long as the caller allows
        self.ended_early = False  # the call was closed after that, before its usage was reported
        self.expected_reasoning = 0  # tokens of all choices, by forecast
        self.choices = 1
        self.calls = 1  # upstream calls that its choices take
        self.response_id: str | None = None
        self.input_count = UNCOUNTED  # of one call, without `continued`
        self.continued = ""  # the part of a cut answer that this attempt was sent to continue
        self._text: list[str] = []  # as received, to count tokens when no usage is reported
        self._reasoning: list[str] = []
        self.finish: FinishReason | None = None
        self.released = False  # something of it reached the caller
        self.caller_left = False  # or did not read on; its provider goes on writing

    def end(self, outcome: str, failure: UpstreamFailure | None = None) -> None:
        if self.outcome is None:
            self.outcome, self.failure = outcome, failure
            self.latency_ms = round((time.monotonic() - self.began) * 1000)

    def note(self, event: StreamEvent) -> None:
        if type(event) is TextDelta:  # nearly all events of a stream
            self._text.append(event.text)
            if self.ttft_ms is None:
                self.ttft_ms = round((time.monotonic() - self.began) * 1000)
            return
        match event:
            case Started():
                self.upstream_model, self.response_id = event.model, event.response_id
                self.receipt = event.receipt
            case Served():
                self.service_tier = event.service_tier
            case UsageReport():
                self.usage, self.calls = event.usage, max(self.calls, event.calls)
            case Finished():
                self.finish = event.reason
            case RefusalDelta():
                self._text.append(event.text)
            case ToolCallDelta():
                self._text.append((event.name or "") + event.arguments)
            case ReasoningDelta():
                self._reasoning.append(event.text)
            case _:
                pass
        if self.ttft_ms is None and isinstance(event, CONTENT_EVENTS):
            self.ttft_ms = round((time.monotonic() - self.began) * 1000)

    @property
    def written(self) -> str:
        """The visible answer, tool calls included."""
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        """The reasoning that the provider showed."""
        return "".join(self._reasoning)

    def without_report(self) -> "AttemptRecord":
        """A copy without any value of the provider's, for a settlement that must not fail because of one."""
        bare = copy.copy(self)
        bare.usage, bare.upstream_model, bare.response_id = Usage(issue=UsageIssue.UNWRITABLE), "", None
        bare.receipt = ()
        if self.failure is not None:
            bare.failure = UpstreamFailure(self.failure.kind, "", status=self.failure.status)
        return bare

    def summary(self) -> "AttemptSummary":
        return AttemptSummary(
            model=self.arm.model,
            provider=self.facts.provider,
            effort=self.arm.effort,
            outcome=self.outcome or "running",
            error=self.failure.kind if self.failure else None,
            latency_ms=self.latency_ms,
        )


class AttemptSummary(msgspec.Struct, frozen=True):
    """An attempt as callers see it. Latency in ms."""

    model: str
    provider: str
    effort: str | None
    outcome: str
    error: str | None
    latency_ms: int


def answering(attempts: Sequence[AttemptRecord]) -> AttemptRecord | None:
    """The attempt that answers, or answered; None when all failed.

    It is the last that has not failed: when a rescue fails, the part delivered before it is the answer.
    """
    for attempt in reversed(attempts):
        if attempt.outcome != "failed":
            return attempt
    return None


def fallback_used(attempts: Sequence[AttemptRecord], chosen: Arm) -> bool:
    """Return whether another arm than the chosen one answers. A retry on the same arm is no fallback."""
    attempt = answering(attempts)
    return attempt is not None and attempt.arm != chosen
