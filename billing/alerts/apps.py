"""Django app: billing.alerts."""

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "billing.alerts"
    label = "alerts"

    def ready(self) -> None:
        from billing.alerts import checks, job_runs  # noqa: F401 - they register system checks and Celery signals
