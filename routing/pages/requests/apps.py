"""Django app: the tables of saved views and of the columns that people chose."""

from django.apps import AppConfig


class RequestViewsConfig(AppConfig):
    name = "routing.pages.requests"
    label = "request_views"
