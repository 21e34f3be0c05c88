"""The API's URLs: those of every door, then the resources. Other paths below /api and /v1 are a JSON 404."""

from django.urls import URLPattern, URLResolver, path, re_path
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularJSONAPIView

from routing.doors import registry, wrong_paths
from routing.doors.resources.enhancement import EnhanceView
from routing.doors.resources.estimates import EstimateView
from routing.doors.resources.feedback import FeedbackView, RatingView
from routing.doors.resources.key import KeyView
from routing.doors.resources.learning import LearningView
from routing.doors.resources.models import ModelsView, OpenAIModelsView, OpenAIModelView
from routing.doors.resources.refused import RefusedView
from routing.doors.resources.requests import ExportView, RequestsView, RequestView
from routing.doors.resources.route import RouteView
from routing.doors.resources.statements import StatementsView, StatementView
from routing.doors.resources.usage import UsageView

document = SpectacularJSONAPIView.as_view(authentication_classes=[])

urlpatterns: list[URLPattern | URLResolver] = [
    *(pattern for door in registry.DOORS for pattern in door.url_patterns),
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
    path("api/v1/requests/refused", RefusedView.as_view(), name="api_requests_refused"),
    path("api/v1/requests/<str:request_id>", RequestView.as_view(), name="api_request"),
    path("api/v1/usage", UsageView.as_view(), name="api_usage"),
    path("api/v1/statements", StatementsView.as_view(), name="api_statements"),
    path("api/v1/statements/<str:number>", StatementView.as_view(), name="api_statement"),
    path("api/v1/key", KeyView.as_view(), name="api_key"),
    re_path(r"^(?:api|v1)(?:/|$)", csrf_exempt(registry.unknown_path)),
    *(re_path(pattern, csrf_exempt(registry.unknown_path)) for pattern in wrong_paths.URL_PATTERNS),
]
