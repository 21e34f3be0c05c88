"""Tells operators when a provider or model fails for long, and forgets it when it answers again."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from billing.alerts.publish import raise_alert, resolve_alert
from core.database import from_database
from routing.execute.breaker import Breaker, Name, Opening

_KIND = "provider.circuit"


def watch(breaker: Breaker, finish: Callable[[Coroutine[Any, Any, Any]], asyncio.Task[Any]]) -> None:
    """Alert on what opens from now on. A single model's short pause is routing's daily work and no alert.

    `finish` runs the writing of an alert to its end in the background of a request.
    """

    def opened(opening: Opening) -> None:
        if opening.long or opening.scope == "provider":
            finish(from_database(_alert, opening))

    def closed(name: Name) -> None:
        finish(from_database(resolve_alert, _once(*name)))

    breaker.on_open.append(opened)
    breaker.on_close.append(closed)


def _alert(opening: Opening) -> None:
    what = f"Provider {opening.name}" if opening.scope == "provider" else f"Model {opening.name}"
    todo = (
        "Its key, its credit or its name needs an operator: nothing is sent there but a probe now and then."
        if opening.long
        else "Others answer meanwhile; it is tried again by itself."
    )
    raise_alert(
        _KIND,
        f"{what} is paused: {opening.reason}",
        f"{what} (provider {opening.provider}) was taken out of the pool. Reason: {opening.reason}. {todo} "
        "The Operator page shows when it is tried next.",
        severity="critical" if opening.long else "warning",
        detail={"scope": opening.scope, "name": opening.name, "provider": opening.provider},
        once_key=_once(opening.scope, opening.name),
    )


def _once(scope: str, name: str) -> str:
    return f"{_KIND}.{scope}.{name}"
