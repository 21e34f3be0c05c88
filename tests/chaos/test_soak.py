"""A soak short enough for every change; `make soak` is the same for longer, on PostgreSQL and Redis."""

import io

import numpy as np
import pytest

from bench.soak import Deployment, slope_of, soak


def test_a_short_soak_leaves_nothing_open_and_the_ledger_right() -> None:
    output = io.StringIO()
    with Deployment(embedded=True) as cluster:
        assert soak(cluster, 300, 16, output), output.getvalue()
    assert output.getvalue().splitlines()[-1] == "all is well"


def test_the_slope_of_memory_and_how_sure_it_is() -> None:
    done = np.array([0.0, 1, 2, 3])
    assert slope_of(done, np.array([5.0, 7, 9, 11])) == pytest.approx((2, 0))
    slope, error = slope_of(done, np.array([5.0, 6, 5, 6]))
    assert abs(slope) < 2 * error, "noise is no growth"
