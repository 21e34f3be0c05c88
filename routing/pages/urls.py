"""Paths of the dashboard, included at the root."""

from django.urls import path

from routing.pages.views import home, models, request, requests, start

urlpatterns = [
    path("", home.home, name="home"),
    path("start", start.start, name="start"),
    path("start/waiting", start.waiting, name="start_waiting"),
    path("requests/", requests.requests, name="requests"),
    path("requests/tail", requests.tail, name="requests_tail"),
    path("requests/export.csv", requests.export, name="requests_export"),
    path("requests/<slug:request_id>.json", request.raw, name="request_raw"),
    path("requests/<slug:request_id>/feedback", request.feedback, name="request_feedback"),
    path("requests/<slug:request_id>", request.request_page, name="request"),
    path("models/", models.models, name="models"),
]
