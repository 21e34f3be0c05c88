"""The API's paths. Whatever else is under /api/ and /v1/ is a JSON 404."""

from django.urls import URLPattern, URLResolver, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularJSONAPIView

from routing.doors.anthropic_messages.views import CountTokensView, MessagesView
from routing.doors.native.views import ChatView
from routing.doors.openai_chat.views import CompletionsView, GuessedCompletionsView
from routing.doors.openai_responses.views import InputTokensView, ResponsesView
from routing.doors.resources.account import FeedbackView, LearningView, RatingView, RouteView
from routing.doors.resources.public import (
    EnhanceView,
    EstimateView,
    ModelsView,
    OpenAIModelsView,
    OpenAIModelView,
)
from routing.doors.resources.requests import ExportView, RequestsView, RequestView
from routing.doors.resources.statements import StatementsView, StatementView
from routing.doors.resources.usage import KeyView, UsageView
from routing.doors.shared.async_view import unknown_path

document = SpectacularJSONAPIView.as_view(authentication_classes=[])

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/chat", ChatView.as_view(), name="api_chat"),
    path("v1/chat/completions", CompletionsView.as_view(), name="openai_completions"),
    path("api/v1/chat/completions", GuessedCompletionsView.as_view()),
    path("v1/messages", MessagesView.as_view(), name="messages"),
    path("v1/messages/count_tokens", CountTokensView.as_view(), name="messages_count_tokens"),
    path("v1/responses", ResponsesView.as_view(), name="responses"),
    path("v1/responses/input_tokens", InputTokensView.as_view(), name="responses_input_tokens"),
    path("api/v1/chat/estimate", EstimateView.as_view(), name="api_estimate"),
    path("api/v1/chat/enhance", EnhanceView.as_view(), name="api_enhance"),
    path("api/v1/models", ModelsView.as_view(), name="api_models"),
    path("v1/models", OpenAIModelsView.as_view(), name="openai_models"),
    path("v1/models/<path:model>", OpenAIModelView.as_view(), name="openai_model"),
    path("api/v1/openapi.json", document, name="api_document"),
    path("api/v1/route", RouteView.as_view(), name="api_route"),
    path("api/v1/feedback", FeedbackView.as_view(), name="api_feedback"),
    path("api/v1/insights/feedback", RatingView.as_view()),
    path("api/v1/insights/learning", LearningView.as_view(), name="api_learning"),
    path("api/v1/requests", RequestsView.as_view(), name="api_requests"),
    path("api/v1/requests/export", ExportView.as_view(), name="api_requests_export"),
    path("api/v1/requests/<str:request_id>", RequestView.as_view(), name="api_request"),
    path("api/v1/usage", UsageView.as_view(), name="api_usage"),
    path("api/v1/statements", StatementsView.as_view(), name="api_statements"),
    path("api/v1/statements/<str:number>", StatementView.as_view(), name="api_statement"),
    path("api/v1/key", KeyView.as_view(), name="api_key"),
    re_path(r"^(?:api|v1)(?:/|$)", csrf_exempt(unknown_path)),
]
