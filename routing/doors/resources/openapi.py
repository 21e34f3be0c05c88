"""What the OpenAPI document says of the keyed endpoints' answers. Times in ms, money in USD."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers

from billing.reports.export import Format
from routing.doors.native.openapi import ERROR_RESPONSES, MetaSerializer, UsageSerializer

Plain = serializers.Serializer[None]


def _text(**options: Any) -> serializers.CharField:
    return serializers.CharField(**options)


def _maybe_text() -> serializers.CharField:
    return serializers.CharField(allow_null=True)


def _maybe_number(**options: Any) -> serializers.FloatField:
    return serializers.FloatField(allow_null=True, **options)


def _maybe_count() -> serializers.IntegerField:
    return serializers.IntegerField(allow_null=True)


class CandidateSerializer(Plain):
    arm = _text(help_text="A model, or a model at an effort: what is chosen among.")
    model = _text()
    effort = _maybe_text()
    provider = _text()
    p_success = serializers.FloatField()
    cost_usd = _maybe_number(help_text="Expected; null: unpriced.")
    latency_ms = serializers.FloatField()
    utility = _maybe_number(help_text="In the strategy's own unit.")


class RemovedSerializer(Plain):
    arm = _text()
    model = _text()
    effort = _maybe_text()
    provider = _text()
    code = _text()
    reason = _text()


class ExpectedSerializer(Plain):
    cost_usd = _maybe_number()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    latency_ms = serializers.IntegerField()


class ExpectedBaselineSerializer(Plain):
    model = _text()
    cost_usd = _maybe_number()


class RouteDataSerializer(Plain):
    model = _text()
    effort = _maybe_text()
    chain = serializers.ListField(child=_text(), help_text="Arms in the order they would be tried.")
    routing_mode = _text()
    strategy = _text()
    reason = _text()
    flip = _text(help_text="What would have changed the choice.")
    query_type = _text()
    complexity = serializers.FloatField(help_text="Predicted failure of the median arm, 0 to 1.")
    estimated = ExpectedSerializer()
    baseline = ExpectedBaselineSerializer(allow_null=True)
    saved_usd = _maybe_number(help_text="Against the baseline; negative: dearer.")
    candidates = CandidateSerializer(many=True, help_text="Best first.")
    removed = RemovedSerializer(many=True)
    notes = serializers.ListField(child=_text())


class FeedbackDataSerializer(Plain):
    request_id = _text()
    score = serializers.FloatField()
    comment = _maybe_text()
    created_at = serializers.DateTimeField()
    updated_at = serializers.DateTimeField()


class RatingDataSerializer(FeedbackDataSerializer):
    rating = serializers.IntegerField()


class FeedbackMeanSerializer(Plain):
    count = serializers.IntegerField()
    mean_score = _maybe_number()


class OpinionSerializer(Plain):
    model = _maybe_text()
    query_type = _maybe_text()
    count = serializers.IntegerField()
    mean_score = serializers.FloatField()


class InfluenceSerializer(Plain):
    applied = serializers.BooleanField(help_text="Whether anything learnt changes decisions now")
    mode = serializers.ChoiceField(["on", "frozen", "off"])
    bound = serializers.FloatField(help_text="P(success) is moved by at most this")
    message = _text()


class PosteriorSerializer(Plain):
    arm = _text()
    skill = _text()
    outcomes = serializers.IntegerField()
    evidence = serializers.FloatField(help_text="Summed weight of the outcomes, decayed by age")
    expected = serializers.FloatField(help_text="Mean P(success) that was predicted of them")
    observed = serializers.FloatField(help_text="Mean score that was seen")
    common = serializers.FloatField(help_text="How much better than predicted all arms do; in no shift")
    influence = serializers.FloatField(help_text="Share of the posterior's move that counts")
    shift = serializers.FloatField(help_text="What it adds to P(success)")


class LearningDataSerializer(Plain):
    feedback = FeedbackMeanSerializer()
    by_model_and_query_type = OpinionSerializer(many=True)
    learnt = PosteriorSerializer(many=True)
    influence = InfluenceSerializer()


class ForgottenDataSerializer(Plain):
    forgotten = serializers.IntegerField()


class KeyNameSerializer(Plain):
    id = serializers.IntegerField()
    name = _text()
    last_four = _text()


class CodedErrorSerializer(Plain):
    code = _text()
    message = _text()


class LogLineSerializer(Plain):
    id = _text()
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)
    status = _text()
    door = _text()
    routing_mode = _text()
    strategy = _text()
    query_type = _maybe_text()
    requested_model = _maybe_text()
    routed_model = _text()
    model_used = _maybe_text()
    effort = _maybe_text()
    provider = _maybe_text()
    streamed = serializers.BooleanField()
    fallback_used = serializers.BooleanField()
    key = KeyNameSerializer()
    usage = UsageSerializer()
    latency_ms = _maybe_count()
    ttft_ms = _maybe_count()
    finish_reason = _maybe_text()
    error = CodedErrorSerializer(allow_null=True)
    metadata = serializers.DictField(child=_text(), allow_null=True)


class TokensSerializer(Plain):
    uncached_input_tokens = serializers.IntegerField()
    cache_read_tokens = serializers.IntegerField()
    cache_write_tokens = serializers.IntegerField()
    cache_write_1h_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField(help_text="Reasoning included.")
    reasoning_tokens = serializers.IntegerField()


class UnitPricesSerializer(Plain):
    """USD per million tokens."""

    uncached_input = serializers.FloatField()
    output = serializers.FloatField()
    cache_read = serializers.FloatField()
    cache_write = serializers.FloatField()
    cache_write_1h = serializers.FloatField()


class BaselineSerializer(Plain):
    model = _maybe_text()
    cost_usd = _maybe_number()
    saved_usd = _maybe_number()


class KindErrorSerializer(Plain):
    kind = _text()
    message = _text()


class LoggedAttemptSerializer(Plain):
    number = serializers.IntegerField()
    model = _text()
    effort = _maybe_text()
    provider = _text()
    outcome = _text()
    error = KindErrorSerializer(allow_null=True)
    status_code = _maybe_count()
    started_at = serializers.DateTimeField()
    latency_ms = serializers.IntegerField()
    ttft_ms = _maybe_count()
    usage_by_class = TokensSerializer()
    cost_usd = _maybe_number()
    provider_request_id = _maybe_text()


class GivenSerializer(Plain):
    score = serializers.FloatField()
    comment = _maybe_text()
    updated_at = serializers.DateTimeField()


class LogEntrySerializer(LogLineSerializer):
    upstream_model = _maybe_text()
    usage_by_class = TokensSerializer()
    usage_estimated = serializers.BooleanField()
    unit_prices = UnitPricesSerializer(allow_null=True)
    price_version = _maybe_text()
    unpriced = serializers.BooleanField()
    wasted_usd = serializers.FloatField(help_text="Billed for failed attempts; not charged.")
    baseline = BaselineSerializer()
    selection_probability = serializers.FloatField()
    attempts = LoggedAttemptSerializer(many=True)
    feedback = GivenSerializer(many=True)
    fidelity = serializers.DictField(
        allow_null=True, help_text="What became of each parameter; null when nobody answered."
    )
    decision = serializers.DictField(help_text="The full trace of the decision.")


class TotalSerializer(Plain):
    requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()
    unpriced_requests = serializers.IntegerField(help_text="Requests whose model has no known price.")


class DayTotalSerializer(TotalSerializer):
    day = serializers.DateField()


class ModelTotalSerializer(TotalSerializer):
    model = _maybe_text()


class ProviderTotalSerializer(TotalSerializer):
    provider = _maybe_text()


class KeyTotalSerializer(TotalSerializer):
    key = KeyNameSerializer()


class UsageDataSerializer(Plain):
    to = serializers.DateTimeField()
    totals = TotalSerializer()
    by_day = DayTotalSerializer(many=True)
    by_model = ModelTotalSerializer(many=True)
    by_provider = ProviderTotalSerializer(many=True)
    by_key = KeyTotalSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {"from": serializers.DateTimeField()} | super().get_fields()


class LimitsSerializer(Plain):
    """null: no ceiling."""

    requests_per_minute = _maybe_count()
    tokens_per_minute = _maybe_count()
    concurrent_requests = _maybe_count()
    daily_tokens = _maybe_count()
    monthly_tokens = _maybe_count()
    daily_usd = _maybe_number()
    monthly_usd = _maybe_number()


class BothLimitsSerializer(Plain):
    key = LimitsSerializer()
    account = LimitsSerializer()


class TodaySerializer(Plain):
    requests = serializers.IntegerField()
    spent_usd = serializers.FloatField()
    held_usd = serializers.FloatField(help_text="Set aside for requests under way.")
    spent_tokens = serializers.IntegerField()
    left_usd = _maybe_number(help_text="By the tighter of the key's and the account's ceiling.")
    left_tokens = _maybe_count()
    resets_at = serializers.DateTimeField()


class KeyDataSerializer(KeyNameSerializer):
    account = _text()
    plan = _text()
    scopes = serializers.ListField(child=_text())
    allowed_models = serializers.ListField(child=_text(), allow_null=True)
    strategy = _text()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    limits = BothLimitsSerializer()
    today = TodaySerializer()


class StatementHeaderSerializer(Plain):
    number = _text()
    to = serializers.DateTimeField(help_text="Exclusive.")
    time_zone = _text(help_text="Whose months these are.")
    made_at = serializers.DateTimeField()
    requests = serializers.IntegerField()
    unpriced_requests = serializers.IntegerField(
        help_text="Without a price when it was made; their cost is a correction once it is known."
    )
    usage_usd = serializers.FloatField()
    corrections_usd = serializers.FloatField(help_text="Of earlier statements; negative: money back.")
    total_usd = serializers.FloatField()

    def get_fields(self) -> Any:
        return {"from": serializers.DateTimeField()} | super().get_fields()


class StatementSumsSerializer(Plain):
    requests = serializers.IntegerField()
    unpriced_requests = serializers.IntegerField()
    input_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField(help_text="Of the input, read from a cache.")
    output_tokens = serializers.IntegerField(help_text="Reasoning included.")
    reasoning_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField()


class StatementModelSerializer(StatementSumsSerializer):
    provider = _maybe_text()
    model = _text()


class StatementKeySerializer(StatementSumsSerializer):
    key = _text()


class StatementCorrectionSerializer(Plain):
    statement = _text(help_text="The earlier one that is corrected.")
    cost_usd = serializers.FloatField()


class StatementDataSerializer(StatementHeaderSerializer):
    by_model = StatementModelSerializer(many=True)
    by_key = StatementKeySerializer(many=True)
    corrections = StatementCorrectionSerializer(many=True)


def responses(data: type[Plain], *, many: bool = False, **more: Any) -> dict[Any, Any]:
    """Those of an endpoint that answers with such data in the native envelope."""
    name = data.__name__.removesuffix("Serializer").removesuffix("Data")
    fields = (
        {"success": serializers.BooleanField(), "data": data(many=many)} | more | {"meta": MetaSerializer()}
    )
    answer = type(f"{name}{'Page' if many else 'Answer'}Serializer", (Plain,), fields)
    return {(200, "application/json"): answer} | ERROR_RESPONSES


ROUTE_RESPONSES = responses(RouteDataSerializer)
FEEDBACK_RESPONSES = responses(FeedbackDataSerializer)
RATING_RESPONSES = responses(RatingDataSerializer)
LEARNING_RESPONSES = responses(LearningDataSerializer)
FORGOTTEN_RESPONSES = responses(ForgottenDataSerializer)
REQUESTS_RESPONSES = responses(LogLineSerializer, many=True, next_cursor=_maybe_text())
REQUEST_RESPONSES = responses(LogEntrySerializer)
USAGE_RESPONSES = responses(UsageDataSerializer)
STATEMENTS_RESPONSES = responses(StatementHeaderSerializer, many=True)
STATEMENT_RESPONSES = responses(StatementDataSerializer)
KEY_RESPONSES = responses(KeyDataSerializer)
# Lines of text, not the envelope: a file of any length.
EXPORT_RESPONSES = {
    (200, Format(it).content_type.partition(";")[0]): OpenApiTypes.STR for it in Format
} | ERROR_RESPONSES
