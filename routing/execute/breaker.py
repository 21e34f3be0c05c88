"""The breaker: stops sending to what keeps failing, and lets one probe through now and then.

Time comes in as an argument, in seconds of a monotonic clock. Where several processes serve, `shared_breaker`
tells the others what changed here (`news`, `told`), and here what changed there (`adopt`).
"""

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from routing.language.arms import ModelFacts
from routing.providers.shared.failures import Scope, UpstreamFailure

CONSECUTIVE_FAILURES = 5
WINDOW = 20  # recent outcomes looked at
ERROR_RATE = 0.5  # of a full window
FIRST_PAUSE_S = 5.0
# A recovered primary is back in use within 30 s (spec/reliability.md row 15): what is left is for the other
# processes to hear of it and for a request to come by.
LONGEST_PAUSE_S = 25.0
LONG_PAUSE_S = 300.0  # bad credential, empty purse, model gone: only an operator mends these
_SAME_S = 0.5  # two times of the same opening, read off two processes' clocks, differ by less

Name = tuple[Scope, str]  # of a circuit: a model's or a provider's


class Circuit(msgspec.Struct, frozen=True):
    """An open circuit as it is at one moment. Seconds; once `left_s` is 0 or less it is half-open."""

    scope: Scope
    name: str
    reason: str
    left_s: float  # until a probe may try
    pause_s: float  # the next one, if the probe fails
    long: bool  # an operator has to mend it

    @property
    def half_open(self) -> bool:
        return self.left_s <= 0


class Opening(msgspec.Struct, frozen=True):
    """What those are told who want to know that a circuit opened that was closed, or opened for long."""

    scope: Scope
    name: str
    provider: str
    reason: str
    long: bool


class _State:
    """One model's or provider's record."""

    def __init__(self) -> None:
        self.outcomes: deque[bool] = deque(maxlen=WINDOW)
        self.consecutive = 0
        self.open_until: float | None = None
        self.pause_s = FIRST_PAUSE_S
        self.reason = ""
        self.long = False
        self.probing_until: float | None = None

    def is_open(self, now: float) -> bool:
        return self.open_until is not None and now < self.open_until

    def is_due(self) -> bool:
        full = len(self.outcomes) == WINDOW and self.outcomes.count(False) >= WINDOW * ERROR_RATE
        return self.open_until is not None or self.consecutive >= CONSECUTIVE_FAILURES or full

    def open(self, until: float, reason: str, *, long: bool) -> None:
        self.open_until, self.reason, self.long, self.probing_until = until, reason, long, None

    def close(self) -> None:
        self.open_until = self.probing_until = None
        self.pause_s = FIRST_PAUSE_S
        self.consecutive = 0
        self.outcomes.clear()


class Breaker:
    """One circuit per model and one per provider.

    `on_open` are called with each Opening that this process saw first, `on_close` with the name of what
    answered again here. Where there are other processes,
    `claim` asks them whether the probe of the named circuits is ours, and `on_news` is called when something
    changed here.
    """

    def __init__(self) -> None:
        self._states: dict[Name, _State] = {}
        self._news: dict[Name, int] = {}  # what the others don't know yet, by a number that grows
        self._changes = 0
        self.on_open: list[Callable[[Opening], None]] = []
        self.on_close: list[Callable[[Name], None]] = []
        self.on_news: Callable[[], None] | None = None
        self.claim: Callable[[Sequence[Name], float], Awaitable[bool]] | None = None

    def blocked(self, now: float) -> tuple[dict[str, str], dict[str, str]]:
        """Reasons by model and by provider that may not be tried now."""
        models: dict[str, str] = {}
        providers: dict[str, str] = {}
        for (scope, name), state in list(self._states.items()):
            if state.is_open(now):
                (models if scope == "model" else providers)[name] = state.reason
        return models, providers

    def circuits(self, now: float) -> tuple[Circuit, ...]:
        """Those that are open or half-open."""
        found = (_circuit(name, state, now) for name, state in list(self._states.items()))
        return tuple(one for one in found if one is not None)

    def admit(self, facts: ModelFacts, now: float, probe_s: float) -> bool:
        """May this model be called now? Half-open, only one probe is let through per `probe_s`."""
        tripped = [self._states[name] for name in self._tripped(facts)]
        for state in tripped:
            if state.is_open(now) or (state.probing_until is not None and now < state.probing_until):
                return False
        for state in tripped:
            state.probing_until = now + probe_s
        return True

    async def lets_through(self, facts: ModelFacts, now: float, probe_s: float) -> bool:
        """As `admit`, over all processes: of a half-open circuit one of them has the probe."""
        probed = self._tripped(facts)
        if not self.admit(facts, now, probe_s):
            return False
        return not probed or self.claim is None or await self.claim(probed, probe_s)

    def reset(self) -> None:
        """Forget every failure, as after the trouble was mended by hand."""
        tripped = [name for name, state in list(self._states.items()) if state.open_until is not None]
        self._states.clear()
        for name in tripped:
            self._tell(name)

    def succeeded(self, facts: ModelFacts, now: float) -> None:
        """A call was answered. One that began before a circuit opened says nothing against its opening."""
        for name in _names(facts):
            state = self._states.get(name)
            if state is None or state.is_open(now):
                continue
            if state.open_until is not None:
                state.close()
                self._tell(name)
                for listener in self.on_close:
                    listener(name)
            state.consecutive = 0
            state.outcomes.append(True)

    def failed(self, facts: ModelFacts, failure: UpstreamFailure, now: float) -> None:
        if failure.breaker == "none":  # says nothing about whether the upstream is well
            self.succeeded(facts, now)
            return
        name: Name = (failure.scope, facts.provider if failure.scope == "provider" else facts.id)
        state = self._states.setdefault(name, _State())
        state.consecutive += 1
        state.outcomes.append(False)
        words = f"{failure.kind.replace('_', ' ')}: {failure.message}"[:200]
        if failure.breaker == "long":
            self._open(name, facts, now + LONG_PAUSE_S, words, long=True)
        elif state.is_open(now) and state.long:
            return
        elif failure.retry_after_s is not None:
            until = now + min(failure.retry_after_s, LONG_PAUSE_S)
            self._open(name, facts, max(until, state.open_until or until), words)
        elif state.is_due() and not state.is_open(now):  # calls that began before it opened count once
            self._open(name, facts, now + state.pause_s, words)
            state.pause_s = min(state.pause_s * 2, LONGEST_PAUSE_S)

    def news(self, now: float) -> dict[Name, tuple[int, Circuit | None]]:
        """What changed here since it was `told`: each circuit as it is now, None when it closed."""
        return {name: (number, self._seen(name, now)) for name, number in list(self._news.items())}

    def told(self, news: Mapping[Name, tuple[int, Circuit | None]]) -> None:
        """The others know this; what changed since is still news."""
        for name, (number, _) in news.items():
            if self._news.get(name) == number:
                del self._news[name]

    def retell(self) -> None:
        """The others have forgotten everything: all that is open here is news."""
        for name, state in list(self._states.items()):
            if state.open_until is not None:
                self._tell(name)

    def adopt(self, shared: Mapping[Name, Circuit], now: float) -> None:
        """Take over what the processes agree on, but for what changed here and is not told yet."""
        for name, circuit in shared.items():
            if name in self._news:
                continue
            state = self._states.setdefault(name, _State())
            until = now + circuit.left_s
            if state.open_until is None or abs(state.open_until - until) > _SAME_S:
                state.open(until, circuit.reason, long=circuit.long)
                state.pause_s = circuit.pause_s
        for name, state in list(self._states.items()):
            if state.open_until is not None and name not in shared and name not in self._news:
                state.close()

    def _tripped(self, facts: ModelFacts) -> list[Name]:
        states = ((name, self._states.get(name)) for name in _names(facts))
        return [name for name, state in states if state is not None and state.open_until is not None]

    def _open(self, name: Name, facts: ModelFacts, until: float, reason: str, *, long: bool = False) -> None:
        state = self._states[name]
        is_new = state.open_until is None or (long and not state.long)
        state.open(until, reason, long=long)
        self._tell(name)
        if is_new:
            opening = Opening(name[0], name[1], facts.provider, reason, long)
            for listener in self.on_open:
                listener(opening)

    def _tell(self, name: Name) -> None:
        self._changes += 1
        self._news[name] = self._changes
        if self.on_news is not None:
            self.on_news()

    def _seen(self, name: Name, now: float) -> Circuit | None:
        state = self._states.get(name)
        return None if state is None else _circuit(name, state, now)


def _names(facts: ModelFacts) -> tuple[Name, Name]:
    return ("provider", facts.provider), ("model", facts.id)


def _circuit(name: Name, state: _State, now: float) -> Circuit | None:
    if state.open_until is None:
        return None
    return Circuit(name[0], name[1], state.reason, state.open_until - now, state.pause_s, state.long)
