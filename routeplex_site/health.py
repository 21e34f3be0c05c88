"""Liveness and readiness, for load balancers and for `manage.py run`."""

from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse

from routeplex_site.draining import is_draining
from routing.catalog.live import catalog


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if the process can serve: database, cache and catalog work and it is not draining; else 503."""
    if is_draining():
        return JsonResponse({"status": "draining"}, status=503)
    checks: dict[str, Callable[[], object]] = {
        "database": connection.ensure_connection,
        "cache": lambda: cache.get("readyz"),
        "catalog": lambda: catalog.snapshot.version,
    }
    results = {name: _state(check) for name, check in checks.items()}
    ready = all(state == "ok" for state in results.values())
    return JsonResponse({"status": "ok" if ready else "unavailable", **results}, status=200 if ready else 503)


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception as error:
        return type(error).__name__  # not the message: it may contain host names
    return "ok"
