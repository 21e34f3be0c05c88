"""Liveness and readiness, for load balancers and for `manage.py run`."""

import time
from collections.abc import Callable

from django.core.cache import cache
from django.db import connection
from django.http import HttpRequest, JsonResponse

from routeplex_site.draining import is_draining
from routing.catalog.live import catalog
from routing.state import runtime


def healthz(request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


def readyz(request: HttpRequest) -> JsonResponse:
    """200 if the process can serve: database, cache and catalog work and it is not draining; else 503.

    `paused` lists providers without any model that may be called, with the reason. The status is then
    "degraded", but 200: requests are what probes a provider, so a load balancer must not keep them away.
    """
    if is_draining():
        return JsonResponse({"status": "draining"}, status=503)
    checks: dict[str, Callable[[], object]] = {
        "database": connection.ensure_connection,
        "cache": lambda: cache.get("readyz"),
        "catalog": lambda: catalog.snapshot.version,
    }
    results = {name: _state(check) for name, check in checks.items()}
    ready = all(state == "ok" for state in results.values())
    if not ready:
        return JsonResponse({"status": "unavailable", **results}, status=503)
    paused = _paused_providers()
    return JsonResponse({"status": "degraded" if paused else "ok", **results, "paused": paused})


def _paused_providers() -> dict[str, str]:
    """The reason for each provider of which this process may call no model now."""
    paused: dict[str, str] = {}
    for alive in runtime.alive():
        models, providers = alive.breaker.blocked(time.monotonic())
        reasons: dict[str, list[str | None]] = {}
        for facts in catalog.snapshot.models.values():
            reason = providers.get(facts.provider) or models.get(facts.id)
            reasons.setdefault(facts.provider, []).append(reason)
        paused |= {name: of[0] for name, of in reasons.items() if of[0] is not None and all(of)}
    return paused


def _state(check: Callable[[], object]) -> str:
    try:
        check()
    except Exception as error:
        return type(error).__name__  # not the message: it may contain host names
    return "ok"
