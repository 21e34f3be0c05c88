"""What the OpenAPI document says of the Responses door's answers."""

from rest_framework import serializers


class ResponseSerializer(serializers.Serializer[None]):
    """OpenAI's `response` with `x_routeplex`, which repeats the settings of its request."""

    id = serializers.CharField()
    object = serializers.CharField()
    created_at = serializers.IntegerField()
    status = serializers.CharField()
    incomplete_details = serializers.DictField(allow_null=True)
    model = serializers.CharField(help_text="The model that answered.")
    output = serializers.ListField(child=serializers.DictField())
    usage = serializers.DictField()
    x_routeplex = serializers.DictField()


RESPONSE_RESPONSES = {
    (200, "application/json"): ResponseSerializer,
    (200, "text/event-stream"): str,
}


class CountedInputSerializer(serializers.Serializer[None]):
    object = serializers.CharField()
    input_tokens = serializers.IntegerField()


COUNT_RESPONSES = {(200, "application/json"): CountedInputSerializer}
