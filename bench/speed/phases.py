"""The phases of a measurement, and what one target showed in them."""

import json
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench.speed.machine import GATEWAY_CORE, busy_s, cpu_s, loop_ns, memory_mb
from bench.speed.programs import Answers, LoadResult, load, request_body
from bench.speed.targets import Gateway, Target

AT_ONCE = Answers()
PACED = Answers(delay_ms=20, events=60, interval_us=20_000)
BURST = Answers(events=100)
LOW_RATE = 50  # requests per second
PACED_RATE = 10  # streams per second
REQUESTS_BEFORE_MEMORY = 20_000
_FOREIGN = 0.06  # share of the gateway's core used by others, above which a run is repeated
_MOST_REPEATS = 3
_SETTLE_S = 1.0
_MOST_FILL_S = 60.0  # for the requests before memory is measured again; a slower gateway has no such figure


class Run(msgspec.Struct, frozen=True):
    """One load. `cpu_us`: CPU time of the gateway's processes per request, in µs.

    `foreign`: the share of the gateway's core that other processes used.
    """

    load: LoadResult
    cpu_us: float
    foreign: float


class Result(msgspec.Struct):
    """The figures of a target, by phase. Memory in MB; `loop_ns` says how fast the machine was."""

    target: str
    store: str
    version: str = ""
    at: str = ""
    loop_ns: float = 0
    start_s: float | None = None
    idle_mb: float | None = None
    after_mb: float | None = None
    phases: dict[str, list[Run]] = {}
    errors: list[str] = []

    def median(self, phase: str, read: Callable[[Run], float]) -> float | None:
        """The median of a figure over the runs in which requests succeeded; None if there are none."""
        runs = [each for each in self.phases.get(phase, []) if each.load.succeeded]
        return statistics.median(map(read, runs)) if runs else None

    @property
    def requests_per_s(self) -> float:
        """The most it served, at 32 or 64 requests in flight."""
        figures = [
            self.median(phase, lambda run: run.load.requests_per_s)
            for phase in ("saturation-32", "saturation-64")
        ]
        return max((figure for figure in figures if figure), default=0.0)


class Plan(msgspec.Struct, frozen=True):
    """How long to measure. `runs` of each phase, of `seconds` each."""

    runs: int = 3
    seconds: float = 3.0
    quick: bool = False  # one run of the phases that say most


QUICK = Plan(runs=1, seconds=4.0, quick=True)


class NotStarted(Exception):
    """The gateway did not answer in time."""


def measure(target: Target, store_name: str, upstream_url: str, plan: Plan) -> Result:
    """Start the target, take it through all phases and end it. A target that fails has `errors`."""
    result = Result(target.name, store_name, at=datetime.now(UTC).isoformat(timespec="seconds"))
    result.loop_ns = round(loop_ns(), 1)
    try:
        began = time.monotonic()
        with target.start(upstream_url) as gateway:
            result.version = gateway.version
            began = time.monotonic()
            await_answer(gateway, target.start_timeout_s)
            result.start_s = round(time.monotonic() - began, 1)
            _Measurement(gateway, plan, result).all_phases()
    except (NotStarted, RuntimeError, OSError) as error:
        result.errors.append(str(error))
    return result


class _Measurement:
    def __init__(self, gateway: Gateway, plan: Plan, result: Result) -> None:
        self._gateway, self._plan, self._result = gateway, plan, result
        self._answered = 0

    def all_phases(self) -> None:
        result, plan = self._result, self._plan
        time.sleep(_SETTLE_S)
        if self._gateway.pid is not None:
            result.idle_mb = round(memory_mb(self._gateway.pid), 1)
        self._run(AT_ONCE, connections=16, seconds=1.5)  # warm-up
        for connections in (32,) if plan.quick else (32, 64):
            name = f"saturation-{connections}"
            self._phase(name, AT_ONCE, connections=connections, seconds=plan.seconds, repeats=_MOST_REPEATS)
        self._phase("low", AT_ONCE, connections=64, seconds=2 * plan.seconds, rate=LOW_RATE)
        if not plan.quick:
            rate = max(1, round(result.requests_per_s / 2))
            self._phase("half", AT_ONCE, connections=256, seconds=plan.seconds, rate=rate)
        self._phase("paced", PACED, connections=128, seconds=plan.seconds + 1, rate=PACED_RATE)
        self._phase("burst", BURST, connections=16, seconds=plan.seconds)
        if self._gateway.pid is not None and not plan.quick and self._fill_memory():
            result.after_mb = round(memory_mb(self._gateway.pid), 1)

    def _phase(self, name: str, answers: Answers, *, repeats: int = 0, **options: Any) -> None:
        """Run a phase, again while others use the gateway's core; keep the runs with the least of that."""
        runs: list[Run] = []
        wanted = self._plan.runs
        repeats = 0 if self._plan.quick else repeats
        while sum(run.foreign <= _FOREIGN for run in runs) < wanted and len(runs) < wanted + repeats:
            runs.append(self._run(answers, **options))
        self._result.phases[name] = sorted(runs, key=lambda run: run.foreign)[:wanted]
        for run in self._result.phases[name]:
            wrong = run.load.failed + run.load.refused + run.load.timed_out
            if wrong:
                self._result.errors.append(f"{name}: {wrong} requests failed, {run.load.first_error[:200]}")

    def _run(self, answers: Answers, **options: Any) -> Run:
        done = run(self._gateway, answers, **options)
        self._answered += done.load.succeeded
        return done

    def _fill_memory(self) -> bool:
        """Send the rest of 20,000 requests; return whether there was time for all."""
        rate, until = max(1.0, self._result.requests_per_s), time.monotonic() + _MOST_FILL_S
        while self._answered < REQUESTS_BEFORE_MEMORY:
            if time.monotonic() > until:
                return False
            seconds = min(20.0, max(2.0, (REQUESTS_BEFORE_MEMORY - self._answered) / rate))
            if self._run(AT_ONCE, connections=32, seconds=seconds).load.succeeded == 0:
                raise RuntimeError("no request was answered")
        return True


def run(gateway: Gateway, answers: Answers, pad: str = "", **options: Any) -> Run:
    """Send requests, with the options of `programs.load`, and measure the CPU time that they take.

    `pad` lengthens the prompt.
    """
    pid = gateway.pid
    began, busy, used = time.monotonic(), busy_s(GATEWAY_CORE), cpu_s(pid) if pid else 0
    body = request_body(gateway.model, answers, pad)
    done = load(gateway.url, body, gateway.headers, keys=gateway.keys, **options)
    used = (cpu_s(pid) if pid else 0) - used
    busy = busy_s(GATEWAY_CORE) - busy
    foreign = max(0.0, busy - used) / (time.monotonic() - began)
    return Run(done, round(used * 1e6 / max(1, done.started), 1), round(foreign, 3))


def await_answer(gateway: Gateway, timeout_s: float) -> None:
    """Return once a chat request is answered. Raises NotStarted."""
    body = json.dumps(request_body(gateway.model, AT_ONCE)).encode()
    headers = {"Content-Type": "application/json", **gateway.headers}
    if gateway.keys:
        headers["Authorization"] = f"Bearer {gateway.keys.read_text().split()[0]}"
    problem = ""
    until = time.monotonic() + timeout_s
    while time.monotonic() < until:
        request = urllib.request.Request(gateway.url, data=body, headers=headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
                if b'"T' in answer.read():
                    return
                problem = "its answer is not the upstream's"
        except urllib.error.HTTPError as error:
            problem = f"{error}: {error.read()[:300].decode(errors='replace')}"
        except OSError as error:
            problem = str(error)
        time.sleep(0.1)
    raise NotStarted(f"did not answer within {timeout_s:g} s: {problem}")
