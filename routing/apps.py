"""Django app: routing, for its pages and commands; its tables are the catalog's."""

from django.apps import AppConfig


class RoutingConfig(AppConfig):
    name = "routing"
