"""Paths of the dashboard, included at the root."""

from django.conf import settings
from django.urls import path

from routing.pages.account_data import views as account_data
from routing.pages.api_reference import views as api_reference
from routing.pages.assistant import views as assistant
from routing.pages.design import design
from routing.pages.docs import views as docs
from routing.pages.home import views as home
from routing.pages.learning import views as learning
from routing.pages.models import views as models
from routing.pages.operator import views as operator
from routing.pages.palette import views as palette
from routing.pages.playground import views as playground
from routing.pages.public import views as public
from routing.pages.request_detail import views as request
from routing.pages.requests import views as requests
from routing.pages.savings import views as savings
from routing.pages.start import views as start
from routing.pages.usage import views as usage

urlpatterns = [
    path("", home.home, name="home"),
    path("search", palette.palette, name="palette"),
    path("start", start.start, name="start"),
    path("start/waiting", start.waiting, name="start_waiting"),
    path("docs", docs.contents, name="docs"),
    path("docs/search", docs.search, name="docs_search"),
    path("docs/ask", assistant.ask, name="ask"),
    path("docs/support", assistant.support, name="support"),
    path("docs/api", api_reference.index, name="api_reference"),
    path("docs/api/<slug:slug>", api_reference.operation, name="api_operation"),
    path("docs/", docs.without_slash),
    path("docs/<path:slug>/", docs.without_slash),
    path("docs/<path:slug>", docs.page, name="docs_page"),
    path("requests/", requests.requests, name="requests"),
    path("requests/columns", requests.choose_columns, name="requests_columns"),
    path("requests/views/", requests.view_save, name="saved_view_new"),
    path("requests/views/<int:pk>/rename/", requests.view_rename, name="saved_view_rename"),
    path("requests/views/<int:pk>/remove/", requests.view_remove, name="saved_view_remove"),
    path("requests/tail", requests.tail, name="requests_tail"),
    path("requests/export.csv", requests.export, {"file_format": "csv"}, name="requests_csv"),
    path("requests/export.ndjson", requests.export, {"file_format": "ndjson"}, name="requests_ndjson"),
    path("requests/<slug:request_id>.json", request.raw, name="request_raw"),
    path("requests/<slug:request_id>/feedback", request.feedback, name="request_feedback"),
    path("requests/<slug:request_id>", request.request_page, name="request"),
    path("playground/", playground.playground, name="playground"),
    path("playground/decision", playground.decision, name="playground_decision"),
    path("playground/code", playground.code, name="playground_code"),
    path("usage/", usage.usage, name="usage"),
    path("usage/export.csv", usage.as_csv, name="usage_csv"),
    path("usage/export.json", usage.as_json, name="usage_json"),
    path("savings/", savings.savings, name="savings"),
    path("savings/strategies", savings.strategies, name="savings_strategies"),
    path("savings/strategy", savings.default_strategy, name="default_strategy"),
    path("savings/export.json", savings.as_json, name="savings_json"),
    path("learning/", learning.learning, name="learning"),
    path("learning/mode", learning.change_mode, name="learning_mode"),
    path("learning/forget", learning.forget_all, name="learning_forget"),
    path("learning/export.json", learning.export, name="learning_export"),
    path("models/", public.models, name="models"),
    path("pricing", public.pricing, name="pricing"),
    path("changelog", public.changelog, name="changelog"),
    path("settings/export.zip", account_data.export_all, name="account_export"),
    path("settings/content/erase/", account_data.content_erase, name="content_erase"),
    path("settings/delete/", account_data.account_delete, name="account_delete"),
    path("models/compare", models.compare, name="models_compare"),
    path("models/<str:model_id>", models.model, name="model"),
    path("operator/", operator.operator, name="operator"),
    path("operator/support/", assistant.support_messages, name="support_messages"),
    path("operator/support/<int:pk>/close", assistant.close_message, name="support_close"),
    path("operator/audit", operator.audit_now, name="operator_audit"),
    path("operator/proposals/<int:pk>/accept", operator.proposal_accept, name="proposal_accept"),
    path("operator/proposals/<int:pk>/reject", operator.proposal_reject, name="proposal_reject"),
    path("operator/prices/new", operator.price_new, name="price_new"),
]
if settings.DEBUG:
    urlpatterns.append(path("design/", design, name="design"))
