"""Latency before any traffic: priors by price class and effort, which measurements replace.

No source of latencies may be redistributed. The figures here are round numbers for a cheap, a medium and an
expensive model: only the order between models needs to be right until there is traffic.
"""

from routing.catalog.snapshot import Latency
from routing.language.arms import Effort

# Below that many USD per million output tokens: tokens per second.
_SPEEDS = ((1.5, 180.0), (5.0, 110.0), (20.0, 70.0), (float("inf"), 40.0))
_TTFT_MS: dict[Effort | None, float] = {
    None: 700.0,
    Effort.NONE: 700.0,
    Effort.MINIMAL: 900.0,
    Effort.LOW: 2_500.0,
    Effort.MEDIUM: 7_000.0,
    Effort.HIGH: 18_000.0,
    Effort.XHIGH: 40_000.0,
    Effort.MAX: 90_000.0,
}
_REFERENCE_SPEED = 110.0
_P95_OVER_P50 = 3.0
ENOUGH_SAMPLES = 20  # attempts from which a measurement replaces the prior


def latency_prior(effort: Effort | None, output_usd: float | None) -> Latency:
    """Return an arm's assumed latency at the effort it runs at.

    `output_usd`: USD per million output tokens, None when unpriced.
    """
    speed = next(speed for below, speed in _SPEEDS if (output_usd if output_usd is not None else 10) < below)
    ttft = _TTFT_MS[effort] * (_REFERENCE_SPEED / speed) ** 0.5
    return Latency(ttft, ttft * _P95_OVER_P50, speed)
