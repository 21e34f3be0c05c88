"""The frame: settings, urls, ASGI and Celery applications; no business here."""

from routeplex_site.celery import app as celery_app

__all__ = ["celery_app"]
