"""The Celery application; tasks are in each package's tasks.py."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "routeplex_site.settings")

app = Celery("routeplex")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks(
    [
        "accounts",
        "billing",
        "billing.alerts",
        "billing.content",
        "billing.refusals",
        "billing.reports",
        "billing.statements",
        "billing.stripe_meter",
        "routing",
    ],
    related_name="tasks",
)
