"""The health of models and providers, in one place for all pages, so that no two of them disagree."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import mean

import msgspec
from django.conf import settings

from routing.catalog.live import catalog
from routing.catalog.snapshot import Snapshot
from routing.execute.breaker import Circuit
from routing.execute.shared_breaker import circuits_of_all
from routing.state import runtime


def circuits() -> tuple[Circuit, ...]:
    """Those that are open or half-open in any web process."""
    breakers = [alive.breaker for alive in runtime.alive()]
    return circuits_of_all(settings.REDIS_URL, settings.REDIS_PREFIX, breakers, time.monotonic())


def current_snapshot(tripped: Iterable[Circuit]) -> Snapshot:
    """The catalog's snapshot with the models blocked whose circuit, or whose provider's, is not closed."""
    snapshot = catalog.snapshot
    reasons = {(circuit.scope, circuit.name): circuit.reason for circuit in tripped}
    blocked = {
        facts.id: reason
        for facts in snapshot.models.values()
        if (reason := reasons.get(("model", facts.id)) or reasons.get(("provider", facts.provider)))
    }
    return msgspec.structs.replace(snapshot, blocked=snapshot.blocked | blocked) if blocked else snapshot


@dataclass(frozen=True)
class ProviderHealth:
    """`status`: healthy, degraded, down, or not used yet.

    `p_up`: mean share of attempts that did not fail; None before the first measured attempt.
    """

    provider: str
    models: int
    blocked: int
    p_up: float | None
    reason: str = ""

    @property
    def status(self) -> str:
        if self.blocked == self.models:
            return "down"
        if self.p_up is None and not self.blocked:
            return "not used yet"
        return "degraded" if self.blocked or (self.p_up or 0.0) < 0.95 else "healthy"


def provider_health(snapshot: Snapshot) -> dict[str, ProviderHealth]:
    models: dict[str, list[str]] = {}
    for facts in snapshot.models.values():
        models.setdefault(facts.provider, []).append(facts.id)
    return {
        provider: ProviderHealth(
            provider=provider,
            models=len(ids),
            blocked=sum(model in snapshot.blocked for model in ids),
            p_up=mean(snapshot.p_up.get(model, 1.0) for model in ids)
            if any(model in snapshot.p_up for model in ids)
            else None,
            reason=next((snapshot.blocked[model] for model in ids if model in snapshot.blocked), ""),
        )
        for provider, ids in sorted(models.items())
    }
