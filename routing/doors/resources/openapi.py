"""The answers of the endpoints that need a key, for the OpenAPI document. Times in ms, money in USD."""

from datetime import date
from typing import Annotated, Any, Literal

from drf_spectacular.types import OpenApiTypes
from msgspec import Struct, defstruct, field

from billing.reports.export import Format
from routing.doors.shared.native.envelope import ERROR_RESPONSES, Meta, Usage
from routing.doors.shared.openapi import DateTime, answers, doc


class Candidate(Struct):
    arm: Annotated[str, doc("A model, or a model at an effort: what is chosen among.")]
    model: str
    effort: str | None
    provider: str
    p_success: float
    cost_usd: Annotated[float, doc("Expected; null: unpriced.")] | None
    latency_ms: float
    utility: Annotated[float, doc("In the strategy's own unit.")] | None
    retires: Annotated[date, doc("When that is within 14 days: it then ranks last.")] | None


class Removed(Struct):
    arm: str
    model: str
    effort: str | None
    provider: str
    code: str
    reason: str


class Alternative(Struct):
    """A candidate that was not chosen, and why."""

    arm: str
    roles: Annotated[
        list[str],
        doc(
            "best: the likeliest to succeed. cheapest. runner_up. cheaper_and_likelier: than the chosen one; "
            "every such candidate is listed."
        ),
    ]
    facts: Annotated[
        list[str],
        doc(
            "What decided against it: pinned, chance, retirement, competence, no_scores, availability, "
            "counts_as_equal, success, cost, latency, order (all else is equal) or rules "
            "(the record is older than today's)."
        ),
    ]
    reason: Annotated[str, doc("The same in one sentence, with the numbers that were compared.")]


class Expected(Struct):
    cost_usd: float | None
    input_tokens: int
    output_tokens: int
    latency_ms: int


class ExpectedBaseline(Struct):
    """The forecast for the account's baseline model, from its own tokens. Output is of all choices."""

    model: str
    cost_usd: float | None
    effort: Annotated[str, doc("The effort it runs at; null: it does not reason.")] | None
    low_usd: Annotated[float, doc("90 % interval of cost_usd.")] | None
    high_usd: float | None
    input_tokens: Annotated[int, doc("Counted with the baseline's tokenizer, for one call.")] | None
    calls: Annotated[int, doc("Upstream calls, each paying for the input.")]
    visible_tokens: int | None
    reasoning_tokens: int | None
    max_output_tokens: int | None
    answer_tokens: Annotated[int, doc("Visible tokens forecast for the chosen arm.")] | None
    spread: Annotated[float, doc("Standard deviation of log output tokens around the forecast.")] | None


class RouteData(Struct):
    model: str
    effort: str | None
    chain: Annotated[list[str], doc("Arms in the order they would be tried.")]
    routing_mode: str
    strategy: str
    reason: str
    flip: Annotated[str, doc("What would have changed the choice.")]
    alternatives: Annotated[list[Alternative], doc("Why not that one? In the order of the ranking.")]
    query_type: str
    complexity: Annotated[
        float, doc("How often an average model without much reasoning fails on such a request, 0 to 1.")
    ]
    level: Annotated[float, doc("Of the request, from 1 (trivial) to 5 (very hard).")]
    refined: Annotated[bool, doc("Whether the second look of the encoder is part of the level.")]
    estimated: Expected
    baseline: ExpectedBaseline | None
    saved_usd: Annotated[float, doc("Against the baseline; negative: more expensive.")] | None
    candidates: Annotated[list[Candidate], doc("Best first.")]
    removed: list[Removed]
    notes: list[str]


class FeedbackData(Struct):
    request_id: str
    score: float
    comment: str | None
    created_at: DateTime
    updated_at: DateTime


class RatingData(FeedbackData):
    rating: int


class FeedbackMean(Struct):
    count: int
    mean_score: float | None


class Opinion(Struct):
    model: str | None
    query_type: str | None
    count: int
    mean_score: float


class Influence(Struct):
    applied: Annotated[bool, doc("Whether anything learnt changes decisions now")]
    mode: Literal["on", "frozen", "off"]
    bound: Annotated[float, doc("P(success) is moved by at most this")]
    message: str


class Posterior(Struct):
    arm: str
    skill: str
    outcomes: int
    evidence: Annotated[float, doc("Summed weight of the outcomes, decayed by age")]
    expected: Annotated[float, doc("Mean P(success) that was predicted of them")]
    observed: Annotated[float, doc("Mean score that was seen")]
    common: Annotated[float, doc("How much better than predicted all arms do; in no shift")]
    influence: Annotated[float, doc("Share of the posterior's move that counts")]
    shift: Annotated[float, doc("What it adds to P(success)")]


class LearningData(Struct):
    feedback: FeedbackMean
    by_model_and_query_type: list[Opinion]
    learnt: list[Posterior]
    influence: Influence


class ForgottenData(Struct):
    forgotten: int


class KeyName(Struct):
    id: int
    name: str
    last_four: str


class CodedError(Struct):
    code: str
    message: str


class LogLine(Struct):
    id: str
    created_at: DateTime
    settled_at: DateTime | None
    status: str
    door: str
    routing_mode: str
    strategy: str
    query_type: str | None
    requested_model: str | None
    routed_model: str
    model_used: str | None
    effort: str | None
    provider: str | None
    streamed: bool
    fallback_used: bool
    key: KeyName
    usage: Usage
    latency_ms: int | None
    ttft_ms: int | None
    finish_reason: str | None
    error: CodedError | None
    metadata: dict[str, str] | None


class Tokens(Struct):
    uncached_input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    output_tokens: Annotated[int, doc("Reasoning included.")]
    reasoning_tokens: int


class UnitPrices(Struct):
    """USD per million tokens."""

    uncached_input: float
    output: float
    cache_read: float
    cache_write: float
    cache_write_1h: float


class Baseline(Struct):
    model: str | None
    cost_usd: (
        Annotated[
            float,
            doc(
                "What the baseline would have cost: its forecast tokens, reasoning included, scaled by the "
                "answer's visible length over its forecast. When the baseline answered itself, what was paid."
            ),
        ]
        | None
    )
    low_usd: Annotated[float, doc("90 % interval of the forecast; null in version 1.")] | None
    high_usd: float | None
    saved_usd: Annotated[float, doc("cost_usd less what was paid; negative: more expensive.")] | None
    version: Annotated[
        int, doc("1: older, the answer's own tokens at the baseline's prices. 2: as described.")
    ]


class KindError(Struct):
    kind: str
    message: str


class LoggedAttempt(Struct):
    number: int
    model: str
    effort: str | None
    provider: str
    outcome: str
    error: KindError | None
    status_code: int | None
    started_at: DateTime
    latency_ms: int
    ttft_ms: int | None
    usage_by_class: Tokens
    cost_usd: float | None
    provider_request_id: str | None


class FeedbackEntry(Struct):
    score: float
    comment: str | None
    updated_at: DateTime


class RefusedLine(Struct):
    id: Annotated[str, doc("Of the first of the calls, as in its X-Request-Id.")]
    created_at: DateTime
    count: Annotated[int, doc("Equal calls within a second are one entry.")]
    door: str
    method: str
    path: str
    status_code: Annotated[int, doc("HTTP status of the answer.")]
    error: CodedError
    field: Annotated[str, doc("The first field that the error names.")] | None
    key: KeyName


class LogEntry(LogLine):
    upstream_model: str | None
    usage_by_class: Tokens
    usage_estimated: bool
    usage_issue: Annotated[
        Literal["unreadable", "inconsistent", "implausible", "unwritable"] | None,
        doc("What is wrong with the provider's usage report; null: nothing."),
    ]
    unit_prices: UnitPrices | None
    price_version: str | None
    unpriced: bool
    wasted_usd: Annotated[float, doc("Billed for failed attempts; not charged.")]
    baseline: Baseline
    selection_probability: float
    attempts: list[LoggedAttempt]
    feedback: list[FeedbackEntry]
    fidelity: Annotated[dict[str, Any], doc("What became of each parameter; null without an answer.")] | None
    alternatives: Annotated[
        list[Alternative], doc("Why not that one? From the trace, in the order of its ranking.")
    ]
    decision: Annotated[dict[str, Any], doc("The full trace of the decision.")]


class Total(Struct):
    requests: int
    input_tokens: int
    output_tokens: int
    total_tokens: int
    cost_usd: float
    unpriced_requests: Annotated[int, doc("Requests whose model has no known price.")]


class DayTotal(Total):
    day: date


class ModelTotal(Total):
    model: str | None


class ProviderTotal(Total):
    provider: str | None


class KeyTotal(Total):
    key: KeyName


class UsageData(Struct):
    start: DateTime = field(name="from")
    to: DateTime
    totals: Total
    by_day: list[DayTotal]
    by_model: list[ModelTotal]
    by_provider: list[ProviderTotal]
    by_key: list[KeyTotal]


class Limits(Struct):
    """null: no ceiling."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    daily_tokens: int | None
    monthly_tokens: int | None
    daily_usd: float | None
    monthly_usd: float | None


class BothLimits(Struct):
    key: Limits
    account: Limits


class Today(Struct):
    requests: int
    spent_usd: float
    held_usd: Annotated[float, doc("Set aside for requests under way.")]
    spent_tokens: int
    left_usd: Annotated[float, doc("By the tighter of the key's and the account's ceiling.")] | None
    left_tokens: int | None
    resets_at: DateTime


class KeyData(KeyName):
    account: str
    plan: str
    scopes: list[str]
    allowed_models: list[str] | None
    strategy: str
    created_at: DateTime
    expires_at: DateTime | None
    limits: BothLimits
    today: Today


class StatementHeader(Struct):
    start: DateTime = field(name="from")
    number: str
    to: Annotated[DateTime, doc("Exclusive.")]
    time_zone: Annotated[str, doc("Whose months these are.")]
    made_at: DateTime
    requests: int
    unpriced_requests: Annotated[
        int, doc("Without a price when it was made; their cost is a correction once it is known.")
    ]
    usage_usd: float
    corrections_usd: Annotated[float, doc("Of earlier statements; negative: money back.")]
    total_usd: float


class StatementSums(Struct):
    requests: int
    unpriced_requests: int
    input_tokens: int
    cached_tokens: Annotated[int, doc("Of the input, read from a cache.")]
    output_tokens: Annotated[int, doc("Reasoning included.")]
    reasoning_tokens: int
    cost_usd: float


class StatementModel(StatementSums):
    provider: str | None
    model: str


class StatementKey(StatementSums):
    key: str


class StatementCorrection(Struct):
    statement: Annotated[str, doc("The earlier one that is corrected.")]
    cost_usd: float


class StatementData(StatementHeader):
    by_model: list[StatementModel]
    by_key: list[StatementKey]
    corrections: list[StatementCorrection]


def responses(data: Any, name: str = "", **more: Any) -> dict[Any, Any]:
    """The responses of an endpoint that answers with `data`, and `more` beside it, in the native envelope."""
    name = name or data.__name__.removesuffix("Data") + "Answer"
    envelope = [("success", bool), ("data", data), *more.items(), ("meta", Meta)]
    return answers(defstruct(name, envelope)) | ERROR_RESPONSES


ROUTE_RESPONSES = responses(RouteData)
FEEDBACK_RESPONSES = responses(FeedbackData)
RATING_RESPONSES = responses(RatingData)
LEARNING_RESPONSES = responses(LearningData)
FORGOTTEN_RESPONSES = responses(ForgottenData)
REQUESTS_RESPONSES = responses(list[LogLine], "LogLinePage", next_cursor=str | None)
REFUSED_RESPONSES = responses(list[RefusedLine], "RefusedLinePage", next_cursor=str | None)
REQUEST_RESPONSES = responses(LogEntry)
USAGE_RESPONSES = responses(UsageData)
STATEMENTS_RESPONSES = responses(list[StatementHeader], "StatementHeaderPage")
STATEMENT_RESPONSES = responses(StatementData)
KEY_RESPONSES = responses(KeyData)
# Lines of text, not the envelope: a file of any length.
EXPORT_RESPONSES = {
    (200, Format(it).content_type.partition(";")[0]): OpenApiTypes.STR for it in Format
} | ERROR_RESPONSES
