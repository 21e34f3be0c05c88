"""The API's paths. Whatever else is under /api/ and /v1/ is a JSON 404."""

from django.urls import URLPattern, URLResolver, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularJSONAPIView

from routing.doors.native import ChatView
from routing.doors.openai import CompletionsView, GuessedCompletionsView
from routing.doors.views import unknown_path

document = SpectacularJSONAPIView.as_view(authentication_classes=[])

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/chat", ChatView.as_view(), name="api_chat"),
    path("v1/chat/completions", CompletionsView.as_view(), name="openai_completions"),
    path("api/v1/chat/completions", GuessedCompletionsView.as_view()),
    path("api/openapi.json", document, name="api_document"),
    re_path(r"^(?:api|v1)(?:/|$)", csrf_exempt(unknown_path)),
]
