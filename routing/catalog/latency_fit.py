"""Latency figures of an arm from its recent calls, streamed or not; pure.

A streamed call shows its time to first token and its speed. An answer that arrives whole shows only its total
time. Many such answers together show both: each further token takes the same time.
"""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from routing.catalog.priors import ENOUGH_SAMPLES
from routing.catalog.snapshot import Latency

# Faster than that, a stream was not decoded but delivered in one piece, by a server that answers a streaming
# request with a whole body, or by a proxy that buffers. The fastest providers decode about 3,000 tokens/s.
MAX_TOKENS_PER_SECOND = 5_000.0
# Visible tokens from which a stream shows its speed; of a shorter one, most arrives with the first token.
MIN_TOKENS = 16
# Chosen: relative standard deviations of a latency around the fit, and of the prior's time per token. With 20
# calls of different lengths the calls decide, not the prior.
_NOISE = 0.15
_PRIOR_SD = 1.0
_WIDE_PRIOR_SD = 10.0  # of time to first token and time per reasoning token, about which little is assumed
_ROUNDS = 4  # of reweighting: the figures no longer change by 1 % after the third
_MOST_CHANGE = 8.0  # time per token may differ by this factor from the prior
_MOST_DECODING_SHARE = 0.7  # of a whole latency that decoding takes by the prior
_LEAST_FIRST_SHARE = 0.05  # of a whole latency that is time to first token, whatever the fit says


class Call(NamedTuple):
    """A successful upstream call. Times in ms; `ttft_ms` counts only where the answer was streamed."""

    weight: float
    streamed: bool
    ttft_ms: int | None
    latency_ms: int
    visible_tokens: int
    reasoning_tokens: int


class Fit(NamedTuple):
    """Time to first token in ms and speed in tokens/s; None: the calls do not show it."""

    samples: int
    ttft_p50_ms: float | None
    ttft_p95_ms: float | None
    tokens_per_second: float | None


def fit(calls: Sequence[Call], prior: Latency) -> Fit:
    """Fit an arm's latency figures. Whole answers count only while streamed ones are too few."""
    streamed = [call for call in calls if _is_streamed(call)]
    whole = [] if len(streamed) >= ENOUGH_SAMPLES else [call for call in calls if not _is_streamed(call)]
    speed = _streamed_speed(streamed)
    ttfts = [(float(call.ttft_ms or 0), call.weight) for call in streamed]
    if whole:
        ms_per_token = 1000 / speed if speed else _ms_per_token(whole, prior)
        speed = 1000 / ms_per_token
        ttfts += [(_first_ms(call, ms_per_token), call.weight) for call in whole]
    return Fit(len(ttfts), quantile(ttfts, 0.5), quantile(ttfts, 0.95), speed)


def quantile(weighted: Iterable[tuple[float, float]], share: float) -> float | None:
    """Return the smallest value that at least `share` of the weight does not exceed; None without values."""
    ordered = sorted(weighted)
    if not ordered:
        return None
    target = share * math.fsum(weight for _, weight in ordered)
    reached = 0.0
    for value, weight in ordered:
        reached += weight
        if reached >= target:
            return float(value)
    return float(ordered[-1][0])


def _is_streamed(call: Call) -> bool:
    """Return whether the answer arrived in pieces, so that its time to first token is one."""
    if not call.streamed or call.ttft_ms is None:
        return False
    decoding_ms = call.latency_ms - call.ttft_ms
    return call.visible_tokens < MIN_TOKENS or (
        decoding_ms > 0 and call.visible_tokens / decoding_ms * 1000 <= MAX_TOKENS_PER_SECOND
    )


def _streamed_speed(streamed: Iterable[Call]) -> float | None:
    """The median speed of the visible answers, each weighted by its tokens.

    Reasoning happens before the first token and counts there.
    """
    speeds = [
        (
            call.visible_tokens / (call.latency_ms - (call.ttft_ms or 0)) * 1000,
            call.weight * call.visible_tokens,
        )
        for call in streamed
        if call.visible_tokens >= MIN_TOKENS
    ]
    return quantile(speeds, 0.5)


def _first_ms(call: Call, ms_per_token: float) -> float:
    rest_ms = call.latency_ms - ms_per_token * call.visible_tokens
    return max(rest_ms, _LEAST_FIRST_SHARE * call.latency_ms)


def _ms_per_token(whole: Sequence[Call], prior: Latency) -> float:
    """Milliseconds per visible token by least squares: latency = first + reasoning · a + visible · b.

    The prior's speed takes part as an observation of b; where all answers are equally long it decides how
    their latency divides. Each round weights a call by what the round before expects of it: latencies spread
    in proportion to their length, and a call that stalled counts little.
    """
    latencies = np.array([max(call.latency_ms, 1) for call in whole], float)
    lengths = np.array([(1.0, call.reasoning_tokens, call.visible_tokens) for call in whole])
    weights = np.array([call.weight for call in whole])
    weights = np.maximum(weights / weights.max(), 1e-6)
    middle, least_ms = float(np.median(latencies)), 1000 / MAX_TOKENS_PER_SECOND
    per_visible_ms = float(np.median(latencies / np.maximum(lengths[:, 2], 1)))
    prior_ms = max(min(1000 / prior.tokens_per_second, _MOST_DECODING_SHARE * per_visible_ms), least_ms)
    sds = np.array([middle * _WIDE_PRIOR_SD, prior_ms * _WIDE_PRIOR_SD, prior_ms * _PRIOR_SD])
    expected, trust, ms_per_token = np.full(len(whole), middle), np.ones(len(whole)), prior_ms
    for _ in range(_ROUNDS):
        root = np.sqrt(weights * trust) / (_NOISE * expected)
        # The prior takes part as three more rows, one for each unknown.
        rows = np.vstack([lengths * root[:, None], np.diag(1 / sds)])
        values = np.concatenate([latencies * root, np.array([0.0, 0.0, prior_ms]) / sds])
        solution = np.linalg.lstsq(rows, values, rcond=None)[0]
        expected = np.maximum(lengths @ solution, _LEAST_FIRST_SHARE * middle)
        trust = np.minimum(1.0, 2 * _NOISE * expected / np.maximum(np.abs(latencies - expected), 1e-9))
        ms_per_token = float(solution[2])
    return float(np.clip(ms_per_token, max(prior_ms / _MOST_CHANGE, least_ms), prior_ms * _MOST_CHANGE))
