"""No change makes a request much more expensive: CPU time as a multiple of a bare ASGI application's."""

import statistics
from collections.abc import Iterator

import msgspec
import pytest

from bench.speed.phases import AT_ONCE, await_answer, run
from bench.speed.programs import VAR, NoCompiler, program, upstream
from bench.speed.stores import SQLITE
from bench.speed.targets import Gateway, floor, routeplex

# CPU time is compared, not time, and with an application on the same server in the same run, because machines
# differ and are busy with other tests. In November 2026 the medians were 35 to 48, also beside four programs
# that filled the caches; the figures of docs/speed.md, from an otherwise idle machine, make 44 and 55. The
# limits are about twice that.
MOST_MULTIPLES = {"gpt-4o-mini": 100, "auto": 120}
# A measurement over the limit is repeated: other programs disturb some, but a costly change disturbs all.
MEASUREMENTS = 3
ROUNDS, SECONDS, CONNECTIONS = 4, 0.8, 16


@pytest.fixture(scope="module")
def upstream_url() -> Iterator[str]:
    try:
        program("load")
    except NoCompiler as error:
        pytest.skip(str(error))
    VAR.mkdir(parents=True, exist_ok=True)
    with upstream() as url:
        yield url


def test_cpu_time_of_a_request_is_a_small_multiple_of_the_servers(upstream_url: str) -> None:
    with (
        floor(upstream_url) as bare,
        routeplex(upstream_url, "auto", SQLITE, ENCODER="off") as gateway,
    ):
        await_answer(bare, 120)
        await_answer(gateway, 120)
        measured = [multiples(gateway, bare)]
        while len(measured) < MEASUREMENTS and not is_within_limits(measured[-1]):
            measured.append(multiples(gateway, bare))
    assert is_within_limits(measured[-1]), measured


def multiples(gateway: Gateway, bare: Gateway) -> dict[str, float]:
    """CPU time of a request to each model as a multiple of the bare application's: the median of rounds."""
    targets = {model: msgspec.structs.replace(gateway, model=model) for model in MOST_MULTIPLES}
    rounds = []
    for _ in range(ROUNDS):
        floor_us = cpu_us(bare)
        rounds.append({model: cpu_us(target) / floor_us for model, target in targets.items()})
    return {model: statistics.median(each[model] for each in rounds) for model in targets}


def is_within_limits(measured: dict[str, float]) -> bool:
    return all(measured[model] <= most for model, most in MOST_MULTIPLES.items())


def cpu_us(gateway: Gateway) -> float:
    """CPU time of a request in µs."""
    done = run(gateway, AT_ONCE, connections=CONNECTIONS, seconds=SECONDS, warm_up_s=0.2)
    assert not done.load.failed + done.load.refused, done.load.first_error
    return done.cpu_us
