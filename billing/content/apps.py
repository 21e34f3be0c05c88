"""Django app: billing.content."""

from django.apps import AppConfig


class ContentConfig(AppConfig):
    name = "billing.content"
    label = "content"
