"""What the OpenAPI document says of the OpenAI-compatible door's answers and errors."""

from rest_framework import serializers


class CompletionSerializer(serializers.Serializer[None]):
    """OpenAI's `chat.completion` with `x_routeplex`."""

    id = serializers.CharField()
    object = serializers.CharField()
    created = serializers.IntegerField()
    model = serializers.CharField(help_text="The model that answered.")
    choices = serializers.ListField(child=serializers.DictField())
    usage = serializers.DictField()
    service_tier = serializers.CharField(allow_null=True)
    x_routeplex = serializers.DictField()


class OpenAIErrorDetailSerializer(serializers.Serializer[None]):
    message = serializers.CharField()
    type = serializers.CharField()
    param = serializers.CharField(allow_null=True)
    code = serializers.CharField()


class OpenAIErrorSerializer(serializers.Serializer[None]):
    error = OpenAIErrorDetailSerializer()


COMPLETION_RESPONSES = {
    (200, "application/json"): CompletionSerializer,
    (200, "text/event-stream"): str,
}
ERROR_RESPONSES = {
    (status, "application/json"): OpenAIErrorSerializer
    for status in (400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504)
}
