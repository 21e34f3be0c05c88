"""`make bench-speed`: RoutePlex, other gateways and two floors side by side, each on one core.

The gateway has one core to itself; load generator, upstream, PostgreSQL and Redis have another. Every figure
is the median of several runs. Results are added to var/speed/results.jsonl, and docs/speed.md is written from
the newest of each target.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

import msgspec

from bench.speed.machine import LOAD_CORE, this_machine
from bench.speed.peers import PEERS
from bench.speed.phases import QUICK, Plan, Result, measure
from bench.speed.profiling import profile
from bench.speed.programs import VAR, NoCompiler, upstream
from bench.speed.report import table, versions, write_page
from bench.speed.stores import POSTGRES, SQLITE
from bench.speed.targets import Target, own_targets

RESULTS = VAR / "results.jsonl"
_STORES = {"sqlite": SQLITE, "postgres": POSTGRES}


def main() -> int:
    arguments = _arguments()
    os.sched_setaffinity(0, {LOAD_CORE})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    VAR.mkdir(parents=True, exist_ok=True)
    stores = [_STORES[name] for name in arguments.stores]
    if arguments.page:
        write_page(newest(RESULTS), this_machine())
        return 0
    names = arguments.targets or (["auto"] if arguments.quick or arguments.profile else None)
    try:
        if arguments.profile:
            for target, _ in _wanted(stores[:1], names):
                with upstream() as url:
                    print(f"stacks: {profile(target, url)}")
            return 0
        plan = QUICK if arguments.quick else Plan(runs=arguments.runs)
        results = []
        for target, store_name in _wanted(stores[:1] if arguments.quick else stores, names):
            print(f"{target.name}, {store_name} …", file=sys.stderr, flush=True)
            with upstream() as url:
                results.append(measure(target, store_name, url, plan))
            if not arguments.quick:
                with RESULTS.open("ab") as file:
                    file.write(msgspec.json.encode(results[-1]) + b"\n")
    except NoCompiler as error:
        sys.exit(str(error))
    print(table(results))
    print(versions(results))
    for result in results:
        for problem in result.errors:
            print(f"{result.target}: {problem}")
    if not arguments.quick and not arguments.targets:
        write_page(newest(RESULTS), this_machine())
    return 1 if any(result.errors for result in results if result.target in ("auto", "manual")) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    own = [target.name for target in own_targets(SQLITE)]
    parser.add_argument("--targets", nargs="+", choices=[*own, *(peer.name for peer in PEERS)])
    parser.add_argument("--stores", nargs="+", choices=_STORES, default=list(_STORES)[::-1])
    parser.add_argument("--runs", type=int, default=3, help="of each phase")
    parser.add_argument("--quick", action="store_true", help="one target, some 30 s, nothing is written")
    parser.add_argument("--profile", action="store_true", help="print where the time goes instead")
    parser.add_argument("--page", action="store_true", help="only write docs/speed.md from stored results")
    return parser.parse_args()


def _wanted(stores: list[str], names: list[str] | None) -> list[tuple[Target, str]]:
    """The targets to measure: RoutePlex on each store, and everything else once."""
    wanted: list[tuple[Target, str]] = []
    for number, store_name in enumerate(stores):
        for target in own_targets(store_name):
            if number == 0 or target.name in ("auto", "manual"):
                wanted.append((target, store_name))
    wanted += [(peer, "") for peer in PEERS]
    wanted.sort(key=lambda pair: pair[0].name not in ("auto", "manual"))
    return [pair for pair in wanted if names is None or pair[0].name in names]


def newest(file: Path) -> list[Result]:
    """The newest result of each target and store, in the order in which they are shown."""
    results = {}
    for line in file.read_bytes().splitlines():
        result = msgspec.json.decode(line, type=Result)
        results[result.target, result.store] = result
    order = ["auto", "manual", *(peer.name for peer in PEERS), "floor", "direct"]
    return sorted(results.values(), key=lambda result: (order.index(result.target), result.store != POSTGRES))


if __name__ == "__main__":
    sys.exit(main())
