"""What the OpenAPI document says of the Messages door's answers and errors."""

from rest_framework import serializers


class MessageSerializer(serializers.Serializer[None]):
    """Anthropic's message with `x_routeplex`."""

    id = serializers.CharField()
    type = serializers.CharField()
    role = serializers.CharField()
    model = serializers.CharField(help_text="The model that answered.")
    content = serializers.ListField(child=serializers.DictField())
    stop_reason = serializers.CharField()
    stop_sequence = serializers.CharField(allow_null=True)
    usage = serializers.DictField()
    x_routeplex = serializers.DictField()


class CountedTokensSerializer(serializers.Serializer[None]):
    input_tokens = serializers.IntegerField()


class MessagesErrorDetailSerializer(serializers.Serializer[None]):
    type = serializers.CharField()
    message = serializers.CharField()
    details = serializers.DictField(help_text="error_code, and param where one parameter is wrong.")


class MessagesErrorSerializer(serializers.Serializer[None]):
    type = serializers.CharField()
    error = MessagesErrorDetailSerializer()
    request_id = serializers.CharField()


MESSAGE_RESPONSES = {
    (200, "application/json"): MessageSerializer,
    (200, "text/event-stream"): str,
}
COUNT_RESPONSES = {(200, "application/json"): CountedTokensSerializer}
ERROR_RESPONSES = {
    (status, "application/json"): MessagesErrorSerializer
    for status in (400, 401, 403, 404, 405, 409, 413, 429, 500, 502, 503, 504)
}
