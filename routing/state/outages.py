"""Alerts operators when a provider or model fails for long, and resolves the alert when it answers again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from billing.alerts.publish import raise_alert, resolve_alert
from core.database import from_database
from routing.execute.breaker import Breaker, CircuitOpened, Name

_KIND = "provider.circuit"


def watch(breaker: Breaker, finish: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
    """Alert on circuits that open from now on, except on a short pause of a single model, which is routine.

    `finish` runs the database work of an alert to its end, in the background of the request.
    """

    def opened(event: CircuitOpened) -> None:
        if event.long or event.scope == "provider":
            finish(from_database(_alert, event))

    def closed(name: Name) -> None:
        finish(from_database(resolve_alert, _once_key(*name)))

    breaker.on_open.append(opened)
    breaker.on_close.append(closed)


def _alert(event: CircuitOpened) -> None:
    what = f"Provider {event.name}" if event.scope == "provider" else f"Model {event.name}"
    todo = (
        "Its key, its credit or its name needs an operator: only a probe is sent now and then."
        if event.long
        else "Other models answer meanwhile; it is probed again automatically."
    )
    raise_alert(
        _KIND,
        f"{what} is paused: {event.reason}",
        f"{what} (provider {event.provider}) was taken out of the pool. Reason: {event.reason}. {todo} "
        "The Operator page shows when it is tried next.",
        severity="critical" if event.long else "warning",
        detail={"scope": event.scope, "name": event.name, "provider": event.provider},
        once_key=_once_key(event.scope, event.name),
    )


def _once_key(scope: str, name: str) -> str:
    return f"{_KIND}.{scope}.{name}"
