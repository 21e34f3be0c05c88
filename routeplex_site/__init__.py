"""The frame: settings, URLs, ASGI and Celery applications; no business logic."""
