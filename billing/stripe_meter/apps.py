"""Django app: billing.stripe_meter."""

from django.apps import AppConfig


class StripeMeterConfig(AppConfig):
    name = "billing.stripe_meter"
    label = "stripe_meter"

    def ready(self) -> None:
        from billing.stripe_meter import checks  # noqa: F401 - registers itself with Django
