"""Django app: billing.alerts."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "billing.alerts"
    label = "alerts"

    def ready(self) -> None:
        from billing.alerts import checks  # noqa: F401 - it registers system checks
