"""`make test-chaos`: runs the table against real processes; ROWS=21,22 selects; exit code 1 on a FAIL."""

import os
import signal
import sys
import time

from tests.chaos import (  # noqa: F401 - their rows
    budget,
    failover,
    hostile_rows,
    own_rows,
    raw_rows,
    trouble_rows,
    upstream_rows,
)
from tests.chaos.cluster import Cluster
from tests.chaos.table import ROWS, run


def _place(name: str) -> tuple[bool, int]:
    """In the specification's order; what has no number comes last."""
    return not name.isdigit(), int(name) if name.isdigit() else 0


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is cleaned up
    wanted = [name.strip() for name in os.environ.get("ROWS", "").split(",") if name.strip()]
    rows = [ROWS[name] for name in wanted or sorted(ROWS, key=_place)]
    began = time.monotonic()
    with Cluster() as cluster:
        print(f"started in {time.monotonic() - began:.1f} s", flush=True)
        good = run(rows, cluster)
        cluster.failed = not good
    print(f"\n{'all passed' if good else 'FAILED'} in {time.monotonic() - began:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
