"""What the OpenAPI document says of the native door's answers and errors."""

from rest_framework import serializers

from routing.language.fidelity import Verdict


class UsageSerializer(serializers.Serializer[None]):
    input_tokens = serializers.IntegerField()
    output_tokens = serializers.IntegerField()
    total_tokens = serializers.IntegerField()
    cached_input_tokens = serializers.IntegerField()
    internal_reasoning_tokens = serializers.IntegerField()
    cost_usd = serializers.FloatField(allow_null=True, help_text="Exact to 1e-9 USD; null: unpriced.")


class AttemptSerializer(serializers.Serializer[None]):
    model = serializers.CharField()
    provider = serializers.CharField()
    effort = serializers.CharField(allow_null=True)
    outcome = serializers.CharField()
    latency_ms = serializers.IntegerField()
    error = serializers.CharField(required=False)


class KeptSerializer(serializers.Serializer[None]):
    parameter = serializers.CharField()
    verdict = serializers.ChoiceField(choices=[str(one) for one in Verdict])
    change = serializers.CharField(required=False, help_text="What was changed, or why it was dropped.")


class OutputSerializer(serializers.Serializer[None]):
    valid = serializers.BooleanField(help_text="Whether the output has the JSON form asked for.")
    fault = serializers.CharField(required=False, help_text="The keyword of the schema that it breaks.")


class FidelitySerializer(serializers.Serializer[None]):
    parameters = KeptSerializer(many=True)
    output = OutputSerializer(required=False)


class RoutingSerializer(serializers.Serializer[None]):
    query_type = serializers.CharField()
    complexity = serializers.FloatField(help_text="Predicted failure of the median arm, 0 to 1.")
    reason = serializers.CharField()
    candidates_considered = serializers.IntegerField()
    attempts = AttemptSerializer(many=True)
    rescued = serializers.BooleanField(required=False, help_text="A cut stream, continued by another model.")
    notes = serializers.ListField(child=serializers.CharField(), required=False)
    fidelity = FidelitySerializer()


class EnhancementSerializer(serializers.Serializer[None]):
    applied = serializers.BooleanField()
    original_prompt = serializers.CharField()
    enhanced_prompt = serializers.CharField()
    query_type = serializers.CharField()


class ChatDataSerializer(serializers.Serializer[None]):
    id = serializers.CharField()
    output = serializers.CharField()
    model_used = serializers.CharField()
    provider = serializers.CharField()
    routing_mode = serializers.CharField()
    strategy = serializers.CharField()
    fallback_used = serializers.BooleanField()
    finish_reason = serializers.CharField()
    latency_ms = serializers.IntegerField()
    usage = UsageSerializer()
    tool_calls = serializers.ListField(child=serializers.DictField(), allow_null=True)
    routing = RoutingSerializer()
    enhancement = EnhancementSerializer(required=False)


class MetaSerializer(serializers.Serializer[None]):
    request_id = serializers.CharField()
    timestamp = serializers.DateTimeField()


class ChatAnswerSerializer(serializers.Serializer[None]):
    success = serializers.BooleanField()
    data = ChatDataSerializer()  # type: ignore[assignment]
    meta = MetaSerializer()


class ErrorDetailSerializer(serializers.Serializer[None]):
    code = serializers.CharField()
    message = serializers.CharField()
    details = serializers.JSONField(required=False)


class ErrorSerializer(serializers.Serializer[None]):
    success = serializers.BooleanField()
    error = ErrorDetailSerializer()
    meta = MetaSerializer()


CHAT_RESPONSES = {
    (200, "application/json"): ChatAnswerSerializer,
    (200, "text/event-stream"): str,
}
ERROR_RESPONSES = {
    (status, "application/json"): ErrorSerializer
    for status in (400, 401, 403, 404, 405, 413, 429, 500, 502, 503, 504)
}
CHAT_ERROR_RESPONSES = ERROR_RESPONSES | {(409, "application/json"): ErrorSerializer}  # of an Idempotency-Key
