"""The frame: settings, URLs, ASGI and Celery applications; no business logic."""

from routeplex_site.celery import app as celery_app

__all__ = ["celery_app"]
