"""Paths of the dashboard, included at the root."""

from django.urls import path

from routing.pages.home import views as home
from routing.pages.learning import views as learning
from routing.pages.models import views as models
from routing.pages.operator import views as operator
from routing.pages.request_detail import views as request
from routing.pages.requests import views as requests
from routing.pages.savings import views as savings
from routing.pages.start import views as start
from routing.pages.usage import views as usage

urlpatterns = [
    path("", home.home, name="home"),
    path("start", start.start, name="start"),
    path("start/waiting", start.waiting, name="start_waiting"),
    path("requests/", requests.requests, name="requests"),
    path("requests/tail", requests.tail, name="requests_tail"),
    path("requests/export.csv", requests.export, {"file_format": "csv"}, name="requests_csv"),
    path("requests/export.ndjson", requests.export, {"file_format": "ndjson"}, name="requests_ndjson"),
    path("requests/<slug:request_id>.json", request.raw, name="request_raw"),
    path("requests/<slug:request_id>/feedback", request.feedback, name="request_feedback"),
    path("requests/<slug:request_id>", request.request_page, name="request"),
    path("usage/", usage.usage, name="usage"),
    path("usage/export.csv", usage.as_csv, name="usage_csv"),
    path("usage/export.json", usage.as_json, name="usage_json"),
    path("savings/", savings.savings, name="savings"),
    path("savings/strategies", savings.strategies, name="savings_strategies"),
    path("savings/export.json", savings.as_json, name="savings_json"),
    path("learning/", learning.learning, name="learning"),
    path("learning/mode", learning.change_mode, name="learning_mode"),
    path("learning/forget", learning.forget_all, name="learning_forget"),
    path("learning/export.json", learning.export, name="learning_export"),
    path("models/", models.models, name="models"),
    path("operator/", operator.operator, name="operator"),
    path("operator/audit", operator.audit_now, name="operator_audit"),
    path("operator/proposals/<int:pk>/accept", operator.proposal_accept, name="proposal_accept"),
    path("operator/proposals/<int:pk>/reject", operator.proposal_reject, name="proposal_reject"),
    path("operator/prices/new", operator.price_new, name="price_new"),
]
