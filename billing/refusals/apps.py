"""Django app: billing.refusals."""

from django.apps import AppConfig


class RefusalsConfig(AppConfig):
    name = "billing.refusals"
    label = "refusals"
