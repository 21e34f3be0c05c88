"""Circuit breakers: stop sending to a model or provider that keeps failing, and probe it now and then.

Time comes in as an argument, in seconds of a monotonic clock. Where several processes serve, `shared_breaker`
publishes what changed here (`unpublished`, `published`) and applies what changed elsewhere (`adopt`).
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from routing.language.arms import ModelFacts
from routing.providers.shared.failures import Scope, UpstreamFailure

CONSECUTIVE_FAILURES = 5
WINDOW = 20  # latest outcomes that count
ERROR_RATE = 0.5  # of a full window
FIRST_PAUSE_S = 5.0
# A recovered model is back in use within 30 s (docs/reliability.md): the remaining 5 s are for the other
# processes to learn of it and for the next request to arrive.
LONGEST_PAUSE_S = 25.0
LONG_PAUSE_S = 300.0  # wrong credential, no credit left, model gone: only an operator can repair these
STRIKES = 2  # such failures in a row before the long pause: providers return single ones by mistake too
STRIKE_S = 600.0  # an earlier one counts for so long
LAST_RESORT_S = 5.0  # between probes during a long pause, while no other model can answer
_SAME_S = 0.5  # end times of one pause, taken from the clocks of two processes, differ by less

Name = tuple[Scope, str]  # of a circuit: its scope, and the model's or provider's id


class Circuit(msgspec.Struct, frozen=True):
    """An open circuit at one moment. Times in seconds; once `left_s` is 0 or less it is half-open."""

    scope: Scope
    name: str
    reason: str
    left_s: float  # until a probe may be sent
    pause_s: float  # the next pause, if the probe fails
    long: bool  # only an operator can repair it

    @property
    def half_open(self) -> bool:
        return self.left_s <= 0


class CircuitOpened(msgspec.Struct, frozen=True):
    """A closed circuit opened, or an open one became a long pause: for listeners such as alerts."""

    scope: Scope
    name: str
    provider: str
    reason: str
    long: bool


class _State:
    """Outcomes and pause of one model or provider."""

    def __init__(self) -> None:
        self.outcomes: deque[bool] = deque(maxlen=WINDOW)
        self.consecutive = 0
        self.open_until: float | None = None
        self.pause_s = FIRST_PAUSE_S
        self.reason = ""
        self.long = False
        self.probing_until: float | None = None
        self.last_resort_at = 0.0  # from then on it may be probed although it is paused for long
        self.strikes = 0  # failures in a row that only an operator can repair
        self.struck_at = 0.0

    def is_open(self, now: float) -> bool:
        return self.open_until is not None and now < self.open_until

    def is_due(self) -> bool:
        full = len(self.outcomes) == WINDOW and self.outcomes.count(False) >= WINDOW * ERROR_RATE
        return self.open_until is not None or self.consecutive >= CONSECUTIVE_FAILURES or full

    def wait_s(self, now: float, *, last_resort: bool) -> float:
        """Seconds until a probe may be sent; 0 or less: now. Only for an open or half-open circuit."""
        assert self.open_until is not None
        pause = self.last_resort_at if last_resort and self.long else self.open_until
        return max(min(pause, self.open_until), self.probing_until or 0.0) - now

    def strike(self, now: float) -> bool:
        """Count a failure that only an operator can repair; return whether it is time for the long pause."""
        self.strikes = self.strikes + 1 if now - self.struck_at < STRIKE_S else 1
        self.struck_at = now
        return self.strikes >= STRIKES or (self.long and self.open_until is not None)

    def open(self, now: float, until: float, reason: str, *, long: bool) -> None:
        self.open_until, self.reason, self.long, self.probing_until = until, reason, long, None
        self.last_resort_at = now + LAST_RESORT_S

    def close(self) -> None:
        self.open_until = self.probing_until = None
        self.pause_s = FIRST_PAUSE_S
        self.consecutive = self.strikes = 0
        self.long = False
        self.outcomes.clear()


class Breaker:
    """One circuit per model and one per provider.

    `on_open` listeners get each CircuitOpened of this process, `on_close` listeners the name of each circuit
    that closed because a call was answered here. With other processes, `claim` asks for the right to probe
    the named circuits for so many seconds, and `on_change` is called when a circuit changed here.
    """

    def __init__(self) -> None:
        self._states: dict[Name, _State] = {}
        self._unpublished: dict[Name, int] = {}  # circuits that changed here, by a growing number
        self._changes = 0
        self.on_open: list[Callable[[CircuitOpened], None]] = []
        self.on_close: list[Callable[[Name], None]] = []
        self.on_change: Callable[[], None] | None = None
        self.claim: Callable[[Sequence[Name], float], Awaitable[bool]] | None = None

    def blocked(self, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """The reasons by model and by provider of those that may not be called now."""
        models: dict[str, str] = {}
        providers: dict[str, str] = {}
        for (scope, name), state in list(self._states.items()):
            if state.is_open(now):
                (models if scope == "model" else providers)[name] = state.reason
        return models, providers

    def circuits(self, now: float) -> tuple[Circuit, ...]:
        """All circuits that are open or half-open."""
        circuits = (_circuit(name, state, now) for name, state in list(self._states.items()))
        return tuple(circuit for circuit in circuits if circuit is not None)

    def wait_s(self, facts: ModelFacts, now: float, *, last_resort: bool = True) -> float:
        """Seconds until this model may be called, as far as this process knows; 0: now.

        `last_resort`: no other model can answer, so that one in a long pause may be probed sometimes.
        """
        tripped = (self._states[name] for name in self._tripped(facts))
        return max((state.wait_s(now, last_resort=last_resort) for state in tripped), default=0.0)

    def acquire_here(
        self, facts: ModelFacts, now: float, probe_s: float, *, last_resort: bool = False
    ) -> bool:
        """Return whether this model may be called now, as far as this process knows.

        A closed circuit lets every call through. Once its pause is over, an open circuit is half-open: it
        lets one call through as a probe, and the next one only after `probe_s` seconds, in case the probe
        never reports back. `succeeded` closes the circuit, `failed` begins the next pause: they release the
        probe. `last_resort`: see `wait_s`.
        """
        if self.wait_s(facts, now, last_resort=last_resort) > 0:
            return False
        for name in self._tripped(facts):
            self._states[name].probing_until = now + probe_s
        return True

    async def acquire(
        self, facts: ModelFacts, now: float, probe_s: float, *, last_resort: bool = False
    ) -> bool:
        """As `acquire_here`, over all processes: only one of them may probe a half-open circuit.

        A last resort is each process's own.
        """
        probed = self._tripped(facts)
        if not self.acquire_here(facts, now, probe_s, last_resort=last_resort):
            return False
        return not probed or last_resort or self.claim is None or await self.claim(probed, probe_s)

    def reset(self) -> None:
        """Close every circuit and drop all outcomes, as after an operator repaired the cause."""
        tripped = [name for name, state in list(self._states.items()) if state.open_until is not None]
        self._states.clear()
        for name in tripped:
            self._mark_changed(name)

    def succeeded(self, facts: ModelFacts, now: float) -> None:
        """A call was answered. It closes a circuit that was probed, but not one that opened meanwhile."""
        for name in _names(facts):
            state = self._states.get(name)
            if state is None or (state.is_open(now) and state.probing_until is None):
                continue
            if state.open_until is not None:
                state.close()
                self._mark_changed(name)
                for listener in self.on_close:
                    listener(name)
            state.consecutive = state.strikes = 0
            state.outcomes.append(True)

    def failed(self, facts: ModelFacts, failure: UpstreamFailure, now: float) -> None:
        """A call failed. Opens the circuit after many failures, a `Retry-After`, or repeated lasting ones."""
        if failure.breaker == "none":  # says nothing about the health of the provider
            self.succeeded(facts, now)
            return
        name: Name = (failure.scope, facts.provider if failure.scope == "provider" else facts.id)
        state = self._states.setdefault(name, _State())
        state.consecutive += 1
        state.outcomes.append(False)
        reason = f"{failure.kind.replace('_', ' ')}: {failure.message}"[:200]
        if failure.breaker == "long" and state.strike(now):
            self._open(name, facts, now, now + LONG_PAUSE_S, reason, long=True)
        elif state.is_open(now) and state.long:
            return
        elif failure.retry_after_s is not None:
            until = now + min(failure.retry_after_s, LONG_PAUSE_S)
            self._open(name, facts, now, max(until, state.open_until or until), reason)
        elif state.is_due() and not state.is_open(now):  # calls that began before it opened count once
            self._open(name, facts, now, now + state.pause_s, reason)
            state.pause_s = min(state.pause_s * 2, LONGEST_PAUSE_S)

    def unpublished(self, now: float) -> dict[Name, tuple[int, Circuit | None]]:
        """Circuits that changed here and are not `published` yet, as they are now; None for a closed one."""
        return {name: (number, self._state(name, now)) for name, number in list(self._unpublished.items())}

    def published(self, changes: Mapping[Name, tuple[int, Circuit | None]]) -> None:
        """The other processes have these changes; those that followed are still unpublished."""
        for name, (number, _) in changes.items():
            if self._unpublished.get(name) == number:
                del self._unpublished[name]

    def publish_all(self) -> None:
        """The shared state was lost: every circuit that is open here is to be published again."""
        for name, state in list(self._states.items()):
            if state.open_until is not None:
                self._mark_changed(name)

    def adopt(self, shared: Mapping[Name, Circuit], now: float) -> None:
        """Take over the shared circuits, except where this process has an unpublished change."""
        for name, circuit in shared.items():
            if name in self._unpublished:
                continue
            state = self._states.setdefault(name, _State())
            until = now + circuit.left_s
            if state.open_until is None or abs(state.open_until - until) > _SAME_S:
                state.open(now, until, circuit.reason, long=circuit.long)
                state.pause_s = circuit.pause_s
        for name, state in list(self._states.items()):
            if state.open_until is not None and name not in shared and name not in self._unpublished:
                state.close()

    def _tripped(self, facts: ModelFacts) -> list[Name]:
        if not self._states:
            return []
        states = ((name, self._states.get(name)) for name in _names(facts))
        return [name for name, state in states if state is not None and state.open_until is not None]

    def _open(
        self, name: Name, facts: ModelFacts, now: float, until: float, reason: str, *, long: bool = False
    ) -> None:
        state = self._states[name]
        is_new = state.open_until is None or (long and not state.long)
        state.open(now, until, reason, long=long)
        self._mark_changed(name)
        if is_new:
            event = CircuitOpened(name[0], name[1], facts.provider, reason, long)
            for listener in self.on_open:
                listener(event)

    def _mark_changed(self, name: Name) -> None:
        self._changes += 1
        self._unpublished[name] = self._changes
        if self.on_change is not None:
            self.on_change()

    def _state(self, name: Name, now: float) -> Circuit | None:
        state = self._states.get(name)
        return None if state is None else _circuit(name, state, now)


def _names(facts: ModelFacts) -> tuple[Name, Name]:
    return ("provider", facts.provider), ("model", facts.id)


def _circuit(name: Name, state: _State, now: float) -> Circuit | None:
    if state.open_until is None:
        return None
    return Circuit(name[0], name[1], state.reason, state.open_until - now, state.pause_s, state.long)
