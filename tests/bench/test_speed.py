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
# differ and are busy with other tests. On a busy machine the multiple is up to three times that of an idle
# one, because a large program loses more when it shares caches: 60 became 160 in November 2026.
MOST_MULTIPLES = {"gpt-4o-mini": 300, "auto": 300}
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
        gateways = {model: msgspec.structs.replace(gateway, model=model) for model in MOST_MULTIPLES}
        rounds = [
            {name: cpu_us(each) for name, each in gateways.items()} | {"floor": cpu_us(bare)}
            for _ in range(ROUNDS)
        ]
    multiples = {
        model: statistics.median(each[model] / each["floor"] for each in rounds) for model in MOST_MULTIPLES
    }
    assert all(multiples[model] <= most for model, most in MOST_MULTIPLES.items()), (multiples, rounds)


def cpu_us(gateway: Gateway) -> float:
    """CPU time of a request in µs."""
    done = run(gateway, AT_ONCE, connections=CONNECTIONS, seconds=SECONDS, warm_up_s=0.2)
    assert not done.load.failed + done.load.refused, done.load.first_error
    return done.cpu_us
