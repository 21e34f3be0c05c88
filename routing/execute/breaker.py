"""The breaker: stops sending to what keeps failing, and lets one probe through now and then.

State lives in one process. Time comes in as an argument, in seconds of a monotonic clock.
"""

from collections import deque

from routing.arms import ModelFacts
from routing.providers.failures import UpstreamFailure

CONSECUTIVE_FAILURES = 5
WINDOW = 20  # recent outcomes looked at
ERROR_RATE = 0.5  # of a full window
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 30.0  # a recovered primary is back within 30 s (spec/reliability.md row 15)
LONG_PAUSE_S = 300.0  # bad credential, empty purse, model gone: only an operator mends these


class _Circuit:
    """One model's or provider's record."""

    def __init__(self) -> None:
        self.outcomes: deque[bool] = deque(maxlen=WINDOW)
        self.consecutive = 0
        self.open_until: float | None = None
        self.pause_s = FIRST_PAUSE_S
        self.reason = ""
        self.probing_until: float | None = None

    def open(self, until: float, reason: str) -> None:
        self.open_until, self.reason, self.probing_until = until, reason, None

    def trip_if_due(self, now: float, reason: str) -> None:
        full = len(self.outcomes) == WINDOW and self.outcomes.count(False) >= WINDOW * ERROR_RATE
        if self.open_until is not None or self.consecutive >= CONSECUTIVE_FAILURES or full:
            self.open(now + self.pause_s, reason)
            self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S)

    def close(self) -> None:
        self.open_until = self.probing_until = None
        self.pause_s = FIRST_PAUSE_S
        self.consecutive = 0
        self.outcomes.clear()


class Breaker:
    """One circuit per model and one per provider."""

    def __init__(self) -> None:
        self._models: dict[str, _Circuit] = {}
        self._providers: dict[str, _Circuit] = {}

    def blocked(self, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Reasons by model and by provider that may not be tried now."""
        return _open_ones(self._models, now), _open_ones(self._providers, now)

    def admit(self, facts: ModelFacts, now: float, probe_s: float) -> bool:
        """May this model be called now? Half-open, only one probe is let through per `probe_s`."""
        circuits = [self._providers.get(facts.provider), self._models.get(facts.id)]
        tripped = [circuit for circuit in circuits if circuit is not None and circuit.open_until is not None]
        for circuit in tripped:
            probing = circuit.probing_until is not None and now < circuit.probing_until
            if now < (circuit.open_until or 0) or probing:
                return False
        for circuit in tripped:
            circuit.probing_until = now + probe_s
        return True

    def reset(self) -> None:
        """Forget every failure, as after the trouble was mended by hand."""
        self._models.clear()
        self._providers.clear()

    def succeeded(self, facts: ModelFacts) -> None:
        provider = self._providers.get(facts.provider)
        if provider is not None:
            provider.close()
        circuit = self._models.get(facts.id)
        if circuit is None:
            return
        if circuit.open_until is not None:
            circuit.close()
        circuit.consecutive = 0
        circuit.outcomes.append(True)

    def failed(self, facts: ModelFacts, failure: UpstreamFailure, now: float) -> None:
        if failure.breaker == "none":  # says nothing about whether the upstream is well
            self.succeeded(facts)
            return
        words = f"{failure.kind.replace('_', ' ')}: {failure.message}"[:200]
        if failure.scope == "provider":
            circuit = self._providers.setdefault(facts.provider, _Circuit())
        else:
            circuit = self._models.setdefault(facts.id, _Circuit())
        circuit.consecutive += 1
        circuit.outcomes.append(False)
        if failure.breaker == "long":
            circuit.open(now + LONG_PAUSE_S, words)
        elif failure.retry_after_s is not None:
            circuit.open(now + min(failure.retry_after_s, LONG_PAUSE_S), words)
        else:
            circuit.trip_if_due(now, words)


def _open_ones(circuits: dict[str, _Circuit], now: float) -> dict[str, str]:
    return {
        name: circuit.reason
        for name, circuit in circuits.items()
        if circuit.open_until is not None and now < circuit.open_until
    }
